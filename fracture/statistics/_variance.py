"""How much of a quantity's variance each factor of a full grid explains."""

import itertools

import numpy as np
import scipy.stats
import xarray as xr

from ._medians import LEAST_SEEDS, Interval

_RESAMPLES = 400


def variance_explained(values: xr.DataArray) -> dict[str, Interval]:
    """Share of the variance over a grid and its seeds that each factor explains by itself.

    Components of a balanced analysis of variance, estimated without bias: of the variance of the
    means over all else at the levels of a factor, what seeds make of it by chance is subtracted, as
    each component differs from seed to seed. What is left is `interactions`, between cells of the
    grid, and `seed`, within them. Components below 0, which chance alone makes, count as 0, and
    the others are shares of their sum. Intervals are basic bootstrap ones, widened for few seeds as
    Student's are: seeds are resampled, the same in all cells, so that cells that share a seed need
    not be independent.

    Parameters
    ----------
    values
        Over any factors and `seed`, finite; logarithms of what acts by factors.

    Returns
    -------
    dict of str to Interval
        By dimension, then `interactions` and `seed`; they sum to 1. Empty where a value is missing,
        none varies, or there is one seed. The interval is infinite below six seeds.

    Raises
    ------
    ValueError
        Without a factor.
    """
    factors = [str(dim) for dim in values.dims if dim != "seed"]
    if not factors:
        raise ValueError(f"values must have a factor beside seed, got dimensions {values.dims}.")
    array = np.asarray(values.transpose(*factors, "seed"), np.float64)
    num = array.shape[-1]
    if num < 2 or not array.size or not np.isfinite(array).all() or np.ptp(array) == 0:
        return {}
    found = _components(array)
    value = found.clip(0) / found.clip(0).sum()
    low, high = _ends(array, found / found.sum())
    low, high = np.minimum(low, value), np.maximum(high, value)
    if num < LEAST_SEEDS:
        low, high = np.full_like(low, -np.inf), np.full_like(high, np.inf)
    names = [*factors, "interactions", "seed"]
    return {
        n: Interval(*map(float, ends)) for n, *ends in zip(names, value, low, high, strict=True)
    }


def _ends(array: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Ends of the basic bootstrap intervals of shares, from 0 to 1."""
    rng, num = np.random.default_rng(0), array.shape[-1]
    drawn = [_components(array[..., rng.integers(0, num, num)]) for _ in range(_RESAMPLES)]
    resampled = np.array([one / one.sum() for one in drawn if one.sum() > 0])
    # The seeds that are drawn from are all there are: their components are known, not estimated.
    cells = array.mean(axis=-1, keepdims=True)
    truth = np.append(_between(cells), array.var(axis=-1).mean())
    # Few seeds, resampled, vary too little: widened as the interval of a mean has to be.
    student = scipy.stats.t.ppf(0.975, num - 1) / scipy.stats.norm.ppf(0.975)
    errors = (resampled - truth / truth.sum()) * student * np.sqrt(num / (num - 1))
    return (shares - np.quantile(errors, [0.975, 0.025], axis=0)).clip(0, 1)


def _components(array: np.ndarray) -> np.ndarray:
    """Unbiased variance by each factor, by the rest between cells, and within them.

    The variance between means over S seeds is too large by 1/S of what it is on average between
    the deviations of a single seed.
    """
    num, cells = array.shape[-1], array.mean(axis=-1, keepdims=True)
    chance = _between(array - cells).sum(axis=-1) / (num - 1)
    return np.append(_between(cells)[:, 0] - chance / num, array.var(axis=-1, ddof=1).mean())


def _between(array: np.ndarray) -> np.ndarray:
    """Variance by each factor, and by the rest between cells, for each place of the last axis."""
    cells = range(array.ndim - 1)
    mains = [array.mean(axis=others).var(axis=0) for others in _all_but_one(cells)]
    return np.array([*mains, array.var(axis=tuple(cells)) - sum(mains)])


def _all_but_one(axes: range) -> list[tuple[int, ...]]:
    """For each axis the others, in the order of the axes."""
    return list(itertools.combinations(axes, len(axes) - 1))[::-1]
