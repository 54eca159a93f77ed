"""Units in which nothing under- or overflows: powers of two near the largest entry."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

MOST_UNITS = 16  # of `power_near` that the largest entry can have: 8, where it is near overflow


def at_least_float32(x: Array) -> Array:
    """Half precision as float32, other floating dtypes as they are."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"wanted an array of a floating dtype, got {x.dtype}.")
    return x.astype(jnp.float32) if x.dtype.itemsize < 4 else x


def power_near(x: Array) -> tuple[Array, Array]:
    """A power of two within a factor 4 of x > 0, and its inverse: normal numbers, both.

    To divide by: XLA makes of a division by a scalar a multiplication by its reciprocal, which it
    flushes to zero for numbers above the inverse of the smallest normal one.
    """
    info = jnp.finfo(x.dtype)
    near = jnp.clip(jax.lax.stop_gradient(x), 4 * info.tiny, info.max / 4)
    power = jax.lax.reduce_precision(near, exponent_bits=info.nexp, mantissa_bits=0)
    return power, 1 / power


def over_largest(x: Array, largest: Array) -> Array:
    """`x` in units of its largest entry; 0 where that is 0."""
    inverse = power_near(largest)[1]
    return x * inverse / positive(largest * inverse)


def sum_of_squares(x: Array, inverse: Array) -> Array:
    """Of `x` times the inverse of a unit near its largest entry.

    Where `x` is a constant, XLA would square it and the inverse apart, which under- or overflow:
    so what is squared is chosen, though it always is the product, or not finite.
    """
    scaled = x * inverse
    return jnp.sum(jnp.where(jnp.abs(scaled) <= MOST_UNITS, scaled, jnp.inf) ** 2)


def positive(x: Array) -> Array:
    """`x`, or 1 where it is not positive: a divisor."""
    return jnp.where(x > 0, x, 1)
