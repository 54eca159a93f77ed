"""The l_p norm at any scale, and the direction in which a linear function rises fastest."""

from functools import partial
from math import isinf

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._typing import Order
from ._order import as_number, dual_order
from ._scale import at_least_float32, over_largest, positive, power_near, sum_of_squares


def norm(x: ArrayLike, ord: Order = 2) -> Float[Array, ""]:
    """The l_ord norm of all entries of `x`, with derivative 0 at x = 0.

    Parameters
    ----------
    x
        Array of any shape, one vector.
    ord
        At least 1, or inf.

    Returns
    -------
    Float[Array, ""]
        In the dtype of `x`; inf or NaN where an entry is.

    Raises
    ------
    ValueError
        If `ord` is below 1.
    """
    dual_order(ord)
    x = jnp.asarray(x)
    return wide_norm(at_least_float32(x), ord).astype(x.dtype)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def wide_norm(x: Array, ord: Order) -> Array:
    """`norm` of an array of at least float32."""
    ord = as_number(ord)
    size = jnp.abs(x)
    if ord == 1:
        return jnp.sum(size)
    largest = jnp.max(size, initial=0)
    if isinf(ord):
        return largest
    scale, inverse = power_near(largest)
    if ord == 2:
        length = jnp.sqrt(sum_of_squares(size, inverse))
    else:  # no power of the largest may over- or underflow: divide by what is left of it
        rest = positive(largest * inverse)
        length = rest * jnp.sum((size * inverse / rest) ** ord) ** (1 / ord)
    return jnp.where((largest > 0) & (largest < jnp.inf), scale * length, largest)


@wide_norm.defjvp
def _norm_jvp(ord: Order, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # By hand, since products with the scale would underflow on the way; and 0 at 0.
    (x,), (x_dot,) = primals, tangents
    return wide_norm(x, ord), jnp.sum(steepest(x, dual_order(ord)) * x_dot)


def steepest(g: ArrayLike, ord: Order = 2) -> Float[Array, "*shape"]:
    """The v with l_ord norm 1 that maximises <g, v>, whose value is the dual norm of `g`.

    Zero where `g` is zero. For ord 1 the first of the largest entries takes all.

    Parameters
    ----------
    g
        Array of any shape, one vector; a gradient, say.
    ord
        At least 1, or inf: the norm of v.

    Returns
    -------
    Float[Array, "*shape"]
        v, in the shape and dtype of `g`.

    Raises
    ------
    ValueError
        If `ord` is below 1.
    """
    q, ord = dual_order(ord), as_number(ord)
    g = jnp.asarray(g)
    wide = at_least_float32(g)
    if isinf(ord):
        return jnp.sign(g)
    size = jnp.abs(wide)
    if ord == 1:
        first = jnp.arange(g.size) == jnp.argmax(size.ravel())
        return jnp.where(first.reshape(g.shape), jnp.sign(g), 0)
    largest = jnp.max(size, initial=0)
    if ord == 2:
        inverse = power_near(largest)[1]
        length = jnp.sqrt(sum_of_squares(wide, inverse))
        return (wide * inverse / positive(length)).astype(g.dtype)
    v = jnp.sign(wide) * over_largest(size, largest) ** (q - 1)
    return (v / positive(wide_norm(v, ord))).astype(g.dtype)
