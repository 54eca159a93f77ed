"""Intrinsic dimension of a cloud of points, from the distances of each to its neighbours."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._linalg import vdot
from ..norms import positive
from ._arrays import as_rows, squared_distances
from ._spectrum import without_nan

_CHUNK = 128  # points whose distances to all others are in memory together


def two_nn(points: ArrayLike, *, discard_fraction: float = 0.1) -> Float[Array, ""]:
    r"""Intrinsic dimension by the linear fit of TwoNN, from two neighbours of each point.

    Where the density is constant up to the second neighbour, the ratio $\mu = r_2 / r_1$ of the
    distances to both has the distribution function $F(\mu) = 1 - \mu^{-d}$, whatever the density.
    The estimate is the slope of the line through the origin, by least squares, through the points
    $(\log \mu_{(i)}, -\log(1 - i/n))$ of the ordered ratios, without the largest of them. The
    maximum-likelihood form, which keeps them all, is `mle_dimension(points, num_neighbours=2)`.

    Copies of a point count once. Distances are taken by subtraction, 128 points at a time: time
    $O(n^2 D)$, memory $O(n D)$. There is no derivative in reverse mode.

    Parameters
    ----------
    points
        One point per row, shape `(n, …)`; further axes are flattened to `D`. Any scale.
    discard_fraction
        Share of the largest ratios that is left out, in [0, 1); the very largest is in any case.

    Returns
    -------
    Float[Array, ""]
        The estimate, in the dtype of `points` or float32 if that is narrower. NaN where an entry
        is not finite, fewer than three points are distinct or none of them is left; infinite
        where all ratios left are 1, as on a lattice.

    Raises
    ------
    TypeError
        If `points` is not a floating-point array.
    ValueError
        If there are fewer than three points, or `discard_fraction` is out of its range.

    References
    ----------
    Facco, d'Errico, Rodriguez, Laio (2017), "Estimating the intrinsic dimension of datasets by a
    minimal neighborhood information", Scientific Reports 7, 12140. arXiv:1803.06992.
    """
    rows = as_rows(points, "points", 3)
    if not 0 <= discard_fraction < 1:
        raise ValueError(f"discard_fraction must be in [0, 1), got {discard_fraction}.")
    distances, distinct, finite = _neighbours(rows, 2)
    n, dtype = len(rows), rows.dtype
    count = distinct.sum(dtype=jnp.int32)
    log_ratio = jnp.log(distances[:, 1] / jnp.where(distinct, distances[:, 0], 1))
    log_ratio = jnp.sort(jnp.where(distinct, log_ratio, jnp.inf))
    # For every count there may be: in float64 while tracing, so that 0.9 * 10 is 9 in any dtype.
    num_used = jnp.asarray((np.arange(n + 1) * (1 - discard_fraction)).astype(np.int32))[count]
    rank = jnp.arange(1, n + 1, dtype=jnp.int32)
    used = (rank <= num_used) & (rank < count)
    x = jnp.where(used, log_ratio, 0)
    survival = (count - rank).astype(dtype) / count.astype(dtype)
    y = -jnp.log(jnp.where(used, survival, 1))
    square = vdot(x, x)
    slope = vdot(x, y) / positive(square)
    slope = jnp.where(square > 0, slope, jnp.inf)
    return jnp.where(finite & (count >= 3) & used.any(), slope, jnp.nan)


def mle_dimension(points: ArrayLike, *, num_neighbours: int = 20) -> Float[Array, ""]:
    r"""Intrinsic dimension by maximum likelihood, from k neighbours of each point.

    With the distance $T_j(x)$ of a point to its j-th neighbour, the estimate of Levina and Bickel
    at that point is the inverse of $\frac{1}{k - 1} \sum_{j < k} \log(T_k(x) / T_j(x))$. Over the
    points, the inverses are averaged, as MacKay and Ghahramani found to be the likelihood's
    maximum,

    .. math::
        \hat d = \left(\frac{1}{n (k - 1)} \sum_{i=1}^n \sum_{j=1}^{k-1}
            \log\frac{T_k(x_i)}{T_j(x_i)}\right)^{-1} .

    Copies of a point count once. Distances are taken by subtraction, 128 points at a time: time
    $O(n^2 D)$, memory $O(n (D + k))$. Points near an edge of the cloud have their neighbours on
    one side: an underestimate that grows with k and d. There is no derivative in reverse mode.

    Parameters
    ----------
    points
        One point per row, shape `(n, …)`; further axes are flattened to `D`. Any scale.
    num_neighbours
        k, in 2 … n - 1.

    Returns
    -------
    Float[Array, ""]
        The estimate, in the dtype of `points` or float32 if that is narrower. NaN where an entry
        is not finite, or at most k points are distinct; infinite where all ratios are 1.

    Raises
    ------
    TypeError
        If `points` is not a floating-point array.
    ValueError
        If there are fewer than three points, or `num_neighbours` is out of its range.

    References
    ----------
    Levina, Bickel (2004), "Maximum likelihood estimation of intrinsic dimension", NIPS 17,
    eq. (8). MacKay, Ghahramani (2005), "Comments on 'Maximum likelihood estimation of intrinsic
    dimension' by E. Levina and P. Bickel".
    """
    rows = as_rows(points, "points", 3)
    if not 2 <= num_neighbours < len(rows):
        raise ValueError(f"num_neighbours must be in 2 … {len(rows) - 1}, got {num_neighbours}.")
    distances, distinct, finite = _neighbours(rows, num_neighbours)
    count = distinct.sum(dtype=jnp.int32)
    closer = jnp.where(distinct[:, None], distances[:, :-1], 1)
    log_ratio = jnp.where(distinct[:, None], jnp.log(distances[:, -1:] / closer), 0)
    inverse = log_ratio.sum() / (count * (num_neighbours - 1)).astype(rows.dtype)
    return jnp.where(finite & (count > num_neighbours), 1 / inverse, jnp.nan)


def _neighbours(rows: Array, k: int) -> tuple[Array, Array, Array]:
    """Distances to the k nearest distinct points, ascending, up to a common factor.

    With them, whether a point is distinct (no copy of an earlier one), and whether all is finite.
    """
    unit, _, finite = without_nan(rows)
    n, columns = len(unit), unit.T
    index = jnp.arange(n, dtype=jnp.int32)
    chunk = min(_CHUNK, n)
    chunks = jnp.arange(-(-n // chunk) * chunk, dtype=jnp.int32).reshape(-1, chunk) % n

    def search(left_out: Array) -> tuple[Array, Array]:
        def search_one(i: Array) -> tuple[Array, Array]:
            squares = squared_distances(columns, unit[i])
            copy = ((squares == 0) & (index < i)).any()
            squares = jnp.where(left_out | (index == i), jnp.inf, squares)
            return -jax.lax.top_k(-squares, k)[0], copy

        squares, copies = jax.lax.map(jax.vmap(search_one), chunks)
        return squares.reshape(-1, k)[:n], copies.reshape(-1)[:n]

    # A second time, without the copies, if there are any: a loop, which compiles the search once.
    _, squares, copies = jax.lax.while_loop(
        lambda carry: (carry[0] == 0) | ((carry[0] == 1) & carry[2].any()),
        lambda carry: (carry[0] + 1, *search(carry[2])),
        (jnp.array(0, jnp.int32), jnp.zeros((n, k), unit.dtype), jnp.zeros(n, bool)),
    )
    return jnp.sqrt(squares), ~copies, finite
