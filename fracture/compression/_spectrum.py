"""Singular values, with derivatives that stay finite where the spectrum degenerates."""

import math
from functools import partial

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._linalg import matmul, one_by_one_on_cpu
from ..norms import at_least_float32, positive
from ._arrays import as_float, normalized

METHODS = ("svd", "qr", "gram")


def spectrum(matrix: ArrayLike, *, method: str = "svd") -> Float[Array, " k"]:
    r"""Singular values of a matrix, descending.

    Any scale: the matrix is divided by its largest entry first. A matrix that is not finite has
    a spectrum of NaN, and no derivative (0).

    The derivative is $\mathrm{d}s_i = u_i^\top \mathrm{d}M\, v_i$, and zero for values that are
    zero up to rounding (at most $\max(m, n)\,\varepsilon\, s_1$, its square root with `"gram"`).
    With it, any symmetric function of the whole spectrum that is differentiable at the matrix
    gets its gradient, also where values repeat or vanish; one that has a kink at zero, such as
    the nuclear norm, gets the subgradient that leaves the null space alone.

    Parameters
    ----------
    matrix
        Floating-point array, shape `(m, n)`, neither empty.
    method
        `"svd"`: dense SVD of the matrix. `"qr"`: QR of its tall orientation, then the SVD of the
        small factor; as accurate, and faster for elongated matrices. `"gram"`: roots of the
        eigenvalues of the Gram matrix of the smaller side; faster still, but it squares the
        condition number: values below about $\sqrt{\varepsilon}\, s_1$ are noise.

    Returns
    -------
    Float[Array, "k"]
        The `min(m, n)` values, in the dtype of the matrix or float32 if that is narrower.

    Raises
    ------
    TypeError
        If `matrix` is not a floating-point array.
    ValueError
        If it is not two-dimensional, is empty, or `method` is none of the above.

    References
    ----------
    Golub, Van Loan (2013), "Matrix Computations", 4th ed., Sections 5.4 (R-bidiagonalization)
    and 8.6. Derivative: Stewart, Sun (1990), "Matrix Perturbation Theory".
    """
    if method not in METHODS:
        raise ValueError(f"method must be one of {METHODS}, got {method!r}.")
    return _singular_values(as_matrix(matrix, "matrix"), method)


def feature_spectrum(features: ArrayLike, *, center: bool = True) -> Float[Array, " k"]:
    r"""Standard deviations of features along their principal axes, descending.

    Parameters
    ----------
    features
        One row per example, shape `(n, …)`; further axes are flattened to `d`.
    center
        Subtract the mean over examples and divide by $\sqrt{n - 1}$: the values are then the
        roots of the eigenvalues of the sample covariance. Otherwise, divide by $\sqrt{n}$: of
        the second-moment matrix.

    Returns
    -------
    Float[Array, "k"]
        `min(n, d)` values.

    Raises
    ------
    TypeError
        If `features` is not a floating-point array.
    ValueError
        If there are fewer than two examples (one, if not centred), or no features.
    """
    features = as_float(features, "features")
    least = 2 if center else 1
    if features.ndim < 2 or len(features) < least or not features.size:
        raise ValueError(f"features must be (n >= {least}, …), got shape {features.shape}.")
    rows = at_least_float32(features.reshape(len(features), -1))
    rows, scale = normalized(rows)  # the sum behind the mean must not overflow
    if center:
        rows = rows - rows.mean(axis=0, keepdims=True)
    return _singular_values(rows, "qr") * (scale / math.sqrt(len(rows) - center))


def as_matrix(array: ArrayLike, name: str) -> Array:
    """`array` as a matrix of at least float32; raises if it is none, or empty."""
    array = as_float(array, name)
    if array.ndim != 2 or not array.size:
        raise ValueError(f"{name} must be a matrix that is not empty, got shape {array.shape}.")
    return at_least_float32(array)


def default_rtol(shape: tuple[int, ...], dtype: jnp.dtype) -> float:
    """Singular values below this fraction of the largest are rounding errors."""
    return max(shape) * float(jnp.finfo(dtype).eps)


def without_nan(matrix: Array) -> tuple[Array, Array, Array]:
    """`(matrix / scale, scale, finite)`, the matrix zero where it is not finite.

    LAPACK is never handed a NaN: it complains on the standard error, and may not return.
    """
    finite = jnp.isfinite(matrix).all()
    unit, scale = normalized(matrix)
    return jnp.where(finite, unit, 0), scale, finite


def _thin(matrix: Array, method: str) -> tuple[Array, Array, Array]:
    if matrix.shape[0] < matrix.shape[1]:
        v, s, ut = _thin(matrix.T, method)
        return ut.T, s, v.T
    if method == "svd":
        u, s, vt = jnp.linalg.svd(matrix, full_matrices=False)
        return u, s, vt
    if method == "qr":
        q, r = jnp.linalg.qr(matrix)
        u, s, vt = jnp.linalg.svd(r)
        return matmul(q, u), s, vt
    eigenvalues, v = jnp.linalg.eigh(matmul(matrix.T, matrix))
    s, v = jnp.sqrt(eigenvalues[::-1].clip(0)), v[:, ::-1]
    return matmul(matrix, v) / positive(s)[None], s, v.T


def _values(matrix: Array, method: str) -> Array:
    """What `_thin` calls s, in about half the time."""
    tall = matrix.T if matrix.shape[0] < matrix.shape[1] else matrix
    if method == "gram":
        return jnp.sqrt(jnp.linalg.eigvalsh(matmul(tall.T, tall))[::-1].clip(0))
    small = jnp.linalg.qr(tall, mode="r") if method == "qr" else tall
    return jnp.linalg.svd(small, compute_uv=False)


_DECOMPOSE = {method: one_by_one_on_cpu(partial(_thin, method=method)) for method in METHODS}
_VALUES = {method: one_by_one_on_cpu(partial(_values, method=method)) for method in METHODS}


def decompose(matrix: Array, method: str) -> tuple[Array, Array, Array]:
    """Thin singular value decomposition `(u, s, vt)` of a finite matrix of normal scale."""
    return _DECOMPOSE[method](matrix)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _singular_values(matrix: Array, method: str) -> Array:
    unit, scale, finite = without_nan(matrix)
    return jnp.where(finite, _VALUES[method](unit) * scale, jnp.nan)


@_singular_values.defjvp
def _singular_values_jvp(method, primals, tangents):
    (matrix,), (tangent,) = primals, tangents
    unit, scale, finite = without_nan(matrix)
    u, s, vt = decompose(unit, method)
    rtol = default_rtol(matrix.shape, matrix.dtype)
    kept = s > (math.sqrt(rtol) if method == "gram" else rtol) * s[0]
    return jnp.where(finite, s * scale, jnp.nan), values_tangent(u, vt, tangent, kept)


def values_tangent(u: Array, vt: Array, tangent: Array, kept: Array) -> Array:
    """Derivative of the singular values along `tangent`; 0 where not kept."""
    return kept.astype(u.dtype) * jnp.sum(matmul(u.T, tangent) * vt, axis=1)
