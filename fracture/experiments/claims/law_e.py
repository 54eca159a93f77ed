"""Law E over networks of many kinds: why it fails, and whether a corrected law predicts better.

Law E says that the fragility of any network, its pairwise ratio, is its own ρ_net: what it reads of
the displacement to the nearest point of another class, at the input. It is exact where the margin
is linear and the boundary halfway. Here it is confronted with networks of two hidden ReLU layers on
digits, on clusters and on classes of a spiked covariance, and with tanh, deep, normalised and
convolutional networks on digits. Each seed is trained by a recipe drawn at random: learning rate,
scale of the initial weights, training time, weight decay, random labels and noise on the inputs.
All is measured at held-out inputs.

The ratio over ρ_net is exactly the product of four factors: where the boundary is (midpoint),
how the slope changes on the way (secant), how the network bends before its boundary (tangent), and
what the bounds of the inputs do (box). Each has a share of the mean squared logarithm of the
product, that is of the law's failure; shares sum to 1, and one is negative where a factor makes up
for others.

Three corrections, none of which needs an attack: the box factor; first order at the input, which
has the boundary of the linearised network in place of halfway; and first order at the boundary,
where the displacement crosses it. The one with the smallest error on every other seed is compared
with law E on the remaining seeds. An error is the median over inputs of the absolute logarithm of
what is measured over what is predicted; inputs at which one of the laws says nothing, as the
displacement (to twice its length) crosses no boundary, are left out of all errors.

With the option `certify`, for clusters and the spiked covariance, each radius that is found has a
certified lower bound beside it, and law E is judged by both: it holds only if it does at both ends.
"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import numpy as np
import xarray as xr
from jaxtyping import Array, Bool, Float

from ... import models, statistics
from ..._checks import check_counts
from ..._typing import Key
from ...compression import crossing, law_factors
from ...drawing import Drawing, against_axis, scatter
from ...norms import norm
from ...optimal import nearest_neighbour
from ...perturbation import Status, as_solver
from ...vocabulary import Quantity, quantity
from .. import verdicts
from .._claim import Size
from .._findings import Findings
from ._law_e import CERTIFIED, CERTIFIED_SHARE, certified_radius, law_e_verdict
from ._recipes import NUM_CLASSES, SYNTHETIC, digits, draw_recipe, train

SOURCE = "a question about arXiv:2406.16200, Section 6"

_MLP = partial(models.mlp, widths=(64, 64))
NETWORKS: dict[str, tuple[str, Callable[..., models.Network]]] = {
    "clusters": ("clusters", _MLP),
    "digits": ("digits", _MLP),
    "spiked": ("spiked", _MLP),
    "tanh": ("digits", partial(_MLP, activation="tanh")),
    "deep": ("digits", partial(models.mlp, widths=(64,) * 5)),
    "normalised": ("digits", partial(_MLP, normalization="layer")),
    "cnn": ("digits", partial(models.cnn, channels=(8, 16), kernel_size=3)),
}
"""What each is trained on, and its architecture."""


class Cell(NamedTuple):
    """One network at some held-out inputs."""

    r_half: Float[Array, " example"]
    radius_pair: Float[Array, " example"]
    radius_certified: Annotated[
        Float[Array, " example"], CERTIFIED
    ]  # NaN where it is not asked for
    correct: Bool[Array, " example"]
    found: Bool[Array, " example"]
    rho_net: Float[Array, " example"]
    midpoint: Float[Array, " example"]
    secant: Float[Array, " example"]
    tangent: Float[Array, " example"]
    box: Float[Array, " example"]
    crossing: Annotated[
        Float[Array, " example"],
        Quantity("r_cross/r_half", "predicted to first order where the displacement crosses"),
    ]


class Options(NamedTuple):
    """What is trained on how much, and how it is attacked; recorded with the results."""

    dim: int = 49
    points: int = 2000
    steps: int = 600
    batch_size: int = 64
    examples: int = 16
    solver: str = "ddn"
    certify: bool = False


def shared(options: Options, *, network: str) -> Any:
    """Digits, where they are asked for: all seeds have the same."""
    of_digits = NETWORKS[network][0] == "digits"
    return digits(options.dim, options.points + options.examples) if of_digits else ()


def measure(key: Key, given: Any, options: Options, *, network: str) -> Cell:
    """Draw a recipe, train by it, and attack towards the nearest point of another class."""
    key_data, key_recipe, key_train = jax.random.split(key, 3)
    family, build = NETWORKS[network]
    if family == "digits":
        inputs, labels = given
    else:
        inputs, labels = SYNTHETIC[family](key_data, options.dim, options.points + options.examples)
    side = math.isqrt(options.dim)
    shape = (side, side, 1) if family == "digits" else (options.dim,)
    bounds = (0.0, 1.0) if family == "digits" else None
    inputs = inputs.reshape(-1, *shape)
    known, classes = inputs[: options.points], labels[: options.points]
    xs, ys = inputs[options.points :], labels[options.points :]
    model = build(shape, NUM_CLASSES)
    trained = train(
        key_train,
        model,
        draw_recipe(key_recipe),
        known,
        classes,
        steps=options.steps,
        batch_size=options.batch_size,
    )
    logits_fn = partial(model.apply, trained.params)
    nearest = nearest_neighbour(xs, ys, known, classes)

    def at(x, label, displacement, other):
        found = as_solver(options.solver)(logits_fn, x, label, target=other, bounds=bounds)
        least = certified_radius(options.certify, logits_fn, x, label, other, found, bounds)
        towards = partial(crossing, logits_fn, x, label, displacement, other=other)
        factors = law_factors(
            logits_fn, x, label, displacement, found.norm, other=other, bounds=bounds
        )
        return Cell(
            r_half=norm(displacement) / 2,
            radius_pair=found.norm,
            radius_certified=least,
            correct=found.correct,
            found=found.status == Status.FOUND,
            **factors._asdict(),
            crossing=towards(reach=2.0).ratio,
        )

    return jax.vmap(at)(xs, ys, known[nearest.index] - xs, classes[nearest.index])


ALL = tuple(NETWORKS)
SIZES = {
    "quick": Size({"network": ALL[:2]}, 24, 24),
    "default": Size({"network": ALL}, 48, 24),
    "full": Size({"network": ALL}, 192, 48),
}


def check(options, axes):
    """Raise for networks and solvers that there are not, and for no number of pixels."""
    unknown = [name for name in axes["network"] if name not in ALL]
    if unknown:
        raise ValueError(f"network must be of {'; '.join(ALL)}, got {unknown[0]}.")
    if math.isqrt(options.dim) ** 2 != options.dim or options.dim < 2 * NUM_CLASSES:
        least = 2 * NUM_CLASSES
        raise ValueError(f"dim must be a square of at least {least}, got {options.dim}.")
    as_solver(options.solver)
    large = [name for name in axes["network"] if NETWORKS[name][0] not in SYNTHETIC]
    if options.certify and large:
        small = ", ".join(name for name in ALL if NETWORKS[name][0] in SYNTHETIC)
        raise ValueError(f"certify is possible where network is one of {small}, got {large[0]}.")
    names = ("points", "steps", "batch_size", "examples")
    check_counts(**{name: getattr(options, name) for name in names})


FACTORS = ("midpoint", "secant", "tangent", "box")
LAWS = ("law E", "box", "first order at x", "first order at the boundary")
_LEAST = 0.5  # share of the failure that is said to decide
_LAW_E = quantity("law_e", meaning="pairwise ratio over ρ_net; the law says 1")
_ERROR = Quantity("error", "median over inputs of |log(measured / predicted)|")
_GAIN = Quantity("gain", "error of law E over that of the corrected law, on seeds that chose none")
_SHARE = Quantity("share", "of the mean squared logarithm of law E due to a factor", form="share")
_COVERED = Quantity(
    "compared", "share of fooled inputs at which all laws say something", form="share"
)
_PREDICTED = Quantity("corrected", "ratio predicted by the corrected law")


def predictions(dataset: xr.Dataset) -> dict[str, xr.DataArray]:
    """The pairwise ratio by each law."""
    rho, box = dataset["rho_net"], dataset["box"]
    return dict(
        zip(
            LAWS,
            (
                rho,
                rho * box,
                rho * abs(dataset["midpoint"] * dataset["secant"]) * box,
                dataset["crossing"] * box,
            ),
            strict=True,
        )
    )


def judge(dataset: xr.Dataset) -> Findings:
    """Judge law E, which factor is the reason where it fails, and a corrected law out of sample."""
    ratio, predicted = _compared(dataset)
    errors = abs(_log(ratio / predicted)).median("example").assign_attrs(_ERROR.attrs())
    chosen = _best(errors.isel(seed=slice(0, None, 2)))
    held_out = errors.isel(seed=slice(1, None, 2))
    gain = held_out.sel(law="law E", drop=True) / held_out.sel(law=chosen, drop=True)
    every = _ratio(dataset)
    law_e = every / dataset["rho_net"]
    logs = xr.concat([_log(abs(dataset[name])) for name in FACTORS], "factor")
    logs = logs.assign_coords(factor=list(FACTORS))
    shares = _shares(logs, _log(law_e).where(logs.notnull().all("factor")))
    middle = xr.Dataset(
        {name: abs(dataset[name]).where(every.notnull()).median("example") for name in FACTORS}
    )
    middle = middle.assign(law_e=law_e.median("example"))
    if "radius_certified" in dataset and dataset["radius_certified"].notnull().any():
        share = (dataset["radius_certified"] / dataset["radius_pair"]).where(every.notnull())
        middle["law_e_certified"] = (share * law_e).median("example")
        middle["certified_share"] = share.median("example")
    middle["covered"] = ratio.notnull().sum("example") / every.notnull().sum("example")
    told = {"law_e": _LAW_E, "law_e_certified": _LAW_E, "covered": _COVERED}
    told["certified_share"] = CERTIFIED_SHARE
    for name in middle:
        middle[name].attrs = (told.get(str(name)) or quantity(str(name))).attrs()
    middle.attrs = dataset.attrs
    gains = xr.Dataset({"gain": gain.assign_attrs(_GAIN.attrs())})
    by_law = xr.Dataset({"error": errors}, attrs={"axes": ["network", "law"]})
    summary = xr.merge(
        [
            statistics.median_table(
                middle,
                [n for n in ("law_e", *FACTORS, "covered", "certified_share") if n in middle],
            ),
            statistics.median_table(gains, ["gain"]).drop_vars("seeds"),
            statistics.each_level(
                by_law, lambda one: statistics.median_table(one, ["error"])
            ).drop_vars("seeds"),
            _table(shares),
        ],
        join="outer",
    )
    summary = summary.sel(network=dataset["network"].values).assign_attrs(chosen=chosen)
    failed = statistics.incomplete(middle["law_e"], dataset)
    largest = max(shares, key=lambda name: shares[name].value, default="")
    found = (
        law_e_verdict("Law E for many networks", middle, failed, axis="network"),
        verdicts.at_least(
            "One factor explains its failures",
            {largest: shares[largest]} if shares else {},
            [],
            axis="factor",
            least=_LEAST,
            what="largest share",
        ),
        verdicts.at_least(
            "A correction predicts better",
            statistics.medians(gain),
            failed,
            axis="network",
            least=1.0,
            what=f"error of law E over that of {chosen}",
        ),
    )
    return Findings(dataset, summary, (), verdicts.of_trained(*found))


def _ratio(dataset: xr.Dataset) -> xr.DataArray:
    """Pairwise ratios of inputs that are classified right and were fooled."""
    keep, _ = statistics.usable(dataset)
    return (dataset["radius_pair"] / dataset["r_half"]).where(keep & (dataset["radius_pair"] > 0))


def _compared(dataset: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Ratios, and what each law predicts of them, where all say something."""
    ratio = _ratio(dataset)
    laws = predictions(dataset)
    predicted = xr.concat(list(laws.values()), "law").assign_coords(law=list(laws))
    said = ((predicted > 0) & (predicted < np.inf)).all("law")
    said &= ratio.notnull()
    return ratio.where(said), predicted.where(said)


