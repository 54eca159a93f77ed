"""Regimes: where trained networks follow the law of one random direction, and what decides.

The paper's law, that fragility falls like 0.67/√d, is exact for a linear classifier that
interpolates all of a hypercube; trained networks see few of its points. Here networks are trained
in many ways, around a centre: 16 points per dimension of the mixed hypercube, one hidden layer of
2 d ReLUs, squared error, Adam with batches of 64. The centre is varied one factor at a time, as not
all combinations of all factors can be trained: activation, normalisation, loss, optimiser, width,
depth, Gaussian clusters for data; and, for each of those, points per dimension, scale of the
initial weights, learning rate and training time. So dimension, network, setting and time are
crossed, and the levels within a network or a setting are not.

Two things are asked of each: how many times the median of one random direction its fragility ratio
is, the excess (the paper says 1), and whether law E, that the ratio is the network's own ρ_net,
holds. Those that have learned little yet, where fewer than half of all inputs are classified right
and can be fooled, do not count.
"""

from collections.abc import Hashable, Iterator, Mapping
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray as xr
from jaxtyping import Array, Bool, Float

from ... import data, models, statistics
from ..._checks import check_counts, check_finite
from ..._typing import Key
from ...compression import law_factors
from ...drawing import Drawing, against_axis, heat_map
from ...norms import norm
from ...optimal import twin_displacement
from ...perturbation import Status, as_solver
from ...theory import compression
from ...training import fit
from ...vocabulary import Quantity, quantity
from .. import verdicts
from .._claim import Size
from .._findings import Evidence, Findings, Verdict
from ._law_e import WITHIN, law_e_verdict
from ._medians import medians_along

SOURCE = "arXiv:2406.16200, Section 6, and what its reviewers asked"
CENTRE = 16  # points per dimension
MOST = 64

# Points per dimension, and factors of the initial weights and of the learning rate.
SETTINGS: dict[str, tuple[float, float, float]] = {
    "centre": (CENTRE, 1, 1),
    "2 points": (2, 1, 1),
    "4 points": (4, 1, 1),
    "64 points": (MOST, 1, 1),
    "small weights": (CENTRE, 0.25, 1),
    "large weights": (CENTRE, 4, 1),
    "low rate": (CENTRE, 1, 0.25),
}
TIMES = (0.1, 1.0)  # of all steps
COORDINATES = {"setting": tuple(SETTINGS), "time": TIMES}
POINTS = {"2 points": 2, "4 points": 4, "centre": CENTRE, "64 points": MOST}


class Variant(NamedTuple):
    """What differs from the centre and changes the program."""

    activation: str = "relu"
    normalization: str | None = None
    loss: str = "mse"
    optimizer: Any = optax.adam
    rate: float = 3e-3
    width: float = 2  # times d
    depth: int = 1
    family: str = "hypercube"


VARIANTS = {
    "centre": Variant(),
    "tanh": Variant(activation="tanh"),
    "gelu": Variant(activation="gelu"),
    "leaky_relu": Variant(activation="leaky_relu"),
    "layer_norm": Variant(normalization="layer"),
    "cross_entropy": Variant(loss="cross_entropy"),
    "momentum": Variant(optimizer=partial(optax.sgd, momentum=0.9), rate=1e-2),
    "narrow": Variant(width=0.5),
    "wide": Variant(width=8),
    "deep": Variant(depth=3),
    "clusters": Variant(family="clusters"),
}


class Cell(NamedTuple):
    """Networks of one seed in all settings, at some of their training points."""

    r_half: Float[Array, "setting time example"]
    radius_pair: Float[Array, "setting time example"]
    correct: Bool[Array, "setting time example"]
    found: Bool[Array, "setting time example"]
    rho_net: Float[Array, "setting time example"]
    midpoint: Float[Array, "setting time example"]
    secant: Float[Array, "setting time example"]
    tangent: Float[Array, "setting time example"]
    accuracy: Annotated[
        Float[Array, " setting"], quantity("accuracy", meaning="share of training points right")
    ]


