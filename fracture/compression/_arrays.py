"""Checks and rescalings that every measure of this package begins with."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array


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


def at_least_float32(array: Array) -> Array:
    """Widen float16 and bfloat16 to float32, which the factorizations need."""
    return array.astype(widest(array.dtype, jnp.float32))


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
    """`(array / scale, scale)` with entries below 2, safe to square, and a power of two as scale.

    The scale is 1 where no entry is different from zero, or one is not finite, and a constant for
    derivatives: what is divided by it is multiplied again, or scale-free. The division is a
    multiplication by an exact power: XLA may turn `x / a / b` into `x / (a * b)`, and a division
    into a multiplication by a reciprocal that it flushes to zero.
    """
    largest = jax.lax.stop_gradient(jnp.max(jnp.abs(array)))
    usable = (largest > 0) & jnp.isfinite(largest)
    exponent = jnp.frexp(jnp.where(usable, largest, 1))[1] - 1
    exponent = exponent.clip(jnp.finfo(array.dtype).minexp, -jnp.finfo(array.dtype).minexp)
    one = jnp.ones((), array.dtype)
    return array * jnp.ldexp(one, -exponent), jnp.ldexp(one, exponent)
