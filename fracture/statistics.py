"""Medians, exponents, distances from a law, and their uncertainty; the seed is the unit.

Arrays are over one axis of a sweep, such as `dim`, and `seed`; `each_level` applies what is made
for one axis where there are more.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import scipy.stats
import xarray as xr

from .theory import Law
from .vocabulary import Quantity, axis_quantity, quantity

At: TypeAlias = Any  # a value of an axis: a number or a word

_RESAMPLES = 2000
LEAST_SEEDS = 6  # fewer cannot give a 95 % interval of a median


class Interval(NamedTuple):
    """An estimate with its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]".replace("-", "−")


class Fit(NamedTuple):
    """Exponent of one quantity as a power of an axis, such as quantity ~ d^exponent.

    Attributes
    ----------
    quantity
        Name of the variable that was fitted, such as `ratio`.
    exponent, low, high
        Slope of the log median, and its 95 % bootstrap interval (seeds are resampled).
    expected
        What theory says; None where it says nothing.
    level
        Levels of the further axes that it belongs to, such as `L = 2`; empty for one axis.
    """

    quantity: str
    exponent: float
    low: float
    high: float
    expected: float | None = None
    level: str = ""


def rows(values: xr.DataArray) -> dict[At, np.ndarray]:
    """The finite values at each place of the axis, one per seed; places without are left out."""
    axis = axis_of(values)
    ordered = values.transpose(axis, "seed")
    found = zip(values[axis].values.tolist(), np.asarray(ordered, np.float64), strict=True)
    kept = {at: row[np.isfinite(row)] for at, row in found}
    return {at: row for at, row in kept.items() if row.size}


def axis_of(values: xr.DataArray) -> str:
    """The axis of an array over one axis and `seed`.

    Raises
    ------
    ValueError
        Where it has others.
    """
    axes = [str(dim) for dim in values.dims if dim != "seed"]
    if len(axes) != 1 or "seed" not in values.dims:
        raise ValueError(f"values must be over one axis and 'seed', got {values.dims}.")
    return axes[0]


def medians(values: xr.DataArray) -> dict[At, Interval]:
    """Median over the seeds at each place of the axis, between two order statistics.

    The number of values below the true median is binomial, whatever their distribution; below six
    seeds the interval is infinite.
    """
    return {at: median(np.sort(row)) for at, row in rows(values).items()}


def median(ordered: np.ndarray) -> Interval:
    """Median of sorted values, between two order statistics."""
    n = ordered.size
    below = int(scipy.stats.binom.ppf(0.025, n, 0.5))  # P(fewer than this many below) <= 2.5 %
    low, high = (ordered[below - 1], ordered[n - below]) if below else (-np.inf, np.inf)
    return Interval(float(np.median(ordered)), float(low), float(high))


def exponent(
    values: xr.DataArray,
    expected: float | None = None,
    *,
    against: Mapping[At, np.ndarray] | None = None,
) -> Fit | None:
    """Slope of the log median against the log of the axis, by least squares.

    None below two places with a positive median; others are left out. Seeds are resampled at each
    place; with fewer than six, the interval is infinite. With `against`, a sample of the law at
    each place, that sample's slope is what is expected, and the interval covers the uncertainty of
    both.
    """
    found = {at: row for at, row in rows(values).items() if np.median(row) > 0}
    if len(found) < 2:
        return None
    slope, slopes = _slopes(found, np.random.default_rng(0))
    if against is not None:
        expected, theirs = _slopes({at: against[at] for at in found}, np.random.default_rng(1))
        slopes = slopes - theirs + expected
    low, high = np.quantile(slopes[np.isfinite(slopes)], [0.025, 0.975])
    if min(row.size for row in found.values()) < LEAST_SEEDS:
        low, high = -np.inf, np.inf
    return Fit(str(values.name), slope, float(low), float(high), expected)