class Options(NamedTuple):
    """How long networks are trained, and how they are attacked; recorded with the results."""

    steps: int = 1000
    batch_size: int = 64
    examples: int = 12
    solver: str = "ddn"


def measure(key: Key, shared: tuple[()], options: Options, *, dim: int, network: str) -> Cell:
    """Draw a task, train on it in each setting, and attack at some training points."""
    key_data, key_init, key_fit = jax.random.split(key, 3)
    chosen = VARIANTS[network]
    widths = (max(2, round(chosen.width * dim)),) * chosen.depth
    model = models.mlp(
        dim,
        1,
        widths=widths,
        activation=chosen.activation,
        normalization=chosen.normalization,
    )
    if chosen.family == "hypercube":
        task: Any = data.mixed_hypercube(key_data, dim, MOST * dim, dtype="float32")
    else:
        task = data.gaussian_mixture(
            key_data, dim, MOST * dim, clusters_per_class=2, dtype="float32"
        )
    start = model.init(key_init)
    num = min(options.examples, 2 * dim)
    inputs, labels = task.inputs[:num], task.labels[:num]

    def attacked(params, displacements):
        logits_fn = partial(model.apply, params)

        def attack(x, label, displacement):
            found = as_solver(options.solver)(logits_fn, x, label)
            factors = law_factors(logits_fn, x, label, displacement, found.norm, other=1 - label)
            return found.norm, found.status, factors

        return jax.vmap(attack)(inputs, labels, displacements)

    def at(setting):
        points, scale, rate = setting
        # As many rows for all settings: the first ones again and again.
        rows = jnp.arange(MOST * dim, dtype=jnp.int32) % (points * dim).astype(jnp.int32)
        known, classes = task.inputs[rows], task.labels[rows]
        if chosen.family == "hypercube":
            displacements = jax.vmap(partial(twin_displacement, task.factors))(task.codes[:num])
        else:
            displacements = jax.vmap(partial(_nearest, known, classes))(inputs, labels)
        trained = fit(
            key_fit,
            model.apply,
            jax.tree.map(lambda leaf: scale * leaf if leaf.ndim == 2 else leaf, start),
            known,
            classes,
            loss=chosen.loss,
            steps=options.steps,
            batch_size=min(options.batch_size, MOST * dim),
            optimizer=chosen.optimizer(chosen.rate * rate),
            measure=lambda params: attacked(params, displacements),
            moments=[max(1, round(share * options.steps)) for share in TIMES],
        )
        radius, status, factors = trained.measured
        half = jax.vmap(norm)(displacements) / 2
        return Cell(
            r_half=jnp.broadcast_to(half[None], radius.shape),
            radius_pair=radius,
            correct=(status == Status.FOUND) | (status == Status.NOT_FOUND),
            found=status == Status.FOUND,
            rho_net=factors.rho_net,
            midpoint=factors.midpoint,
            secant=factors.secant,
            tangent=factors.tangent,
            accuracy=trained.accuracy,
        )

    return jax.lax.map(at, jnp.array(list(SETTINGS.values()), inputs.dtype))


def _nearest(inputs, labels, x, label):
    """The way to the nearest input of another class."""
    away = inputs - x[None]
    distances = jnp.where(labels == label, jnp.inf, jnp.sum(away**2, axis=1))
    return away[jnp.argmin(distances)]


ALL = tuple(VARIANTS)
SIZES = {
    "quick": Size({"dim": (8, 16), "network": ("centre", "cross_entropy")}, 6, 6),
    "default": Size({"dim": (8, 24, 64), "network": ALL}, 6, 6),
    "full": Size({"dim": (8, 16, 32, 64, 128, 256), "network": ALL}, 12, 6),
}


def check(options, axes):
    """Raise for networks and solvers that there are not."""
    unknown = [name for name in axes["network"] if name not in VARIANTS]
    if unknown:
        raise ValueError(f"network must be of {', '.join(VARIANTS)}, got {unknown[0]}.")
    if min(axes["dim"]) < 2:
        raise ValueError(f"dim must be at least 2, got {min(axes['dim'])}.")
    as_solver(options.solver)
    check_counts(**{name: getattr(options, name) for name in ("steps", "batch_size", "examples")})
    check_finite(0, **{name: variant.rate for name, variant in VARIANTS.items()})


