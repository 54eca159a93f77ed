"""Checks and rescalings that every measure of this package begins with."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array

from ..norms import at_least_float32, power_near


def as_float(array: ArrayLike, name: str) -> Array:
    """`array` as a real floating-point `jax.Array`, its dtype kept.

    Raises
    ------
    TypeError
        If it is not an array, or of an integer, Boolean or complex dtype.
    """
    if not hasattr(array, "dtype") or not jnp.issubdtype(array.dtype, jnp.floating):
        got = getattr(array, "dtype", type(array).__name__)
        raise TypeError(f"{name} must be an array of a real floating-point dtype, got {got}.")
    return jnp.asarray(array)


def widest(*dtypes: DTypeLike) -> jnp.dtype:
    """What these dtypes promote to, also where JAX is told to promote none by itself."""
    with jax.numpy_dtype_promotion("standard"):
        return jnp.result_type(*dtypes)


def as_rows(array: ArrayLike, name: str, least: int) -> Array:
    """`array` of shape `(n, …)` as a matrix of n rows, of at least float32.

    Raises
    ------
    TypeError, ValueError
        If it is not a floating-point array, has fewer than `least` rows, or rows without entries.
    """
    array = as_float(array, name)
    if array.ndim < 2 or len(array) < least or not array.size:
        raise ValueError(f"{name} must be (n >= {least}, …), got shape {array.shape}.")
    return at_least_float32(array.reshape(len(array), -1))


def centred(rows: Array) -> Array:
    """The rows less their mean: exactly zero where all rows are the same."""
    rows = rows - rows[:1]
    return rows - rows.mean(axis=0, keepdims=True)


def squared_distances(columns: Array, x: Array) -> Array:
    """Squared distance of `x` from each column of a matrix, by subtraction: nothing cancels.

    Feature by feature, into one vector: in parallel over the columns, and no differences of all
    features are ever in memory.
    """
    add = lambda j, total: total + (columns[j] - x[j]) ** 2
    return jax.lax.fori_loop(0, len(x), add, jnp.zeros(columns.shape[1], columns.dtype))


def normalized(array: Array) -> tuple[Array, Array]:
    """`(array / scale, scale)` with entries of at most 4, safe to square, and a power of two.

    The scale is 1 where no entry is different from zero, or one is not finite, and a constant for
    derivatives: what is divided by it is multiplied again, or scale-free.
    """
    largest = jnp.max(jnp.abs(array))
    scale, inverse = power_near(jnp.where((largest > 0) & jnp.isfinite(largest), largest, 1))
    return array * inverse, scale
