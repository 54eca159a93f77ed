"""Rank correlations, also with what other variables explain taken out."""

from collections.abc import Sequence

import numpy as np
import scipy.stats

_COLLINEAR = 1e-12  # of the sum of squares of ranks: less than that is rounding


def rank_correlation(
    one: np.ndarray, other: np.ndarray, *, given: Sequence[np.ndarray] = ()
) -> np.ndarray:
    """Spearman's rank correlation, or the partial one given further variables.

    The partial one is the correlation of what is left of the ranks of both, once their linear
    regressions on the ranks of the given variables are subtracted.

    Parameters
    ----------
    one, other
        Shape `(…, n)`, of one shape; leading axes are samples of their own.
    given
        Variables to be taken out, of that shape.

    Returns
    -------
    ndarray
        Shape `(…)`, in [-1, 1]; NaN where nothing is left of one of the two, such as of a constant.

    References
    ----------
    Kendall, Stuart (1973), "The advanced theory of statistics" 2, Chapter 27 (partial correlation).
    """
    basis: list[np.ndarray] = []
    for variable in given:
        basis.append(_left(variable, basis))
    first, second = _left(one, basis), _left(other, basis)
    scale = np.sqrt(_dot(first, first) * _dot(second, second))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.clip(_dot(first, second) / scale, -1, 1)[..., 0])


def _left(values: np.ndarray, basis: Sequence[np.ndarray]) -> np.ndarray:
    """Centred ranks, without their part along each of some orthogonal vectors."""
    ranks = scipy.stats.rankdata(values, axis=-1)
    centred = ranks - ranks.mean(axis=-1, keepdims=True)
    left = centred
    for vector in basis:
        square = _dot(vector, vector)
        left = left - _dot(left, vector) / np.where(square > 0, square, 1) * vector
    return np.where(_dot(left, left) > _COLLINEAR * _dot(centred, centred), left, 0)


def _dot(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.sum(one * other, axis=-1, keepdims=True)