_EXCESS = quantity("excess")
_LAW_E = quantity("law_e", meaning="pairwise ratio over ρ_net; the law says 1")
_SHARE = Quantity("share", "of the variance of the logarithm explained by the factor", form="share")


def judge(dataset: xr.Dataset) -> Findings:
    """Judge both laws for typical networks, and which factor explains most."""
    keep, _ = statistics.usable(dataset)
    ratio = (dataset["radius_pair"] / dataset["r_half"]).where(keep)
    of_law = [float(compression(dim).quantile(0.5)) for dim in dataset["dim"].values.tolist()]
    enough = keep.mean("example") >= 0.5  # of all inputs: networks of few steps are often wrong
    grid = {
        "excess": ratio.median("example") / xr.DataArray(of_law, dims="dim"),
        "law_e": (ratio / dataset["rho_net"]).median("example"),
    }
    for name in ("midpoint", "secant", "tangent"):
        grid[name] = dataset[name].where(keep).median("example")
    attrs = {"excess": _EXCESS.attrs(), "law_e": _LAW_E.attrs()}
    middle = xr.Dataset(
        {
            n: v.where(enough).assign_attrs(attrs.get(n) or dataset[n].attrs)
            for n, v in grid.items()
        },
        attrs=dataset.attrs | {"axes": ["dim"]},
    )
    middle["accuracy"] = dataset["accuracy"].assign_attrs(dataset["accuracy"].attrs)
    # What most networks do: the median over networks, settings and times of one seed.
    typical = middle.drop_vars("accuracy").median(["network", "setting", "time"], keep_attrs=True)
    typical.attrs = middle.attrs
    explained = {name: _explained(middle[name]) for name in ("excess", "law_e")}
    summary = xr.merge(
        [
            statistics.median_table(typical, list(map(str, typical.data_vars))),
            *_details(middle.sel(time=TIMES[-1], drop=True)),
            *(_shares(found, name) for name, found in explained.items()),
        ],
        join="outer",
    )
    failed = statistics.incomplete(typical["excess"], typical)
    found = (
        verdicts.agreement(
            "0.67/√d for typical networks",
            statistics.medians(typical["excess"]),
            failed,
            axis="dim",
            within=WITHIN,
            what="excess",
        ),
        law_e_verdict("Law E for typical networks", typical, failed, what="ratio over ρ_net"),
        _decides("One factor decides", explained["excess"]),
    )
    return Findings(dataset, summary, (), verdicts.of_trained(*found))


_POINTS = Quantity("N/d", "training points per dimension", form="count")


def _details(end: xr.Dataset) -> Iterator[xr.Dataset]:
    """Medians from network to network and, of the centre where it was trained, at each setting."""
    both = ["excess", "law_e"]
    by_network = end[both].sel(setting="centre", drop=True)
    yield medians_along(by_network, ["dim", "network"], both, "_by_network")
    if "centre" not in end["network"].values:
        return
    centre = end[both].sel(network="centre", drop=True)
    by_points = centre[["excess"]].sel(setting=list(POINTS))
    by_points = by_points.assign_coords(setting=list(POINTS.values())).rename(setting="points")
    by_points["points"].attrs = _POINTS.attrs()
    yield medians_along(by_points, ["dim", "points"], ["excess"], "_map")
    largest = centre.sel(dim=centre["dim"].max(), drop=True)
    yield medians_along(largest, ["setting"], both, "_by_setting")


def _explained(values: xr.DataArray) -> dict[str, statistics.Interval]:
    """Shares of variance over the factors, of levels at which all cells have all seeds.

    Of a grid with gaps, the level that misses most goes first, until there are none.
    """
    logs = xr.apply_ufunc(np.log, values.where(values > 0))
    while logs.isnull().any():
        gaps = {at: logs.isnull().mean([o for o in logs.dims if o != at]) for at in _factors(logs)}
        worst = max(gaps, key=lambda at: float(gaps[at].max()))
        logs = logs.drop_isel({worst: int(gaps[worst].values.argmax())})
    return statistics.variance_explained(logs)


