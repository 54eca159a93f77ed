"""Fragility falls like 1/√d when real digits get more pixels.

The same content in a growing number of pixels. The optimal radius is not known: half the distance
to the nearest training digit of another class is an upper bound, shown against the number of
references. Intervals cover the training of the network, not the choice of the images.
"""

import math
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import optax
import xarray as xr
from jaxtyping import Array, Bool, Float

from ... import data, models, statistics
from ..._checks import check_counts, check_effort, check_finite
from ..._typing import Key
from ...compression import law_factors, span_compression
from ...drawing import Drawing, against_axis, against_coordinate, distribution
from ...optimal import nearest_neighbour_by_count
from ...perturbation import Status, as_solver, minimal
from ...theory import null_pvalue
from ...training import fit
from ...vocabulary import quantity
from .. import verdicts
from .._claim import Size
from .._findings import Findings
from ._law_e import (
    FACTORS,
    PRODUCT,
    RATIO_TO_REFERENCE,
    explained,
    law_e_cloud,
    law_e_factors,
    law_e_verdict,
)

SOURCE = "arXiv:2406.16200, Section 7"
NUM_TRAIN = 8000
COORDINATES = {"references": (1000, 2000, 4000, 8000)}
BOUNDS = (0.0, 1.0)


class Cell(NamedTuple):
    """One trained network at some test images."""

    r_opt: Annotated[  # the same for all seeds
        Float[Array, "references example"],
        quantity("r_opt", unit="pixel range", bound="upper"),
    ]
    radius_pair: Annotated[Float[Array, " example"], quantity("radius_pair", unit="pixel range")]
    radius: Annotated[Float[Array, " example"], quantity("radius", unit="pixel range")]
    correct: Bool[Array, " example"]
    found: Bool[Array, " example"]
    rho_net: Float[Array, " example"]
    rho_span: Float[Array, " example"]
    null_ratio: Float[Array, " example"]
    null_pvalue: Float[Array, " example"]
    midpoint: Float[Array, " example"]
    secant: Float[Array, " example"]
    tangent: Float[Array, " example"]
    box: Float[Array, " example"]
    accuracy: Annotated[
        Float[Array, ""], quantity("accuracy", meaning="share of test digits classified right")
    ]


class Options(NamedTuple):
    """What is trained and how it is attacked; recorded with the results."""

    model: str = "mlp"
    solver: str = "minimal"
    effort: str = "low"  # of minimal: the radii of more effort, to 0.1 % in nine cases of ten
    # One boundary is all that a portfolio would search: DDN compiles in a quarter of the time.
    pairwise_solver: str = "ddn"
    steps: int = 600
    batch_size: int = 128
    learning_rate: float = 1e-3
    examples: int = 32


class Shared(NamedTuple):
    """What all networks of one resolution are trained on and attacked at."""

    train_inputs: Float[Array, "train side side 1"]
    train_labels: Array
    test_inputs: Float[Array, "test side side 1"]
    test_labels: Array
    displacements: Float[Array, "example side side 1"]
    others: Array
    r_opt: Float[Array, "references example"]


def shared(options: Options, *, dim: int) -> Shared:
    """Digits of one resolution, and the nearest training image of another class."""
    train, test = data.split(data.digits(_side(dim)), NUM_TRAIN)
    inputs, labels = test.inputs[: options.examples], test.labels[: options.examples]
    nearest = nearest_neighbour_by_count(
        inputs, labels, train.inputs, train.labels, counts=COORDINATES["references"]
    )
    index = nearest.index[-1]
    return Shared(
        *train[:2],
        *test[:2],
        displacements=train.inputs[index] - inputs,
        others=train.labels[index],
        r_opt=nearest.radius,
    )


