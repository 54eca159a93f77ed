"""The points that a bound speaks of: a ball around an input, cut by a box."""

from math import isinf
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..norms import norm, positive, power_near

_STEPS = 12  # of the multiplier of the ball; the bound is one after any number of them


class Domain(NamedTuple):
    """{x + δ : ‖δ‖ ≤ radius, room[0] ≤ δ ≤ room[1]}, vectors; local to one trace."""

    x: Float[Array, " d"]
    radius: Float[Array, ""]
    ord: int | float
    room: tuple[Array, Array] | None  # neither of them excludes 0


def spread(domain: Domain) -> tuple[Array, Array]:
    """Least and greatest entries of δ."""
    reach = jnp.broadcast_to(domain.radius, domain.x.shape)
    if domain.room is None:
        return -reach, reach
    return jnp.maximum(domain.room[0], -reach), jnp.minimum(domain.room[1], reach)


def least(domain: Domain, c: Float[Array, " d"]) -> Float[Array, ""]:
    """A lower bound of <c, δ> over the domain, equal to the minimum up to rounding.

    In l1 the ball is spent on the largest |c|, as in a fractional knapsack; in l2 with a box it is
    the value of the dual, max over λ ≥ 0 of Σ min (c_i δ_i + λδ_i²/2) − λ radius²/2.
    """
    size, eps = jnp.abs(c), jnp.finfo(c.dtype).eps
    rounding = 1 + (c.size + 8) * eps
    radius = domain.radius
    if isinf(domain.ord) or domain.room is None:
        if isinf(domain.ord):
            low, high = spread(domain)
            total = jnp.sum(jnp.where(c > 0, c * low, c * high))
        elif domain.ord == 1:
            total = -radius * jnp.max(size)
        else:
            total = -radius * norm(c)  # with a derivative at 0
        return total * rounding
    low, high = spread(domain)
    most = jnp.where(c > 0, -low, high)
    if domain.ord == 1:
        order = jnp.argsort(-size)
        room = jnp.cumsum(most[order])
        spent = jnp.minimum(room, radius) - jnp.minimum(room - most[order], radius)
        return -jnp.sum(size[order] * spent) * rounding * (1 + 2 * c.size * eps)

    # Of coefficients in units of the largest, whose squares are neither 0 nor infinite; the larger
    # of them and 0, or XLA would square constants apart from their unit.
    scale, inverse = power_near(jnp.max(size))
    size = jnp.maximum(size * inverse, 0)
    # To first order the best value of a dual does not depend on where it is.
    weight = _multiplier(*jax.lax.stop_gradient((size, most, radius)))
    # Where the box alone binds, the multiplier is 0 and everything is at the box.
    moved = jnp.where(weight > 0, jnp.minimum(most, size / positive(weight)), most)
    inner = jnp.sum(size * moved - weight * moved**2 / 2)
    ball = -(inner + weight * radius**2 / 2)
    corner = -jnp.sum(size * most)
    flushed = 4 * c.size * jnp.finfo(c.dtype).tiny * radius  # what is far below the largest
    return scale * (jnp.maximum(ball, corner) - flushed) * rounding


def _multiplier(size: Array, most: Array, radius: Array) -> Array:
    """Of the ball, by Newton's method: what is not at the box shares what is left of it."""

    def step(_, weight):
        free = size < weight * most
        left = radius**2 - jnp.sum(jnp.where(free, 0, most**2))
        follows = jnp.sqrt(jnp.sum(jnp.where(free, size**2, 0)) / positive(left))
        return jnp.where(left > 0, jnp.minimum(follows, weight), weight / 2)

    start = jnp.sqrt(jnp.sum(size**2)) / positive(radius)
    return jax.lax.fori_loop(0, _STEPS, step, start)