def _log(values: xr.DataArray) -> xr.DataArray:
    return xr.apply_ufunc(np.log, values.where((values > 0) & (values < np.inf)))


def _best(errors: xr.DataArray) -> str:
    """The correction with the smallest error in the mean over networks; the last one of none."""
    middle = errors.sel(law=list(LAWS[1:])).median("seed").mean("network")
    if not middle.notnull().any():
        return LAWS[-1]
    return LAWS[1:][int(np.nanargmin(middle.values))]


def _shares(logs: xr.DataArray, whole: xr.DataArray) -> dict[str, statistics.Interval]:
    """Share of the mean square of a sum of logarithms that each of them contributes.

    Every network counts alike. Of seeds that have no result at one of them, none is used.
    """
    parts = (logs * whole).mean("example").sum("network", skipna=False)
    square = (whole**2).mean("example").sum("network", skipna=False)
    known = np.isfinite(square.values)
    if not known.any() or not square.values[known].any():
        return {}
    share = lambda part, all_: part.sum(axis=-1) / all_.sum(axis=-1)
    return {
        name: statistics.bootstrap(
            share, parts.sel(factor=name).values[known], square.values[known]
        )
        for name in FACTORS
    }


def _table(shares: Mapping[str, statistics.Interval]) -> xr.Dataset:
    """Shares as part of a summary."""
    ends = {"": "value", "_lo": "low", "_hi": "high"}
    arrays = {
        f"share{end}": (
            "factor",
            [getattr(shares[n], field) if shares else np.nan for n in FACTORS],
            _SHARE.attrs(),
        )
        for end, field in ends.items()
    }
    return xr.Dataset(arrays, {"factor": list(FACTORS)})


