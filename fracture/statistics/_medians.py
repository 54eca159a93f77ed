"""Medians over seeds with their intervals, and which measurements they are of."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.stats
import xarray as xr

from ..vocabulary import quantity
from ._places import At, axis_of, rows
from ._table import table

LEAST_SEEDS = 6  # fewer cannot give a 95 % interval of a median


class Interval(NamedTuple):
    """An estimate with its 95 % confidence interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.3g} [{self.low:.3g}, {self.high:.3g}]".replace("-", "−")


def median(ordered: np.ndarray) -> Interval:
    """Median of sorted values, between two order statistics."""
    n = ordered.size
    below = int(scipy.stats.binom.ppf(0.025, n, 0.5))  # P(fewer than this many below) <= 2.5 %
    low, high = (ordered[below - 1], ordered[n - below]) if below else (-np.inf, np.inf)
    return Interval(float(np.median(ordered)), float(low), float(high))


def medians(values: xr.DataArray) -> dict[At, Interval]:
    """Median over the seeds at each place of the axis, between two order statistics.

    The number of values below the true median is binomial, whatever their distribution; below six
    seeds the interval is infinite.
    """
    return {at: median(np.sort(row)) for at, row in rows(values).items()}


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


_FOOLED = quantity(
    "found", meaning="share of the inputs classified right with a verified perturbation"
)


def usable(dataset: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Inputs that are classified right and were fooled, and their share of those classified right.

    Medians over inputs say little about a network of which they leave out many.
    """
    correct, found = dataset["correct"] > 0, dataset["found"] > 0
    share = (correct & found).sum("example") / correct.sum("example")
    return correct & found, share.assign_attrs(_FOOLED.attrs())


def incomplete(values: xr.DataArray, dataset: xr.Dataset) -> list[At]:
    """Places at which fewer than nine in ten of the seeds of a sweep gave a finite value."""
    found, places = rows(values), np.atleast_1d(dataset[axis_of(values)].values).tolist()
    wanted = zip(places, np.atleast_1d(dataset.attrs["seeds"]).tolist(), strict=True)
    return [at for at, n in wanted if found.get(at, np.empty(0)).size < 0.9 * n]