def measure(key: Key, given: Shared, options: Options, *, dim: int) -> Cell:
    """Train one network and attack it at the first test images."""
    key_init, key_fit = jax.random.split(key)
    network = _network(options.model, _side(dim))
    trained = fit(
        key_fit,
        network.apply,
        network.init(key_init),
        given.train_inputs,
        given.train_labels,
        loss="cross_entropy",
        steps=options.steps,
        batch_size=options.batch_size,
        optimizer=optax.adam(options.learning_rate),
    )
    logits = jax.vmap(lambda x: network.apply(trained.params, x))(given.test_inputs)
    accuracy = jnp.mean(
        logits.argmax(-1).astype(jnp.int32) == given.test_labels, dtype=logits.dtype
    )

    solver, pairwise_solver = (
        partial(minimal, effort=options.effort) if one is minimal else one
        for one in map(as_solver, (options.solver, options.pairwise_solver))
    )

    def attack(x, label, displacement, other):
        def logits_fn(z):
            return network.apply(trained.params, z)

        nearest = solver(logits_fn, x, label, bounds=BOUNDS)
        pairwise = pairwise_solver(logits_fn, x, label, bounds=BOUNDS, target=other)
        factors = law_factors(
            logits_fn, x, label, displacement, pairwise.norm, other=other, bounds=BOUNDS
        )
        span = span_compression(logits_fn, x, displacement)
        return nearest, pairwise, factors, span

    num = given.displacements.shape[0]
    nearest, pairwise, factors, span = jax.vmap(attack)(
        given.test_inputs[:num], given.test_labels[:num], given.displacements, given.others
    )
    return Cell(
        r_opt=given.r_opt,
        radius_pair=pairwise.norm,
        radius=nearest.norm,
        correct=nearest.correct,
        found=(nearest.status == Status.FOUND) & (pairwise.status == Status.FOUND),
        rho_net=factors.rho_net,
        rho_span=span.ratio,
        null_ratio=span.null_ratio,
        null_pvalue=null_pvalue(span.ratio, span.rank, dim),
        midpoint=factors.midpoint,
        secant=factors.secant,
        tangent=factors.tangent,
        box=factors.box,
        accuracy=accuracy,
    )


def _side(dim: int) -> int:
    side = math.isqrt(dim)
    if side * side != dim or side < 4:
        raise ValueError(f"dims of digits must be squares from 16, such as 49 or 784, got {dim}.")
    return side


def _network(model: str, side: int) -> models.Network:
    if model == "cnn":
        return models.cnn((side, side, 1), 10)
    if model == "linear":
        return models.deep_linear((side, side, 1), 10, widths=())
    return models.mlp((side, side, 1), 10, widths=(128, 128))


SIZES = {
    "quick": Size({"dim": (49, 196)}, 6, 6),
    "default": Size({"dim": (49, 196, 784, 3136)}, 6, 6),
    "full": Size({"dim": (49, 196, 784, 3136)}, 24, 6),
}


def check(options, axes):
    """Raise for networks and solvers that there are not, and for no number of pixels."""
    if options.model not in ("linear", "mlp", "cnn"):
        raise ValueError(f"model must be linear, mlp or cnn for digits, got {options.model!r}.")
    as_solver(options.solver), as_solver(options.pairwise_solver)
    check_effort(options.effort)
    counts = ("steps", "batch_size", "examples")
    check_counts(**{name: getattr(options, name) for name in counts})
    check_finite(0, learning_rate=options.learning_rate)
    for dim in axes["dim"]:
        _side(dim)


def describe(options):
    """Which networks, and what the optimal radius stands for."""
    kind = {"linear": "linear networks", "mlp": "three-layer ReLU networks", "cnn": "CNNs"}
    return (
        f"Real digits at growing resolution: {kind[options.model]}",
        f"{NUM_TRAIN:,} MNIST digits for training, the first {options.examples} test digits "
        "attacked within the pixel range [0, 1]. The optimal radius is not known: half the "
        "distance to the nearest training digit of another class is an upper bound, here with "
        f"{COORDINATES['references'][-1]:,} references. Intervals cover the training of the "
        "network, not the choice of the images.",
    )