def draw(findings: Findings) -> dict[str, Drawing]:
    """All networks beside both laws, errors of all laws, and what the failures are due to."""
    dataset, summary, _, _ = findings
    ratio, predicted = _compared(dataset)
    up = ratio.median("example").rename("ratio_pair").assign_attrs(quantity("ratio_pair").attrs())
    across = predicted.median("example")
    old = across.sel(law="law E", drop=True).rename("rho_net")
    new = across.sel(law=summary.attrs["chosen"], drop=True).rename("corrected")
    each = "One point is one network, medians over its inputs. Radii are upper bounds."
    bound = "Radii are upper bounds."
    return {
        "laws": scatter(
            [
                old.assign_attrs(quantity("rho_net").attrs()),
                new.assign_attrs(_PREDICTED.attrs()),
            ],
            up,
            title="All networks: what law E and the corrected law predict",
            note=f"The corrected law is {summary.attrs['chosen']}. {each}",
        ),
        "networks": scatter(
            old.assign_attrs(quantity("rho_net").attrs()).transpose("network", "seed"),
            up.transpose("network", "seed"),
            title="Law E over networks of many kinds",
            by="network",
            note=each,
        ),
        "errors": against_axis(
            summary, ["error"], title="Errors of four laws, network by network", note=bound
        ),
        "gain": against_axis(
            summary,
            ["gain"],
            title="What the corrected law gains out of sample",
            reference=1.0,
            note=f"The corrected law is {summary.attrs['chosen']}. {bound}",
        ),
        "factors": against_axis(
            summary,
            ["law_e", *FACTORS],
            title="Law E factor by factor",
            reference=1.0,
            note=f"Absolute values. {bound}",
        ),
        "shares": against_axis(
            summary,
            ["share"],
            title="Which factor explains the failures of law E",
            reference=0.0,
            log=False,
            note=f"Intervals are bootstrap ones over seeds. {bound}",
        ),
    }
