"""Medians, exponents, distances from a law, and their uncertainty; the seed is the unit."""

from typing import Any, NamedTuple

import numpy as np
import scipy.stats
import xarray as xr

from ..theory import Law
from ._result import Fit

_RESAMPLES = 2000
LEAST_SEEDS = 6  # fewer cannot give a 95 % interval of a median


class Interval(NamedTuple):
    """An estimate with its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]".replace("-", "−")


def by_dim(values: xr.DataArray) -> dict[int, np.ndarray]:
    """The finite values of each dimension d, one per seed; dimensions without any are left out."""
    rows = {int(row["dim"]): np.asarray(row, np.float64) for row in values.transpose("dim", "seed")}
    return {dim: row[np.isfinite(row)] for dim, row in rows.items() if np.isfinite(row).any()}


def medians(values: xr.DataArray) -> dict[int, Interval]:
    """Median over the seeds of each dimension, between two order statistics.

    The number of values below the true median is binomial, whatever their distribution; below six
    seeds the interval is infinite.
    """
    return {dim: median(np.sort(row)) for dim, row in by_dim(values).items()}


def median(ordered: np.ndarray) -> Interval:
    """Median of sorted values, between two order statistics."""
    n = ordered.size
    below = int(scipy.stats.binom.ppf(0.025, n, 0.5))  # P(fewer than this many below) <= 2.5 %
    low, high = (ordered[below - 1], ordered[n - below]) if below else (-np.inf, np.inf)
    return Interval(float(np.median(ordered)), float(low), float(high))


def exponent(
    values: xr.DataArray,
    label: str,
    expected: float | None = None,
    *,
    against: dict[int, np.ndarray] | None = None,
) -> Fit | None:
    """Slope of the log median against log d, by least squares; None below two dimensions.

    Seeds are resampled within each dimension; with fewer than six, the interval is infinite.
    Dimensions whose median is not positive are left out. With `against`, a sample of the law at
    each dimension, that sample's slope is what is expected, and the interval covers the
    uncertainty of both.
    """
    rows = {dim: row for dim, row in by_dim(values).items() if np.median(row) > 0}
    if len(rows) < 2:
        return None
    slope, slopes = _slopes(rows, np.random.default_rng(0))
    if against is not None:
        expected, theirs = _slopes({d: against[d] for d in rows}, np.random.default_rng(1))
        slopes = slopes - theirs + expected
    low, high = np.quantile(slopes[np.isfinite(slopes)], [0.025, 0.975])
    if min(row.size for row in rows.values()) < LEAST_SEEDS:
        low, high = -np.inf, np.inf
    return Fit(str(values.name), label, slope, float(low), float(high), expected)


def scale(
    values: xr.DataArray,
    laws: dict[int, Law] | None = None,
    *,
    against: dict[int, np.ndarray] | None = None,
) -> Interval | None:
    """Median over that of the law, or of a sample of it: geometric mean over the dimensions.

    Seeds are resampled within each dimension, and the sample too; with fewer than six seeds, the
    interval is infinite. What lies outside of it is what the measurements exclude.
    """
    rows = by_dim(values)
    dims = sorted(rows.keys() & (laws or against or {}).keys())
    if not dims:
        return None
    middle, resampled = _level([rows[dim] for dim in dims], np.random.default_rng(2))
    if laws is not None:
        theirs = float(np.mean([np.log(float(laws[dim].quantile(0.5))) for dim in dims]))
        spread = np.zeros(1)
    else:
        theirs, spread = _level([(against or {})[dim] for dim in dims], np.random.default_rng(3))
        spread = spread - theirs
    low, high = np.quantile(resampled - spread, [0.025, 0.975]) - theirs
    if min(rows[dim].size for dim in dims) < LEAST_SEEDS:
        low, high = -np.inf, np.inf
    return Interval(*(float(np.exp(value)) for value in (middle - theirs, low, high)))


def _level(rows: list[np.ndarray], rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """Mean of the log medians of some samples, and of those of `_RESAMPLES` bootstrap samples."""
    with np.errstate(divide="ignore"):  # a median may be zero
        middle = np.mean([np.log(np.median(row)) for row in rows])
        resampled = np.mean([np.log(_resampled_medians(row, rng)) for row in rows], axis=0)
    return float(middle), resampled


def _resampled_medians(row: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return np.median(row[rng.integers(0, row.size, (_RESAMPLES, row.size))], axis=1)


def _slopes(rows: dict[int, np.ndarray], rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """Slope of the log medians, and of those of `_RESAMPLES` bootstrap samples."""
    log_dims = np.log(list(rows))
    weights = (log_dims - log_dims.mean()) / np.sum((log_dims - log_dims.mean()) ** 2)
    resampled = [_resampled_medians(row, rng) for row in rows.values()]
    with np.errstate(divide="ignore", invalid="ignore"):  # a resampled median may be zero
        slopes = weights @ np.log(resampled)
    return float(weights @ np.log([np.median(row) for row in rows.values()])), slopes


def usable(dataset: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Inputs that are classified correctly and were fooled, and their share of the correct ones.

    Medians over inputs say little about a network of which they leave out many.
    """
    correct, found = dataset["correct"] > 0, dataset["found"] > 0
    share = (correct & found).sum("example") / correct.sum("example")
    share.attrs = {"long_name": "found, of the correctly classified", "units": ""}
    return correct & found, share


