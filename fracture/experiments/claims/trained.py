"""Laws B, E: trained networks are as fragile as what they read of a displacement.

Two laws, two verdicts. Law B says how fragile a network is that computes the label's coordinate
linearly; law E says that the fragility of any network is its own compression ratio, whatever it
has learned. Networks are trained by full-batch Adam on the squared error and attacked at training
points. The other point is the twin on the hypercube, which differs in the last coordinate of z
only, and the nearest training point of another class elsewhere.

Perturbations that are found are upper bounds. With the option `certify` each has a certified lower
bound beside it, and a law is judged by both: it holds only if it does at both ends.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray as xr
from jaxtyping import Array, Bool, Float, Int

from ... import data, models, statistics
from ..._checks import check_counts, check_finite
from ..._typing import Key
from ...compression import law_factors
from ...drawing import Drawing, against_axis, distribution
from ...norms import norm
from ...optimal import Bound, nearest_neighbour, optimum, twin_displacement
from ...perturbation import Status, as_solver
from ...training import fit
from ...vocabulary import Quantity, quantity
from .. import verdicts
from .._claim import Size, options_of
from .._findings import Findings
from ._law_e import (
    CERTIFIED,
    CERTIFIED_SHARE,
    FACTORS,
    WITHIN,
    certified_radius,
    law_e_cloud,
    law_e_factors,
    law_e_verdict,
)
from ._resolved import require_resolved

SOURCE = "arXiv:2406.16200, Sections 5 and 6"


class Cell(NamedTuple):
    """One trained network at some of its own training points."""

    r_opt: Annotated[Float[Array, " example"], quantity("r_opt", bound="")]
    side: Annotated[
        Int[Array, " example"],
        Quantity("side", "what r_opt is: 0 exact, 1 an upper and −1 a lower bound", form="count"),
    ]
    r_half: Float[Array, " example"]
    radius_pair: Float[Array, " example"]  # inf where none was found, 0 where misclassified
    radius_certified: Annotated[
        Float[Array, " example"], CERTIFIED
    ]  # NaN where it is not asked for
    correct: Bool[Array, " example"]
    found: Bool[Array, " example"]
    rho_net: Float[Array, " example"]
    midpoint: Float[Array, " example"]
    secant: Float[Array, " example"]
    tangent: Float[Array, " example"]
    rho_theory: Float[Array, ""]  # NaN outside the hypercube
    accuracy: Annotated[
        Float[Array, ""], quantity("accuracy", meaning="share of training points classified right")
    ]
    loss: Float[Array, ""]


class Options(NamedTuple):
    """What is trained, on how much, and how it is attacked; recorded with the results."""

    data: str = "hypercube"
    model: str = "mlp"
    # One boundary is all that a portfolio would search: DDN finds it to 1 % in half of the time.
    solver: str = "ddn"
    layers: int = 1
    points_per_dim: int = 32
    width_per_dim: int = 2
    steps: int = 1000
    learning_rate: float = 3e-3
    examples: int = 32
    certify: bool = False


_FAMILIES: dict[str, Callable[[Key, int, int, Options], Any]] = {
    "points": lambda key, dim, num, o: data.gaussian_points(key, dim, dtype="float32"),
    "hypercube": lambda key, dim, num, o: data.mixed_hypercube(
        key, dim, num, layers=o.layers, dtype="float32"
    ),
    "mixture": lambda key, dim, num, o: data.gaussian_mixture(key, dim, num, dtype="float32"),
    "spheres": lambda key, dim, num, o: data.concentric_spheres(key, dim, num, dtype="float32"),
    "subspace": lambda key, dim, num, o: data.linear_subspace(
        key, dim, num, intrinsic_dim=max(1, dim // 4), noise=0.1, dtype="float32"
    ),
    "correlated": lambda key, dim, num, o: data.correlated_gaussians(
        key, dim, num, dtype="float32"
    ),
    "spiked": lambda key, dim, num, o: data.spiked_covariance(key, dim, num, dtype="float32"),
}
FAMILIES = tuple(_FAMILIES)


def measure(key: Key, shared: tuple[()], options: Options, *, dim: int) -> Cell:
    """Draw a task, train on it, and attack the network at some of the training points."""
    key_data, key_init, key_fit = jax.random.split(key, 3)
    task = _FAMILIES[options.data](key_data, dim, options.points_per_dim * dim, options)
    network = _network(options, dim)
    trained = fit(
        key_fit,
        network.apply,
        network.init(key_init),
        task.inputs,
        task.labels,
        loss="mse",
        steps=options.steps,
        optimizer=optax.adam(options.learning_rate),
    )
    num = min(options.examples, task.inputs.shape[0])
    inputs, labels = task.inputs[:num], task.labels[:num]
    if options.data == "hypercube":
        displacements = jax.vmap(lambda z: twin_displacement(task.factors, z))(task.codes[:num])
        others = 1 - labels
        against, towards = models.interpolate_hypercube(task.factors)
        rho_theory = 1 / norm(towards - against) / (norm(displacements[0]) / 2)
    else:
        nearest = nearest_neighbour(inputs, labels, task.inputs, task.labels)
        displacements = task.inputs[nearest.index] - inputs
        others = task.labels[nearest.index]
        rho_theory = jnp.full((), jnp.nan, inputs.dtype)

    def attack(x, label, displacement, other):
        def logits_fn(z):
            return network.apply(trained.params, z)

        found = as_solver(options.solver)(logits_fn, x, label, target=other)
        least = certified_radius(options.certify, logits_fn, x, label, other, found)
        factors = law_factors(logits_fn, x, label, displacement, found.norm, other=other)
        return found, least, factors

    found, least, factors = jax.vmap(attack)(inputs, labels, displacements, others)
    best = jax.vmap(partial(optimum, task))(jnp.arange(num))
    return Cell(
        r_opt=best.radius,
        side=best.bound,
        r_half=jax.vmap(norm)(displacements) / 2,
        radius_pair=found.norm,
        radius_certified=least,
        correct=found.correct,
        found=found.status == Status.FOUND,
        rho_net=factors.rho_net,
        midpoint=factors.midpoint,
        secant=factors.secant,
        tangent=factors.tangent,
        rho_theory=rho_theory,
        accuracy=trained.accuracy,
        loss=trained.loss,
    )


def _network(options: Options, dim: int) -> models.Network:
    # Two classes are one output, trained on -1 and +1; one class per point is d outputs.
    num_outputs = dim if options.data == "points" else 1
    width = options.width_per_dim * dim
    if options.model == "linear":
        return models.deep_linear((dim,), num_outputs, widths=(width,))
    return models.mlp((dim,), num_outputs, widths=(width,))


SIZES = {
    "quick": Size({"dim": (8, 16)}, 8, 16),
    "default": Size({"dim": (8, 16, 32, 64)}, 16, 16),
    "full": Size({"dim": (8, 16, 32, 64, 128)}, 32, 16),
}


def variant(options):
    """Each family is an experiment of its own."""
    return options.data


def check(options, axes):
    """Raise for families, networks and solvers that there are not."""
    if options.data not in FAMILIES:
        raise ValueError(f"data must be one of {', '.join(FAMILIES)}, got {options.data!r}.")
    if options.model not in ("linear", "mlp"):
        raise ValueError(f"model must be linear or mlp for synthetic data, got {options.model!r}.")
    as_solver(options.solver)
    counts = ("layers", "points_per_dim", "width_per_dim", "steps", "examples")
    check_counts(**{name: getattr(options, name) for name in counts})
    check_finite(0, learning_rate=options.learning_rate)
    if min(axes["dim"]) < 2:
        raise ValueError(f"dim must be at least 2, got {min(axes['dim'])}.")
    if options.layers != 1 and options.data != "hypercube":
        raise ValueError(f"layers belong to the hypercube, got {options.data!r}.")
    if options.data == "hypercube":
        require_resolved(axes["dim"], options.layers, "float32")  # in which networks are trained


def describe(options):
    """Which networks, on what, against which yardstick."""
    kind = {"linear": "linear networks", "mlp": "two-layer ReLU networks"}[options.model]
    number = "d" if options.data == "points" else f"{options.points_per_dim} d"
    other = (
        "the twin, which differs in the last coordinate of z only"
        if options.data == "hypercube"
        else "the nearest training point of another class"
    )
    return (
        f"Trained networks: {kind} on the family “{options.data}”",
        f"Full-batch Adam on the squared error, {number} points, width {options.width_per_dim} d, "
        f"{options.steps} steps; attacked at training points. The other point is {other}; "
        f"{_OPTIMA[options.data]}.",
    )


_OPTIMA = {
    "points": "the optimal classifier is the nearest point",
    "hypercube": "half the distance to it is an upper bound of the optimal radius",
    "mixture": "the optimal classifier is Bayes's",
    "spheres": "the optimal classifier decides by the length",
    "subspace": "the optimal classifier decides by the first coefficient",
    "correlated": "the optimal classifier is Bayes's",
    "spiked": "the optimal classifier is Bayes's",
}


def judge(dataset: xr.Dataset) -> Findings:
    """Judge law B (of the hypercube) and law E apart, on medians over inputs."""
    keep, found_share = statistics.usable(dataset)
    middle = dataset[list(_MEDIANS)].where(keep).median("example", keep_attrs=True)
    ratio = (dataset["radius_pair"] / dataset["r_half"]).where(keep)
    law_e = (ratio / dataset["rho_net"]).median("example")
    # Where the optimal classifier is wrong itself, there is nothing to compare with.
    optimal = dataset["r_opt"].where(keep & (dataset["r_opt"] > 0))
    middle["r_opt"] = optimal.median("example").assign_attrs(
        quantity("r_opt", bound=_bound(dataset["side"])).attrs()
    )
    # Towards the other point's class: with two classes that is the nearest boundary.
    named = quantity("ratio", symbol="r_pair/r_opt")
    middle["ratio"] = (
        (dataset["radius_pair"] / optimal).median("example").assign_attrs(named.attrs())
    )
    middle["ratio_pair"] = ratio.median("example").assign_attrs(quantity("ratio_pair").attrs())
    middle["law_e"] = law_e.assign_attrs(quantity("law_e").attrs())
    certified = "radius_certified" in dataset and bool(dataset["radius_certified"].notnull().any())
    if certified:
        least = dataset["radius_certified"].where(keep)
        below = least / dataset["r_half"]
        middle["ratio_certified"] = below.median("example")
        middle["law_e_certified"] = (below / dataset["rho_net"]).median("example")
        middle["radius_certified"] = least.median("example", keep_attrs=True)
        share = (least / dataset["radius_pair"]).median("example")
        middle["certified_share"] = share.assign_attrs(CERTIFIED_SHARE.attrs())
    middle = middle.where(found_share >= 0.9)
    names = ["ratio", "ratio_pair", "radius_pair", "r_opt", "r_half", "rho_net", *FACTORS]
    for name in ("rho_theory", "accuracy"):
        if dataset[name].notnull().any():
            middle[name] = dataset[name]
            names.append(name)
    if certified:
        names += ["radius_certified", "certified_share"]
    middle["found"] = found_share
    names.append("found")
    right = (keep & (dataset["r_opt"] > 0)).sum("example") / keep.sum("example")
    if (right < 1).any():
        middle["optimum_right"] = right.assign_attrs(_OPTIMUM_RIGHT.attrs())
        names.append("optimum_right")
    summary = statistics.median_table(middle, names)
    fits = [statistics.exponent(middle[name]) for name in ("ratio", "ratio_pair", "rho_net")]
    failed, found = statistics.incomplete(middle["ratio_pair"], dataset), []
    if "rho_theory" in middle:
        layers = options_of(Options, dataset).layers
        factors = statistics.medians(middle["ratio_pair"] / middle["rho_theory"])
        if certified:
            low_ends = statistics.medians(middle["ratio_certified"] / middle["rho_theory"])
            factors = verdicts.bracketed(low_ends, factors)
        found.append(
            verdicts.agreement(
                f"Law {'B' if layers == 1 else 'C'} for trained networks",
                factors,
                failed,
                axis="dim",
                within=WITHIN,
                what="ratio over the interpolator's",
            )
        )
    found.append(law_e_verdict("Law E", middle, failed))
    fitted = tuple(fit for fit in fits if fit is not None)
    return Findings(dataset, summary, fitted, verdicts.of_trained(*found))


def _bound(side: xr.DataArray) -> str:
    """What all optimal radii are of the true ones."""
    found = set(side.values[np.isfinite(side.values)].astype(int).tolist())
    if found <= {Bound.EXACT}:
        return "exact" if found else ""
    if Bound.LOWER in found:
        return "lower" if Bound.UPPER not in found else ""
    return "upper"


_OPTIMUM_RIGHT = Quantity(
    "optimum right",
    "share of the inputs fooled that the optimal classifier has right; r_opt is of them alone",
    form="share",
)
_MEDIANS = ("r_half", "radius_pair", "rho_net", *FACTORS[1:])


def draw(findings: Findings) -> dict[str, Drawing]:
    """Ratios and radii against the dimension, and law E with its factors."""
    dataset, summary, fits, _ = findings
    keep, _ = statistics.usable(dataset)
    ratio = (dataset["radius_pair"] / dataset["r_half"]).where(keep)
    ratio = ratio.rename("ratio_pair").assign_attrs(quantity("ratio_pair").attrs())
    rhos = [name for name in ("rho_net", "rho_theory") if name in summary]
    radii = ["r_opt", "r_half", "radius_pair", "radius_certified"]
    return {
        "scaling": against_axis(
            summary,
            ["ratio", "ratio_pair"],
            title="Fragility ratio against dimension",
            fits=fits,
            guide=True,
        ),
        "radii": against_axis(
            summary,
            [name for name in radii if name in summary],
            title="Radii against dimension",
        ),
        "distribution": distribution(ratio, summary, title="Distribution of the fragility ratio"),
        "law-e": law_e_cloud(summary, dataset["rho_net"], ratio),
        "compression": against_axis(
            summary, rhos, title="Compression ratios against dimension", guide=True
        ),
        "factors": law_e_factors(summary, note=_PRODUCT),
    }


_PRODUCT = (
    "The pairwise ratio is exactly ρ_net · μ · κ · τ; each factor is 1 for an affine network with "
    "its boundary halfway."
)
