"""Real digits at several resolutions: the same content in a growing number of pixels.

Whether fragility falls like 1/sqrt(d) when only the resolution grows. The nearest training image of
another class gives an upper bound of the optimal radius, shown against the number of references.
arXiv:2406.16200, Section 7.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import xarray as xr
from jaxtyping import Array, Bool, Float

from .. import data, models
from .._typing import Key
from ..compression import law_factors, span_compression
from ..optimal import nearest_neighbour_by_count
from ..perturbation import SOLVERS, Status, ddn
from ..sweeps import Progress, Sweep, Variable, run as run_sweep
from ..theory import null_pvalue
from ..training import fit
from . import _summary, _verdicts
from ._result import Result

NAME = "digits"
WITHIN = 1.25
NUM_TRAIN = 8000
REFERENCES = (1000, 2000, 4000, 8000)
BOUNDS = (0.0, 1.0)

_EXAMPLE = ("example",)
VARIABLES = {
    "r_opt": Variable("half the distance to a digit", "pixel range", ("references", "example")),
    "r_nn": Variable("network radius, class of the nearest digit", "pixel range", _EXAMPLE),
    "r_nn_untargeted": Variable("network radius, nearest boundary", "pixel range", _EXAMPLE),
    "correct": Variable("classified correctly", "", _EXAMPLE),
    "found": Variable("both perturbations found and verified", "", _EXAMPLE),
    "rho_net": Variable("compression ratio, margin direction", "", _EXAMPLE),
    "rho_span": Variable("compression ratio, span of gradients", "", _EXAMPLE),
    "null_ratio": Variable("compression ratio of a random subspace", "", _EXAMPLE),
    "null_pvalue": Variable("chance of as much in a random subspace", "", _EXAMPLE),
    "midpoint": Variable("midpoint factor μ", "", _EXAMPLE),
    "secant": Variable("secant over tangent κ", "", _EXAMPLE),
    "tangent": Variable("tangent factor τ", "", _EXAMPLE),
    "box": Variable("box factor β", "", _EXAMPLE),
    "accuracy": Variable("test accuracy"),
}


class Cell(NamedTuple):
    """One trained network at some test images."""

    r_opt: Float[Array, "references example"]  # the same for all seeds
    r_nn: Float[Array, " example"]
    r_nn_untargeted: Float[Array, " example"]
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
    accuracy: Float[Array, ""]


class Options(NamedTuple):
    """What is trained and how it is attacked; recorded with the results."""

    model: str = "mlp"
    solver: str = "minimal"
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


def shared(options: Options, dim: int) -> Shared:
    """Digits of one resolution, and the nearest training image of another class."""
    train, test = data.split(data.digits(_side(dim)), NUM_TRAIN)
    inputs, labels = test.inputs[: options.examples], test.labels[: options.examples]
    nearest = nearest_neighbour_by_count(
        inputs, labels, train.inputs, train.labels, counts=REFERENCES
    )
    index = nearest.index[-1]
    return Shared(
        *train[:2],
        *test[:2],
        displacements=train.inputs[index] - inputs,
        others=train.labels[index],
        r_opt=nearest.radius,
    )


def cell(key: Key, given: Shared, options: Options, *, dim: int) -> Cell:
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

    def attack(x, label, displacement, other):
        def logits_fn(z):
            return network.apply(trained.params, z)

        nearest = SOLVERS[options.solver](logits_fn, x, label, bounds=BOUNDS)
        # One boundary is all that a portfolio would search: DDN compiles in a quarter of the time.
        pairwise = ddn(logits_fn, x, label, bounds=BOUNDS, target=other)
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
        r_nn=pairwise.norm,
        r_nn_untargeted=nearest.norm,
        correct=(nearest.status == Status.FOUND) | (nearest.status == Status.NOT_FOUND),
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


def run(
    *,
    dims: Sequence[int] = (49, 196, 784, 3136),
    seeds: int | None = None,
    model: str = "mlp",
    solver: str = "minimal",
    root: int = 0,
    out: Path | None = None,
    progress: Progress | None = None,
) -> Result:
    """Sweep the resolution, 6 networks each unless `seeds` is given."""
    if model not in ("linear", "mlp", "cnn"):
        raise ValueError(f"model must be linear, mlp or cnn for digits, got {model!r}.")
    for dim in dims:
        _side(dim)
    options = Options(model=model, solver=solver)
    sweep = Sweep(
        name=NAME,
        cell=lambda key, given, *, dim: cell(key, given, options, dim=dim),
        dims=tuple(dims),
        seeds=tuple(seeds or 6 for _ in dims),
        chunks=tuple(6 for _ in dims),
        variables=VARIABLES,
        shared=lambda dim: shared(options, dim),
        options=options._asdict() | {"pairwise_solver": "ddn"},
        root=root,
    )
    dataset = run_sweep(sweep, out=out, progress=progress)
    coordinate = ("references", list(REFERENCES), {"long_name": "number of reference images"})
    kind = {"linear": "linear networks", "mlp": "three-layer ReLU networks", "cnn": "CNNs"}[model]
    return judge(
        dataset.assign_coords(references=coordinate).assign_attrs(
            title=f"Real digits at growing resolution: {kind}",
            description=(
                f"{NUM_TRAIN:,} MNIST digits for training, the first {options.examples} test "
                "digits attacked within the pixel range [0, 1]. The optimal radius is not known: "
                "half the distance to the nearest training digit of another class is an upper "
                f"bound, here with {REFERENCES[-1]:,} references. Intervals cover the training of "
                "the network, not the choice of the images."
            ),
            judge=NAME,
        )
    )


def judge(dataset: xr.Dataset) -> Result:
    """Summarise a stored sweep; judge the scaling with the resolution, and law E."""
    # Results of earlier versions have neither: there the tangent contains what the box costs.
    for name, missing in (("box", 1.0), ("null_pvalue", math.nan)):
        if name not in dataset:
            filled = xr.full_like(dataset["rho_net"], missing)
            filled.attrs = {"long_name": VARIABLES[name].long_name, "units": ""}
            dataset = dataset.assign({name: filled})
    keep, share = _summary.usable(dataset)
    measured = dataset[[name for name, v in VARIABLES.items() if v.dims == _EXAMPLE]]
    middle = measured.drop_vars(["correct", "found"]).where(keep).median("example", keep_attrs=True)
    ratio = (dataset["r_nn"] / dataset["r_opt"]).where(keep)
    ratio_untargeted = (dataset["r_nn_untargeted"] / dataset["r_opt"]).where(keep)
    most = {"references": -1}
    columns: dict[str, Any] = {
        "r_opt": (dataset["r_opt"][most].where(keep), "upper bound of the optimal radius"),
        "ratio": (ratio[most], "fragility ratio, class of the nearest digit"),
        "ratio_untargeted": (ratio_untargeted[most], "fragility ratio, nearest boundary"),
        # What the pixel range costs the linearised network is no failure of the law.
        "law_e": (ratio[most] / (dataset["rho_net"] * dataset["box"]), "ratio over ρ_net · β"),
    }
    for name, (values, long_name) in columns.items():
        units = "pixel range" if name == "r_opt" else ""
        middle[name] = values.median("example").assign_attrs(long_name=long_name, units=units)
    middle = middle.where(share >= 0.9)
    middle["accuracy"], middle["found"] = dataset["accuracy"], share
    middle.attrs = dataset.attrs
    summary = _summary.median_table(
        middle,
        [
            "r_opt",
            "r_nn",
            "r_nn_untargeted",
            "ratio",
            "ratio_untargeted",
            "rho_net",
            "rho_span",
            "null_ratio",
            "null_pvalue",
            "law_e",
            "midpoint",
            "secant",
            "tangent",
            "box",
            "accuracy",
            "found",
        ],
    )
    by_references = {"r_opt": dataset["r_opt"].where(keep), "ratio": ratio}
    for name, values in by_references.items():
        summary[f"{name}_by_references"] = (
            values.median(["seed", "example"])
            .transpose("dim", "references")
            .assign_attrs(middle[name].attrs)
        )
    pairwise = _summary.exponent(middle["ratio"], "ratio, class of the nearest digit", -0.5)
    untargeted = _summary.exponent(middle["ratio_untargeted"], "ratio, nearest boundary", -0.5)
    verdicts = (
        _verdicts.scaling("1/√d as the resolution grows (untargeted)", untargeted),
        _verdicts.agreement(
            "Law E on digits",
            _summary.medians(middle["law_e"]),
            _summary.incomplete(middle["law_e"], dataset),
            within=WITHIN,
            what="ratio over ρ_net · β",
            parts={
                name: _summary.medians(middle[name]) for name in ("midpoint", "secant", "tangent")
            },
        ),
    )
    fits = tuple(fit for fit in (pairwise, untargeted) if fit is not None)
    return Result(dataset, summary, fits, verdicts)