def judge(dataset: xr.Dataset) -> Findings:
    """Judge the scaling with the resolution, and law E, on medians over inputs."""
    keep, share = statistics.usable(dataset)
    names = [name for name in dataset.data_vars if dataset[name].dims[2:] == ("example",)]
    measured = dataset[names].drop_vars(["correct", "found"])
    middle = measured.where(keep).median("example", keep_attrs=True)
    ratio_pair = (dataset["radius_pair"] / dataset["r_opt"]).where(keep)
    ratio = (dataset["radius"] / dataset["r_opt"]).where(keep)
    most = {"references": -1}
    columns = {
        "r_opt": dataset["r_opt"][most].where(keep),
        "ratio_pair": ratio_pair[most],
        "ratio": ratio[most],
        "law_e": ratio_pair[most] / explained(dataset),
    }
    attrs = {"r_opt": dataset["r_opt"].attrs, "ratio_pair": RATIO_TO_REFERENCE.attrs()}
    for name, values in columns.items():
        known = attrs.get(name) or quantity(name).attrs()
        middle[name] = values.median("example").assign_attrs(known)
    middle = middle.drop_vars("references").where(share >= 0.9)
    middle["accuracy"], middle["found"] = dataset["accuracy"], share
    read = ["rho_net", "rho_span", "null_ratio", "null_pvalue"]
    radii = ["ratio", "ratio_pair", "radius", "radius_pair", "r_opt"]
    summary = statistics.median_table(middle, [*radii, *read, *FACTORS, "box", "accuracy", "found"])
    for name, values in {"r_opt": dataset["r_opt"].where(keep), "ratio_pair": ratio_pair}.items():
        summary[f"{name}_by_references"] = (
            values.median(["seed", "example"])
            .transpose("dim", "references")
            .assign_attrs(middle[name].attrs)
        )
    fits = [statistics.exponent(middle[name], -0.5) for name in ("ratio_pair", "ratio")]
    found = (
        verdicts.scaling(
            "1/√d as the resolution grows",
            fits[1],
            statistics.incomplete(middle["ratio"], dataset),
        ),
        law_e_verdict(
            "Law E on digits",
            middle,
            statistics.incomplete(middle["law_e"], dataset),
            what="ratio over ρ_net · β",
        ),
    )
    fitted = tuple(fit for fit in fits if fit is not None)
    return Findings(dataset, summary, fitted, verdicts.of_trained(*found))


def draw(findings: Findings) -> dict[str, Drawing]:
    """Ratios and radii against pixels and references, what is read, and law E with its factors."""
    dataset, summary, fits, _ = findings
    keep, _ = statistics.usable(dataset)
    most = dataset["r_opt"].isel(references=-1, drop=True)
    ratios = {
        name: (dataset[radius] / most).where(keep).rename(name).assign_attrs(summary[name].attrs)
        for name, radius in (("ratio", "radius"), ("ratio_pair", "radius_pair"))
    }
    radii = ["r_opt", "radius_pair", "radius"]
    return {
        "scaling": against_axis(
            summary,
            list(ratios),
            title="Fragility ratio against dimension",
            fits=fits,
            guide=True,
        ),
        "radii": against_axis(summary, radii, title="Radii against dimension"),
        "distribution": distribution(
            ratios["ratio"], summary, title="Distribution of the fragility ratio"
        ),
        "distribution-pair": distribution(
            ratios["ratio_pair"], summary, title="Distribution of the pairwise ratio"
        ),
        "references": against_coordinate(
            summary,
            "r_opt_by_references",
            "references",
            title="Half the distance against the number of references",
        ),
        "references-ratio": against_coordinate(
            summary,
            "ratio_pair_by_references",
            "references",
            title="Pairwise ratio against the number of references",
        ),
        "law-e": law_e_cloud(summary, explained(dataset), ratios["ratio_pair"]),
        "compression": against_axis(
            summary,
            ["rho_net", "rho_span", "null_ratio"],
            title="Compression ratios against dimension",
            guide=True,
        ),
        "factors": law_e_factors(summary, note=PRODUCT),
    }
