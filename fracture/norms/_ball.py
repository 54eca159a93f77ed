"""The nearest point of a ball."""

from math import isinf

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._typing import Order
from ._order import check_order
from ._root import loop_init
from ._scale import at_least_float32, positive, power_near, sum_of_squares


def project_ball(x: ArrayLike, radius: ArrayLike, ord: Order = 2) -> Float[Array, "*shape"]:
    r"""Nearest point to `x` in l2 of the ball {v : ‖v‖_ord ≤ radius}.

    For ord 1, soft thresholding at the level where the norm is `radius`. The level is the root of
    a convex piecewise-linear function; Newton's method from the left reaches it exactly after
    finitely many steps.

    Parameters
    ----------
    x
        Array of any shape.
    radius
        Scalar; NaN comes back where it is negative (an empty ball) or NaN.
    ord
        1, 2 or inf.

    Returns
    -------
    Float[Array, "*shape"]
        In the shape and dtype of `x`.

    Raises
    ------
    ValueError
        For any other `ord`.

    References
    ----------
    Michelot (1986), "A finite algorithm for finding the projection of a point onto the canonical
    simplex of R^n". Condat (2016), "Fast projection onto the simplex and the l1 ball".
    """
    ord = check_order(ord)
    x = jnp.asarray(x)
    wide = at_least_float32(x)
    radius = jnp.asarray(radius, wide.dtype)
    if isinf(ord):
        inside = jnp.clip(wide, -radius, radius)
    elif ord == 2:
        scale, inverse = power_near(jnp.max(jnp.abs(wide), initial=0))
        length = jnp.sqrt(positive(sum_of_squares(wide, inverse)))  # at 0, too, with a derivative
        scaled = radius / length * (wide * inverse)
        inside = jnp.where(scale * length > radius, scaled, wide)
    else:
        inside = _soft_threshold(wide, radius)
    return jnp.where(radius >= 0, inside, jnp.nan).astype(x.dtype)


def _soft_threshold(x: Array, radius: Array) -> Array:
    scale, inverse = power_near(jnp.max(jnp.abs(x), initial=0))
    size, radius = jnp.abs(x) * inverse, radius * inverse

    def newton(level):
        above = size > level
        total = jnp.sum(jnp.where(above, size, 0)) - radius
        return total / jnp.maximum(jnp.sum(above, dtype=x.dtype), 1)

    def rises(carry):
        level, following = carry
        return following > level

    def advance(carry):
        _, level = carry
        return level, newton(level)

    zero = jnp.zeros((), x.dtype)
    init = loop_init((zero - 1, zero), radius + jnp.sum(size))
    level = jax.lax.while_loop(rises, advance, init)[0]
    return jnp.sign(x) * jnp.maximum(size - level, 0) * scale
