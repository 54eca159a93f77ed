"""Medians, exponents, distances from a law, and their uncertainty; the seed is the unit."""

from typing import Any, NamedTuple

import numpy as np
import scipy.stats
import xarray as xr

from ..theory import Law
from ._result import Fit

_RESAMPLES = 2000


class Interval(NamedTuple):
    """An estimate with its 95 % percentile-bootstrap interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]".replace("-", "−")


def by_dim(values: xr.DataArray) -> dict[int, np.ndarray]:
    """The finite values of each dimension d, one per seed; dimensions without any are left out."""
    rows = {int(row["dim"]): np.asarray(row, np.float64) for row in values.transpose("dim", "seed")}
    return {dim: row[np.isfinite(row)] for dim, row in rows.items() if np.isfinite(row).any()}


def bootstrap_medians(rows: dict[int, np.ndarray]) -> dict[int, np.ndarray]:
    """`_RESAMPLES` medians of each dimension's seeds, drawn with replacement (fixed key)."""
    rng = np.random.default_rng(0)
    return {
        dim: np.median(row[rng.integers(0, row.size, (_RESAMPLES, row.size))], axis=1)
        for dim, row in rows.items()
    }


def medians(values: xr.DataArray) -> dict[int, Interval]:
    """Median over the seeds of each dimension; an interval of a single seed is infinite."""
    rows = by_dim(values)
    intervals = {}
    for dim, resampled in bootstrap_medians(rows).items():
        low, high = np.quantile(resampled, [0.025, 0.975])
        if rows[dim].size < 2:
            low, high = -np.inf, np.inf
        intervals[dim] = Interval(float(np.median(rows[dim])), float(low), float(high))
    return intervals


def exponent(values: xr.DataArray, label: str, expected: float | None = None) -> Fit | None:
    """Slope of the log median against log d, by least squares; None below two dimensions.

    Seeds are resampled within each dimension. Dimensions whose median is not positive are left
    out.
    """
    rows = {dim: row for dim, row in by_dim(values).items() if np.median(row) > 0}
    if len(rows) < 2:
        return None
    log_dims = np.log(list(rows))
    centred = (log_dims - log_dims.mean()) / np.sum((log_dims - log_dims.mean()) ** 2)
    slope = centred @ np.log([np.median(row) for row in rows.values()])
    with np.errstate(divide="ignore", invalid="ignore"):  # a resampled median may be zero
        slopes = centred @ np.log(list(bootstrap_medians(rows).values()))
    slopes = slopes[np.isfinite(slopes)]
    low, high = np.quantile(slopes, [0.025, 0.975])
    if min(row.size for row in rows.values()) < 2:
        low, high = -np.inf, np.inf
    return Fit(str(values.name), label, float(slope), float(low), float(high), expected)


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
    return _tests(tests)


def two_samples(values: xr.DataArray, drawn: dict[int, np.ndarray]) -> xr.Dataset:
    """As `kolmogorov_smirnov`, for a law of which there is a sample only."""
    rows = by_dim(values)
    both = rows.keys() & drawn.keys()
    return _tests({dim: scipy.stats.ks_2samp(rows[dim], drawn[dim]) for dim in sorted(both)})


def _tests(tests: dict[int, Any]) -> xr.Dataset:
    return per_dim(
        ks_statistic=({d: t.statistic for d, t in tests.items()}, "Kolmogorov–Smirnov distance"),
        ks_pvalue=({d: t.pvalue for d, t in tests.items()}, "Kolmogorov–Smirnov p-value"),
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
    counts = {int(d): int(n) for d, n in zip(dataset["dim"], seeds_of(dataset), strict=True)}
    return per_dim(seeds=(counts, "seeds"), **columns)


def seeds_of(dataset: xr.Dataset) -> list[int]:
    """How many seeds each dimension of a sweep was given."""
    return [int(n) for n in np.atleast_1d(dataset.attrs["seeds"])]


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