def incomplete(values: xr.DataArray, dataset: xr.Dataset) -> list[int]:
    """Dimensions at which fewer than nine in ten of the seeds of a sweep gave a finite value."""
    rows = by_dim(values)
    wanted = zip(np.atleast_1d(dataset["dim"]), np.atleast_1d(dataset.attrs["seeds"]), strict=True)
    return [int(d) for d, n in wanted if rows.get(int(d), np.empty(0)).size < 0.9 * int(n)]


def law_exponent(laws: dict[int, Law]) -> float | None:
    """Slope of a law's own log medians against log d over the same dimensions."""
    if len(laws) < 2:
        return None
    log_medians = [float(np.log(law.quantile(0.5))) for law in laws.values()]
    return float(np.polyfit(np.log(list(laws)), log_medians, 1)[0])


def kolmogorov_smirnov(values: xr.DataArray, laws: dict[int, Law]) -> xr.Dataset:
    """Distance of each dimension's seeds from its law, and the probability of a larger one."""
    rows = by_dim(values)
    tests = {
        dim: scipy.stats.kstest(rows[dim], lambda r, law=law: np.asarray(law.cdf(r)))
        for dim, law in laws.items()
        if dim in rows
    }
    return _tests(tests, {dim: float(rows[dim].size) for dim in tests})


def two_samples(values: xr.DataArray, drawn: dict[int, np.ndarray]) -> xr.Dataset:
    """As `kolmogorov_smirnov`, for a law of which there is a sample only."""
    rows = by_dim(values)
    both = rows.keys() & drawn.keys()
    tests = {dim: scipy.stats.ks_2samp(rows[dim], drawn[dim]) for dim in sorted(both)}
    return _tests(tests, {d: 1 / (1 / rows[d].size + 1 / drawn[d].size) for d in tests})


def _tests(tests: dict[int, Any], sizes: dict[int, float]) -> xr.Dataset:
    # Dvoretzky–Kiefer–Wolfowitz: what the true distance is below, with 95 % confidence.
    largest = {
        d: t.statistic + (np.log(2 / 0.05) / (2 * sizes[d])) ** 0.5 for d, t in tests.items()
    }
    return per_dim(
        ks_statistic=({d: t.statistic for d, t in tests.items()}, "Kolmogorov–Smirnov distance"),
        ks_pvalue=({d: t.pvalue for d, t in tests.items()}, "Kolmogorov–Smirnov p-value"),
        ks_largest=(largest, "largest distance that the sample allows"),
    )


def predictions(laws: dict[int, Law], long_name: str, which: str = "") -> xr.Dataset:
    """Median and 90 % interval of a law at each dimension."""
    name = f"predicted_{which}" if which else "predicted"
    quantiles = {"": 0.5, "_lo": 0.05, "_hi": 0.95}
    return per_dim(
        **{
            name + suffix: ({d: float(law.quantile(q)) for d, law in laws.items()}, long_name)
            for suffix, q in quantiles.items()
        }
    )


def median_table(dataset: xr.Dataset, names: list[str]) -> xr.Dataset:
    """`NAME`, `NAME_lo` and `NAME_hi` over `dim` for each variable over (dim, seed)."""
    columns: dict[str, Any] = {}
    for name in names:
        intervals, attrs = medians(dataset[name]), dataset[name].attrs
        for suffix, field in {"": "value", "_lo": "low", "_hi": "high"}.items():
            columns[name + suffix] = (
                {d: getattr(interval, field) for d, interval in intervals.items()},
                attrs["long_name"],
                attrs["units"],
            )
    for name in ("ratio", "ratio_untargeted"):
        if name in names:
            rows = by_dim(dataset[name])
            used = {int(d): rows[int(d)].size if int(d) in rows else 0 for d in dataset["dim"]}
            columns[name.replace("ratio", "seeds")] = (used, "seeds with a result")
    return per_dim(**columns)


def per_dim(**columns: Any) -> xr.Dataset:
    """A dataset over `dim` from `NAME=({dim: value}, long_name[, units])`."""
    dims = sorted({dim for values, *_ in columns.values() for dim in values})
    variables = {
        name: (
            "dim",
            [values.get(dim, np.nan) for dim in dims],
            {"long_name": attrs[0], "units": attrs[1] if len(attrs) > 1 else ""},
        )
        for name, (values, *attrs) in columns.items()
    }
    return xr.Dataset(variables, {"dim": ("dim", dims, {"long_name": "input dimension d"})})
