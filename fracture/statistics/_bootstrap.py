"""Intervals of any statistic of independent rows."""

from collections.abc import Callable

import numpy as np

from ._medians import LEAST_SEEDS, Interval

_RESAMPLES = 1000


def bootstrap(statistic: Callable[..., np.ndarray], *columns: np.ndarray) -> Interval:
    """A statistic with its 95 % percentile bootstrap interval: rows are resampled.

    Parameters
    ----------
    statistic
        `statistic(*columns)` of arrays `(…, n)`, leading axes being samples of their own; of shape
        `(…)`.
    columns
        What was measured of each of n seeds, shape `(n,)`.

    Returns
    -------
    Interval
        Infinite below six seeds, and where no sample has a value. The draws are the same for the
        same number of seeds, so that statistics can be compared.
    """
    (number,) = columns[0].shape
    value = float(statistic(*columns))
    if number < LEAST_SEEDS:
        return Interval(value, -np.inf, np.inf)
    drawn = np.random.default_rng(0).integers(0, number, (_RESAMPLES, number))
    sampled = statistic(*(column[drawn] for column in columns))
    if np.isnan(sampled).all():
        return Interval(value, -np.inf, np.inf)
    low, high = np.nanquantile(sampled, [0.025, 0.975])
    return Interval(value, float(low), float(high))
