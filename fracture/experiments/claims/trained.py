"""Trained networks on synthetic families: do the laws of the linear interpolator carry over?

Two laws, two verdicts. Law B says how fragile a network is that computes the label's coordinate
linearly; law E says that the fragility of any network is its own compression ratio, whatever it has
learned. arXiv:2406.16200, Sections 5 and 6.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import xarray as xr
from jaxtyping import Array, Bool, Float

from .. import data, models
from .._typing import Key
from ..compression import law_factors
from ..norms import norm
from ..optimal import nearest_neighbour
from ..perturbation import SOLVERS, Status
from ..sweeps import Progress, Sweep, Variable, run as run_sweep
from ..training import fit
from . import _summary, _verdicts
from ._result import Result
from .linear_hypercube import require_resolved, twin_displacement

NAME = "trained"
WITHIN = 1.25  # two radii agree if their ratio is within this factor

_EXAMPLE = ("example",)
VARIABLES = {
    "r_opt": Variable("upper bound of the optimal radius", "input units", _EXAMPLE),
    "r_nn": Variable("network radius", "input units", _EXAMPLE),
    "correct": Variable("classified correctly", "", _EXAMPLE),
    "found": Variable("perturbation found and verified", "", _EXAMPLE),
    "rho_net": Variable("compression ratio of the network", "", _EXAMPLE),
    "midpoint": Variable("midpoint factor μ", "", _EXAMPLE),
    "secant": Variable("secant over tangent κ", "", _EXAMPLE),
    "tangent": Variable("tangent factor τ", "", _EXAMPLE),
    "rho_theory": Variable("compression ratio of the interpolator"),
    "accuracy": Variable("training accuracy"),
    "loss": Variable("training loss"),
}


class Cell(NamedTuple):
    """One trained network at some of its own training points."""

    r_opt: Float[Array, " example"]
    r_nn: Float[Array, " example"]  # inf where nothing was found, 0 where misclassified already
    correct: Bool[Array, " example"]
    found: Bool[Array, " example"]
    rho_net: Float[Array, " example"]
    midpoint: Float[Array, " example"]
    secant: Float[Array, " example"]
    tangent: Float[Array, " example"]
    rho_theory: Float[Array, ""]  # NaN outside the hypercube
    accuracy: Float[Array, ""]
    loss: Float[Array, ""]


class Options(NamedTuple):
    """What is trained, on how much, and how it is attacked; recorded with the results."""

    data: str = "hypercube"
    model: str = "mlp"
    solver: str = "minimal"
    layers: int = 1
    points_per_dim: int = 32
    width_per_dim: int = 2
    steps: int = 1000
    learning_rate: float = 3e-3
    examples: int = 32


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


def cell(key: Key, options: Options, *, dim: int) -> Cell:
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
    r_opt = jax.vmap(norm)(displacements) / 2

    def attack(x, label, displacement, other):
        def logits_fn(z):
            return network.apply(trained.params, z)

        found = SOLVERS[options.solver](logits_fn, x, label, target=other)
        factors = law_factors(logits_fn, x, label, displacement, found.norm, other=other)
        return found, factors

    found, factors = jax.vmap(attack)(inputs, labels, displacements, others)
    return Cell(
        r_opt=r_opt,
        r_nn=found.norm,
        correct=(found.status == Status.FOUND) | (found.status == Status.NOT_FOUND),
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


def run(
    *,
    dims: Sequence[int] = (8, 16, 32, 64),
    seeds: int | None = None,
    data: str = "hypercube",
    model: str = "mlp",
    solver: str = "minimal",
    layers: int = 1,
    root: int = 0,
    out: Path | None = None,
    progress: Progress | None = None,
) -> Result:
    """Sweep the dimension, 16 networks each unless `seeds` is given, all trained in one call."""
    if data not in FAMILIES:
        raise ValueError(f"data must be one of {', '.join(FAMILIES)}, got {data!r}.")
    if model not in ("linear", "mlp"):
        raise ValueError(f"model must be linear or mlp for synthetic data, got {model!r}.")
    if min(dims) < 2:
        raise ValueError(f"dims must be at least 2, got {min(dims)}.")
    if data == "hypercube":
        require_resolved(dims, layers, "float32")  # in which networks are trained
    options = Options(data=data, model=model, solver=solver, layers=layers)
    sweep = Sweep(
        name=f"{NAME}_{data}",
        cell=lambda key, shared, *, dim: cell(key, options, dim=dim),
        dims=tuple(dims),
        seeds=tuple(seeds or 16 for _ in dims),
        chunks=tuple(16 for _ in dims),
        variables=VARIABLES,
        options=options._asdict(),
        root=root,
    )
    dataset = run_sweep(sweep, out=out, progress=progress)
    kind = {"linear": "linear networks", "mlp": "two-layer ReLU networks"}[model]
    number = "d" if data == "points" else f"{options.points_per_dim} d"
    yardstick = (
        "the twin point, which differs in the last coordinate of z only"
        if data == "hypercube"
        else "the nearest training point of another class"
    )
    return judge(
        dataset.assign_attrs(
            title=f"Trained networks: {kind} on the family “{data}”",
            description=(
                f"Full-batch Adam on the squared error, {number} points, width "
                f"{options.width_per_dim} d, {options.steps} steps; attacked at training points. "
                f"Half the distance to {yardstick} is an upper bound of the optimal radius."
            ),
            judge=NAME,
        )
    )


def judge(dataset: xr.Dataset) -> Result:
    """Summarise a stored sweep; judge law B (of the hypercube) and law E apart."""
    keep, share = _summary.usable(dataset)
    middle = dataset[list(_MEDIANS)].where(keep).median("example", keep_attrs=True)
    ratio = (dataset["r_nn"] / dataset["r_opt"]).where(keep)
    law_e = (ratio / dataset["rho_net"]).median("example")
    middle["ratio"] = ratio.median("example").assign_attrs(
        long_name="fragility ratio, pairwise", units=""
    )
    middle["law_e"] = law_e.assign_attrs(long_name="ratio over ρ_net", units="")
    names = ["r_opt", "r_nn", "ratio", "rho_net", "law_e", "midpoint", "secant", "tangent"]
    middle = middle.where(share >= 0.9)
    for name in ("rho_theory", "accuracy"):
        if dataset[name].notnull().any():
            middle[name] = dataset[name]
            names.append(name)
    middle["found"] = share
    middle.attrs = dataset.attrs
    summary = _summary.median_table(middle, [*names, "found"])
    fits = tuple(
        fit
        for fit in (
            _summary.exponent(middle["ratio"], "fragility ratio"),
            _summary.exponent(middle["rho_net"], "compression ratio of the network"),
        )
        if fit is not None
    )
    failed = _summary.incomplete(middle["ratio"], dataset)
    layers = json.loads(dataset.attrs["options"])["layers"]
    verdicts = []
    if "rho_theory" in middle:
        verdicts.append(
            _verdicts.agreement(
                f"Law {'B' if layers == 1 else 'C'} for trained networks",
                _summary.medians(middle["ratio"] / middle["rho_theory"]),
                failed,
                within=WITHIN,
                what="ratio over the interpolator's",
            )
        )
    verdicts.append(
        _verdicts.agreement(
            "Law E",
            _summary.medians(middle["law_e"]),
            failed,
            within=WITHIN,
            what="ratio over ρ_net",
            parts={
                name: _summary.medians(middle[name]) for name in ("midpoint", "secant", "tangent")
            },
        )
    )
    return Result(dataset, summary, fits, tuple(verdicts))


_MEDIANS = ("r_opt", "r_nn", "rho_net", "midpoint", "secant", "tangent")
