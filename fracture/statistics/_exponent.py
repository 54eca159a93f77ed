"""Exponents along an axis, and the scale of a law, with bootstrap intervals."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from ..theory import Law
from ._medians import LEAST_SEEDS, Interval
from ._places import At, rows

_RESAMPLES = 20_000


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
        Level of the further axes that it belongs to, as `levels` calls it; empty for one axis.
    """

    quantity: str
    exponent: float
    low: float
    high: float
    expected: float | None = None
    level: str = ""


def exponent(
    values: xr.DataArray,
    expected: float | None = None,
    *,
    against: Mapping[At, np.ndarray] | None = None,
) -> Fit | None:
    """Slope of the log median against the log of the axis, by least squares.

    None below two positive places with a positive median; others are left out. Seeds are resampled
    at each place; with fewer than six, the interval is infinite. With `against`, a sample of the
    law at each place, that sample's slope is what is expected, and the interval covers the
    uncertainty of both.
    """
    found = {at: row for at, row in rows(values).items() if _positive(at) and np.median(row) > 0}
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
    low, high = (end - theirs for end in _middle_95(resampled - spread))
    if min(found[at].size for at in places) < LEAST_SEEDS:
        low, high = -np.inf, np.inf
    return Interval(*(float(np.exp(value)) for value in (middle - theirs, low, high)))


def _middle_95(values: np.ndarray) -> tuple[float, float]:
    """Between which 95 % of the values lie; of logarithms of 0, no neighbours are averaged."""
    if np.isfinite(values).all():
        low, high = np.quantile(values, [0.025, 0.975])
    else:
        ordered, last = np.sort(values), values.size - 1
        low, high = ordered[int(0.025 * last)], ordered[int(np.ceil(0.975 * last))]
    return float(low), float(high)


def _positive(at: At) -> bool:
    return isinstance(at, int | float) and at > 0


def _level(samples: Sequence[np.ndarray], rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """Mean of the log medians of some samples, and of those of `_RESAMPLES` bootstrap samples."""
    with np.errstate(divide="ignore"):  # a median may be zero
        middle = np.mean([np.log(np.median(row)) for row in samples])
        resampled = np.mean([np.log(_resampled_medians(row, rng)) for row in samples], axis=0)
    return float(middle), resampled


def _resampled_medians(row: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Medians of `_RESAMPLES` bootstrap samples, of which only the middle ones are drawn.

    The i-th smallest of n draws from n ordered values is the one numbered ⌊nU⌋, where U, the i-th
    smallest of n uniform numbers, follows Beta(i, n + 1 − i); above it are n − i uniform numbers.

    References
    ----------
    Efron (1979), "Bootstrap methods: another look at the jackknife", Annals of Statistics 7,
    Section 3, has that law of the resampled median.
    """
    ordered, number = np.sort(row), row.size
    middle = (number + 1) // 2
    lower = rng.beta(middle, number + 1 - middle, _RESAMPLES)
    low = ordered[_numbered(lower, number)]
    if number % 2:
        return low
    rest = (1 - lower) * rng.uniform(size=_RESAMPLES) ** (1 / (number - middle))
    return (low + ordered[_numbered(1 - rest, number)]) / 2


def _numbered(uniform: np.ndarray, number: int) -> np.ndarray:
    return np.minimum((number * uniform).astype(int), number - 1)


def _slopes(samples: Mapping[At, np.ndarray], rng: np.random.Generator) -> tuple[float, np.ndarray]:
    """Slope of the log medians, and of those of `_RESAMPLES` bootstrap samples."""
    places = np.log(list(samples))
    weights = (places - places.mean()) / np.sum((places - places.mean()) ** 2)
    resampled = [_resampled_medians(row, rng) for row in samples.values()]
    with np.errstate(divide="ignore", invalid="ignore"):  # a resampled median may be zero
        slopes = weights @ np.log(resampled)
    return float(weights @ np.log([np.median(row) for row in samples.values()])), slopes
