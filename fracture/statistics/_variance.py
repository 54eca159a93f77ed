"""How much of a quantity's variance each factor of a full grid explains."""

import itertools

import numpy as np
import xarray as xr

from ._medians import LEAST_SEEDS, Interval

_RESAMPLES = 400


def variance_explained(values: xr.DataArray) -> dict[str, Interval]:
    """Share of the variance over a grid and its seeds that each factor explains by itself.

    Main effects of a balanced analysis of variance: the variance of the means over all else at the
    levels of a factor, over the total. What is left is `interactions`, between cells of the grid,
    and `seed`, within them. Intervals are basic bootstrap ones: seeds are resampled, the same in
    all cells.

    Parameters
    ----------
    values
        Over any factors and `seed`, finite; logarithms of what acts by factors.

    Returns
    -------
    dict of str to Interval
        By dimension, then `interactions` and `seed`; they sum to 1. Empty where a value is missing
        or none varies. The interval is infinite below six seeds.
    """
    factors = [str(dim) for dim in values.dims if dim != "seed"]
    array = np.asarray(values.transpose(*factors, "seed"), np.float64)
    if not array.size or not np.isfinite(array).all() or array.var() == 0:
        return {}
    found, rng, num = _shares(array), np.random.default_rng(0), array.shape[-1]
    drawn = [array[..., rng.integers(0, num, num)] for _ in range(_RESAMPLES)]
    resampled = np.array([_shares(one) for one in drawn if one.var() > 0])
    # Reflected at the estimate: resampled means vary more, which moves the share of `seed` down.
    high, low = (2 * found - np.quantile(resampled, [0.025, 0.975], axis=0)).clip(0, 1)
    if num < LEAST_SEEDS:
        low, high = np.full_like(low, -np.inf), np.full_like(high, np.inf)
    names = [*factors, "interactions", "seed"]
    return {
        n: Interval(*map(float, ends)) for n, *ends in zip(names, found, low, high, strict=True)
    }


def _shares(array: np.ndarray) -> np.ndarray:
    """Variance of each factor's means, of the rest between cells, and within them, over all."""
    cells = array.mean(axis=-1)
    axes = range(cells.ndim)
    mains = [cells.mean(axis=tuple(others)).var() for others in _all_but_one(axes)]
    parts = [*mains, cells.var() - sum(mains), array.var() - cells.var()]
    return np.array(parts) / array.var()


def _all_but_one(axes: range) -> list[tuple[int, ...]]:
    """For each axis the others, in the order of the axes."""
    return list(itertools.combinations(axes, len(axes) - 1))[::-1]