def _factors(logs: xr.DataArray) -> list[Hashable]:
    return [dim for dim in logs.dims if dim != "seed"]


LEAST = 0.5  # of the variance


def _decides(law: str, explained: Mapping[str, statistics.Interval]) -> Verdict:
    """Does one factor explain at least half? Not where none of them may; else it is named."""
    factors = {at: i for at, i in explained.items() if at not in ("interactions", "seed")}
    if not factors:
        return Verdict(law, None, "nothing to compare was measured")
    what = "share of the variance of log excess"
    name, *others = sorted(factors, key=lambda at: -factors[at].value)
    evidence = tuple(Evidence(what, *factors[at], at) for at in (name, *others))
    said = f"{name} explains {factors[name]} of the variance"
    if factors[name].low >= LEAST:
        return Verdict(law, True, said, evidence)
    if all(i.high < LEAST for i in factors.values()):
        return Verdict(law, False, f"{said}, the others less", evidence)
    may = [at for at, i in factors.items() if i.high >= LEAST]
    return Verdict(law, None, f"{said}; half may be by {' or '.join(may)}", evidence)


def _shares(found: Mapping[str, statistics.Interval], name: str) -> xr.Dataset:
    """Shares of variance as part of a summary."""
    label = f"{name}_share"
    meaning = _SHARE.meaning.replace("logarithm", f"logarithm of {_SYMBOLS[name]}")
    what = _SHARE._replace(symbol=f"share of {_SYMBOLS[name]}", meaning=meaning)
    places = list(found) or ["seed"]  # of none there is still a figure
    columns = {"": "value", "_lo": "low", "_hi": "high"}
    return xr.Dataset(
        {
            label + end: (
                "factor",
                [getattr(found[at], field) if at in found else np.nan for at in places],
                what.attrs(),
            )
            for end, field in columns.items()
        },
        {"factor": places},
    )


_SYMBOLS = {"excess": "excess", "law_e": "law E"}


_SHARES = (
    "Share of the variance of log excess and of log law E that each factor explains by itself: "
    "dimension, network, setting and time; what only their combinations explain; and seeds. Bars: "
    "95 % bootstrap intervals. Levels at which networks of some seeds have learned little are left "
    "out."
)


def draw(findings: Findings) -> dict[str, Drawing]:
    """The map, what each factor changes, and how much of the variance it explains.

    The map and the settings are of the centre, and left out where it was not trained.
    """
    summary, dims = findings.summary, findings.dataset["dim"]
    bound = "Radii are upper bounds."
    largest = f"At the largest dimension, d = {int(dims.max())}. {bound}"
    drawings = {
        "networks": against_axis(
            summary.sel(dim=dims.max(), drop=True),
            ["excess_by_network", "law_e_by_network"],
            title="Both laws from network to network",
            reference=1.0,
            note=largest,
        ),
        "variance": against_axis(
            summary,
            ["excess_share", "law_e_share"],
            title="Which factor explains the variance",
            log=False,
        )._replace(caption=_SHARES),
        "dimension": against_axis(
            summary,
            ["excess", "law_e", "midpoint", "secant", "tangent"],
            title="Typical networks against dimension",
            reference=1.0,
            note=f"The median over all networks, settings and times. {bound}",
        ),
    }
    if "excess_map" not in summary:  # the centre was not trained
        return drawings
    of_centre = {
        "map": heat_map(
            summary["excess_map"],
            title="How many times more robust than one random direction",
            note=f"The networks of the centre, medians over seeds. {bound}",
        ),
        "settings": against_axis(
            summary,
            ["excess_by_setting", "law_e_by_setting"],
            title="Both laws from setting to setting",
            reference=1.0,
            note=largest,
        ),
    }
    return of_centre | drawings