def scale(
    values: xr.DataArray,
    laws: Mapping[At, Law] | None = None,
    *,
    against: Mapping[At, np.ndarray] | None = None,
) -> Interval | None:
    """Median over that of the law, or of a sample of it: geometric mean over the axis.

    Seeds are resampled at each place, and the sample too; with fewer than six seeds, the interval
    is infinite. What lies outside of it is what the measurements exclude.
    """
    found = rows(values)
    places = sorted(found.keys() & (laws or against or {}).keys())
    if not places:
        return None
    middle, resampled = _level([found[at] for at in places], np.random.default_rng(2))
    if laws is not None:
        theirs = float(np.mean([np.log(float(laws[at].quantile(0.5))) for at in places]))
        spread = np.zeros(1)
    else:
        theirs, spread = _level([(against or {})[at] for at in places], np.random.default_rng(3))
        spread = spread - theirs
    low, high = np.quantile(resampled - spread, [0.025, 0.975]) - theirs
    if min(found[at].size for at in places) < LEAST_SEEDS:
        low, high = -np.inf, np.inf
    return Interval(*(float(np.exp(value)) for value in (middle - theirs, low, high)))


def _level(samples: Sequence[np.ndarray], rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """Mean of the log medians of some samples, and of those of `_RESAMPLES` bootstrap samples."""
    with np.errstate(divide="ignore"):  # a median may be zero
        middle = np.mean([np.log(np.median(row)) for row in samples])
        resampled = np.mean([np.log(_resampled_medians(row, rng)) for row in samples], axis=0)
    return float(middle), resampled


def _resampled_medians(row: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.median(row[rng.integers(0, row.size, (_RESAMPLES, row.size))], axis=1)


def _slopes(samples: Mapping[At, np.ndarray], rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """Slope of the log medians, and of those of `_RESAMPLES` bootstrap samples."""
    places = np.log(list(samples))
    weights = (places - places.mean()) / np.sum((places - places.mean()) ** 2)
    resampled = [_resampled_medians(row, rng) for row in samples.values()]
    with np.errstate(divide="ignore", invalid="ignore"):  # a resampled median may be zero
        slopes = weights @ np.log(resampled)
    return float(weights @ np.log([np.median(row) for row in samples.values()])), slopes


def usable(dataset: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Inputs that are classified right and were fooled, and their share of those classified right.

    Medians over inputs say little about a network of which they leave out many.
    """
    correct, found = dataset["correct"] > 0, dataset["found"] > 0
    share = (correct & found).sum("example") / correct.sum("example")
    return correct & found, share.assign_attrs(quantity("found").attrs())


def incomplete(values: xr.DataArray, dataset: xr.Dataset) -> list[At]:
    """Places at which fewer than nine in ten of the seeds of a sweep gave a finite value."""
    found, places = rows(values), np.atleast_1d(dataset[axis_of(values)].values).tolist()
    wanted = zip(places, np.atleast_1d(dataset.attrs["seeds"]).tolist(), strict=True)
    return [at for at, n in wanted if found.get(at, np.empty(0)).size < 0.9 * n]


def law_exponent(laws: Mapping[At, Law]) -> float | None:
    """Slope of a law's own log medians against the log of the axis over the same places."""
    if len(laws) < 2:
        return None
    log_medians = [float(np.log(law.quantile(0.5))) for law in laws.values()]
    return float(np.polyfit(np.log(list(laws)), log_medians, 1)[0])


def kolmogorov_smirnov(values: xr.DataArray, laws: Mapping[At, Law]) -> xr.Dataset:
    """Distance of the seeds from their law at each place, and the probability of a larger one."""
    found = rows(values)
    tests = {
        at: scipy.stats.kstest(found[at], lambda r, law=law: np.asarray(law.cdf(r)))
        for at, law in laws.items()
        if at in found
    }
    return _tests(axis_of(values), tests, {at: float(found[at].size) for at in tests})


def two_samples(values: xr.DataArray, drawn: Mapping[At, np.ndarray]) -> xr.Dataset:
    """As `kolmogorov_smirnov`, for a law of which there is a sample only."""
    found = rows(values)
    both = sorted(found.keys() & drawn.keys())
    tests = {at: scipy.stats.ks_2samp(found[at], drawn[at]) for at in both}
    sizes = {at: 1 / (1 / found[at].size + 1 / drawn[at].size) for at in tests}
    return _tests(axis_of(values), tests, sizes)


def _tests(axis: str, tests: Mapping[At, Any], sizes: Mapping[At, float]) -> xr.Dataset:
    # Dvoretzky–Kiefer–Wolfowitz: what the true distance is below, with 95 % confidence.
    largest = {
        at: t.statistic + (np.log(2 / 0.05) / (2 * sizes[at])) ** 0.5 for at, t in tests.items()
    }
    columns = {
        "ks_statistic": {at: t.statistic for at, t in tests.items()},
        "ks_pvalue": {at: t.pvalue for at, t in tests.items()},
        "ks_largest": largest,
    }
    return table(axis, {name: (column, quantity(name)) for name, column in columns.items()})


def predictions(axis: str, laws: Mapping[At, Law], of: str, *, sampled: bool = False) -> xr.Dataset:
    """Median and 90 % interval of a law along an axis: `predicted_OF`, `…_lo` and `…_hi`.

    `sampled` says that the law is known by a sample only.
    """
    what = quantity("predicted", symbol="sampled law" if sampled else "exact law")
    quantiles = {"": 0.5, "_lo": 0.05, "_hi": 0.95}
    columns = {
        f"predicted_{of}{end}": ({at: float(law.quantile(q)) for at, law in laws.items()}, what)
        for end, q in quantiles.items()
    }
    return table(axis, columns)


def median_table(dataset: xr.Dataset, names: Sequence[str]) -> xr.Dataset:
    """`NAME`, `NAME_lo` and `NAME_hi` along the axis, and how many `seeds` had the first of them.

    Variables keep the attributes that they have.
    """
    columns: dict[str, tuple[dict[At, Any], Any]] = {}
    for name in names:
        intervals = medians(dataset[name])
        for suffix, field in {"": "value", "_lo": "low", "_hi": "high"}.items():
            column = {at: getattr(interval, field) for at, interval in intervals.items()}
            columns[name + suffix] = (column, dataset[name].attrs)
    axis, found = axis_of(dataset[names[0]]), rows(dataset[names[0]])
    sizes = {at: found[at].size if at in found else 0 for at in dataset[axis].values.tolist()}
    return table(axis, {"seeds": (sizes, quantity("seeds")), **columns})


def table(
    axis: str, columns: Mapping[str, tuple[Mapping[At, Any], Quantity | Mapping[str, Any]]]
) -> xr.Dataset:
    """A dataset over one axis from `NAME: ({place: value}, what it is)`; NaN for no value."""
    places = sorted({at for values, _ in columns.values() for at in values})
    variables = {
        name: (
            axis,
            [values.get(at, np.nan) for at in places],
            what.attrs() if isinstance(what, Quantity) else dict(what),
        )
        for name, (values, what) in columns.items()
    }
    known = axis_quantity(axis).attrs()
    return xr.Dataset(variables, {axis: (axis, places, known)})


def each_level(dataset: xr.Dataset, summarise: Callable[[xr.Dataset], xr.Dataset]) -> xr.Dataset:
    """What `summarise` makes of each level of the further axes, put together along them."""
    _, *factors = axes(dataset)
    if not factors:
        return summarise(dataset)
    first, *rest = factors
    parts = [
        each_level(
            dataset.sel({first: at}).assign_attrs(axes=[*axes(dataset)[:1], *rest]), summarise
        )
        for at in dataset[first].values.tolist()
    ]
    return xr.concat(parts, dataset[first]).transpose(axes(dataset)[0], ...)


def levels(dataset: xr.Dataset) -> Iterator[tuple[str, xr.Dataset]]:
    """Each level of the further axes in words, such as `L = 2`, and the dataset there.

    One level without a name where there is one axis only.
    """
    first, *factors = axes(dataset)
    for values in itertools.product(*(dataset[factor].values.tolist() for factor in factors)):
        at = dict(zip(factors, values, strict=True))
        words = ", ".join(f"{axis_quantity(name).symbol} = {value}" for name, value in at.items())
        yield words, dataset.sel(at).assign_attrs(axes=[first])


def axes(dataset: xr.Dataset) -> list[str]:
    """Names of the axes of a sweep, the first of which is summarised along."""
    return [str(axis) for axis in np.atleast_1d(dataset.attrs["axes"])]
