"""The part of a displacement that lies in a subspace, and what a random subspace would give."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float, Int

from .._checks import check_counts, traced
from .._linalg import matmul, one_by_one_on_cpu, vdot
from .._typing import Key
from ..norms import positive
from ._arrays import as_float, normalized, widest
from ._spectrum import as_matrix, decompose, default_rtol, values_tangent, without_nan


class Projection(NamedTuple):
    r"""How much of a displacement lies in a subspace of $\mathbb{R}^d$.

    Attributes
    ----------
    ratio
        ‖P Δ‖ / ‖Δ‖; NaN for a zero displacement or input not finite.
    rank
        Dimension of the subspace under rtol; -1 for input not finite.
    rtol
        Smallest singular value kept, relative to the largest.
    null_ratio
        Root mean square of the ratio for a random subspace.
    """

    ratio: Float[Array, ""]
    rank: Int[Array, ""]
    rtol: Float[Array, ""]
    null_ratio: Float[Array, ""]


def project(
    matrix_rows: ArrayLike, displacement: ArrayLike, *, rtol: float | None = None
) -> Projection:
    r"""Fraction $\|P_S \Delta\|_2 / \|\Delta\|_2$ of a displacement in the row space S of a matrix.

    Differentiable in both arguments where the rank stays what it is, also where singular values
    repeat or vanish: with $P\Delta = M^\top c$ the derivative of $\|P\Delta\|^2 / 2$ is
    $\langle P\Delta, \mathrm{d}\Delta\rangle + \langle c, \mathrm{d}M\,(\Delta - P\Delta)\rangle$
    (variable projection).

    Parameters
    ----------
    matrix_rows
        Rows that span S, shape `(k, d)`; they may be dependent. Any scale.
    displacement
        $\Delta$, `d` entries in any shape. Any scale.
    rtol
        Directions whose singular value is at most `rtol` times the largest do not count.
        Default: $\max(k, d)\,\varepsilon$ of the dtype.

    Returns
    -------
    Projection
        Ratio, rank, tolerance, and the ratio that a random subspace of that rank would have. The
        ratio is 0 where all rows are zero.

    Raises
    ------
    TypeError
        If an argument is not a floating-point array.
    ValueError
        If the shapes do not fit or `rtol` is not in [0, 1).

    References
    ----------
    Golub, Pereyra (1973), "The differentiation of pseudo-inverses and nonlinear least squares
    problems whose variables separate", SIAM J. Numer. Anal. 10(2), eq. (4.12).
    """
    return project_and_spectrum(matrix_rows, displacement, rtol)[0]


def null_ratio(rank: ArrayLike, dim: int) -> Float[Array, "..."]:
    r"""Root mean square of `project`'s ratio if the subspace is random: $\sqrt{k / d}$.

    The null model of any measured ratio. The squared ratio of an isotropic subspace of
    dimension k is distributed as $\mathrm{Beta}(k/2, (d - k)/2)$, with mean $k/d$; the median
    of the ratio is lower, by a third where k is 1. So most networks that know nothing are below
    this value: `fracture.theory.null_pvalue` says what one measured ratio shows.

    Parameters
    ----------
    rank
        k, an integer or an array of them, at most d; traced, any larger one counts as d.
    dim
        d, the dimension of the whole space.

    Returns
    -------
    Float[Array, "..."]
        One value per rank, in the default floating-point dtype; NaN for a negative rank.

    Raises
    ------
    ValueError
        If `dim` is less than 1 or a `rank` that is not traced exceeds it.
    """
    check_counts(dim=dim)
    if not traced(rank) and np.any(np.asarray(rank) > dim):
        raise ValueError(f"a rank must be at most dim = {dim}, got {rank}.")
    return jnp.sqrt(jnp.minimum(jnp.asarray(rank, float) / dim, 1))


def random_subspace(
    key: Key, dim: int, rank: int, *, dtype: DTypeLike = float
) -> Float[Array, "rank dim"]:
    """Orthonormal basis of a uniformly distributed subspace: a draw from the null model.

    Parameters
    ----------
    key
        Random key.
    dim, rank
        Dimension of the space and of the subspace, `1 <= rank <= dim`.
    dtype
        Of the result.

    Returns
    -------
    Float[Array, "rank dim"]
        Orthonormal rows.

    Raises
    ------
    ValueError
        If `rank` is out of its range.
    """
    if not 1 <= rank <= dim:
        raise ValueError(f"rank must be in 1 … dim = {dim}, got {rank}.")
    return _orthonormal(jax.random.normal(key, (dim, rank), dtype)).T


def project_and_spectrum(
    matrix_rows: ArrayLike, displacement: ArrayLike, rtol: float | None = None
) -> tuple[Projection, Float[Array, " values"]]:
    """`project`, with the singular values of the rows from the same decomposition.

    Parameters
    ----------
    matrix_rows, displacement, rtol
        As of `project`.

    Returns
    -------
    projection
        What `project` returns.
    singular_values
        The `min(k, d)` of them, descending, as of `spectrum`.

    Raises
    ------
    TypeError, ValueError
        As `project`.
    """
    rows, delta = as_matrix(matrix_rows, "matrix_rows"), as_float(displacement, "displacement")
    if delta.size != rows.shape[1]:
        raise ValueError(f"displacement {delta.shape} does not fit the rows, {rows.shape}.")
    dtype = widest(rows.dtype, delta.dtype)
    rows, delta = rows.astype(dtype), delta.ravel().astype(dtype)
    if rtol is None:
        rtol = default_rtol(rows.shape, dtype)
    if not 0 <= rtol < 1:
        raise ValueError(f"rtol must be in [0, 1), got {rtol}.")
    rows, scale, finite = without_nan(rows)
    delta, _ = normalized(delta)
    norm = jnp.linalg.vector_norm(delta)
    projected, s = _projected_norm(rows, delta, rtol)
    rank = jnp.where(finite, jnp.sum(s > rtol * s[0], dtype=jnp.int32), -1)
    ratio = jnp.where(finite & jnp.isfinite(norm) & (norm > 0), projected / norm, jnp.nan)
    null = jnp.sqrt(rank.astype(dtype) / delta.size)
    values = jnp.where(finite, s * scale, jnp.nan)
    return Projection(ratio, rank, jnp.array(rtol, dtype), null), values


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def _projected_norm(rows: Array, delta: Array, rtol: float) -> tuple[Array, Array]:
    _, s, vt = decompose(rows, "qr")
    inside = jnp.where(s > rtol * s[0], matmul(vt, delta), 0)
    return jnp.linalg.vector_norm(inside), s


@_projected_norm.defjvp
def _projected_norm_jvp(rtol, primals, tangents):
    (rows, delta), (rows_dot, delta_dot) = primals, tangents
    u, s, vt = decompose(rows, "qr")
    kept = s > rtol * s[0]
    inside = jnp.where(kept, matmul(vt, delta), 0)
    norm = jnp.linalg.vector_norm(inside)
    projected = matmul(vt.T, inside)
    coefficients = matmul(u, inside / jnp.where(kept, s, 1))
    half_square_dot = vdot(projected, delta_dot) + vdot(
        coefficients, matmul(rows_dot, delta - projected)
    )
    norm_dot = half_square_dot / positive(norm)
    return (norm, s), (norm_dot, values_tangent(u, vt, rows_dot, kept))


_orthonormal = one_by_one_on_cpu(lambda matrix: jnp.linalg.qr(matrix)[0])
