"""The smallest move into a half-space, within a box."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._typing import Bounds, Order
from ._box import broadcast_bounds
from ._norm import steepest, wide_norm
from ._order import as_number, check_order, dual_order
from ._root import below, first, guarded_newton, loop_init
from ._scale import at_least_float32, positive, power_near


def project_halfspace_box(
    x: ArrayLike,
    weight: ArrayLike,
    offset: ArrayLike,
    *,
    bounds: Bounds | None = None,
    ord: Order = 2,
) -> tuple[Float[Array, "*shape"], Float[Array, ""]]:
    r"""Smallest move of `x` into {z : ⟨weight, z⟩ + offset ≤ 0} and the box, in l_ord.

    Parameters
    ----------
    x
        Array of any shape, inside the box or not.
    weight, offset
        Normal of the half-space, of the shape of `x`, and a scalar.
    bounds
        `(lower, upper)`, scalars or arrays that broadcast against `x`; None for no box.
    ord
        1, 2 or inf; without a box any order of at least 1.

    Returns
    -------
    delta, distance
        The move and its norm. Where half-space and box do not meet, `distance` is inf and `delta`
        goes as far as the box allows.

    Raises
    ------
    ValueError
        For another `ord`, for a weight of another shape, for bounds that do not broadcast.
    """
    x = jnp.asarray(x)
    wide, weight = at_least_float32(x), jnp.asarray(weight)
    if weight.shape != x.shape:
        raise ValueError(f"weight must have the shape of x, {x.shape}; got {weight.shape}.")
    weight = weight.astype(wide.dtype)
    inverse = power_near(jnp.max(jnp.abs(weight), initial=0))[1]
    weight = weight * inverse
    excess = jnp.sum(weight * wide) + jnp.asarray(offset, wide.dtype) * inverse
    room = None
    if bounds is not None:
        lower, upper = broadcast_bounds(bounds, wide)
        room = lower - wide, upper - wide
    delta, distance = halfspace_step(excess, weight, room=room, ord=ord)
    return delta.astype(x.dtype), distance.astype(x.dtype)


def halfspace_step(
    excess: Float[Array, ""],
    weight: Float[Array, "*shape"],
    *,
    room: tuple[Array, Array] | None = None,
    ord: Order = 2,
) -> tuple[Float[Array, "*shape"], Float[Array, ""]]:
    r"""Smallest δ with excess + ⟨weight, δ⟩ ≤ 0 and room[0] ≤ δ ≤ room[1].

    What `project_halfspace_box` does once `x` is the origin. A solver that knows the value
    `excess` of the linearised margin loses no digits by subtracting ⟨weight, x⟩ again.

    Without `room`, δ = −(excess / ‖weight‖_*) · `steepest(weight)`. With it, and with
    s = −sign(weight) δ and a = |weight|: for l2 s = clip(λa) and for l∞ s = clip(λ), λ the root of
    a piecewise-linear function, exact after finitely many Newton steps; for l1 the coordinates
    with the largest weights are used up first, as in a fractional knapsack.

    Parameters
    ----------
    excess
        Scalar; nothing has to move where it is not positive.
    weight
        Normal of the half-space, of any shape.
    room
        Least and largest δ, arrays of the shape of `weight`; None for no box.
    ord
        1, 2 or inf; without a box any order of at least 1.

    Returns
    -------
    delta, distance
        As of `project_halfspace_box`.

    Raises
    ------
    ValueError
        For another `ord`.
    """
    dual_order(ord)
    ord = as_number(ord)
    size = jnp.abs(weight)
    largest = jnp.max(size, initial=0)
    inverse = power_near(largest)[1]
    gain, need = size * inverse, excess * inverse
    if room is None:
        posed = (largest > 0) & (need < jnp.inf)
        length = jnp.where(
            posed, jnp.maximum(need, 0) / positive(wide_norm(gain, dual_order(ord))), 0
        )
        delta = -length * steepest(weight, ord)
        return delta, jnp.where(posed | (excess <= 0), wide_norm(delta, ord), jnp.inf)

    check_order(ord)
    # Coordinates with weight zero do not help: they only go where the box forces them.
    up = weight < 0
    low = jnp.where(up, room[0], -room[1])
    high = jnp.where(up, room[1], -room[0])
    useful = gain > 0
    reach = jnp.sum(jnp.where(useful, gain * jnp.where(useful, high, 0), 0))
    feasible = (reach >= need) & jnp.all(low <= high)
    # An empty problem is replaced by one that ends at once; its answer is not used.
    target = jnp.where(feasible, need, -jnp.inf)
    if ord == 1:
        s = _knapsack(target, gain, low, high)
    else:
        rate = gain if ord == 2 else jnp.where(useful, jnp.ones_like(gain), 0)
        s = jnp.clip(_level(target, gain, rate, low, high) * rate, low, high)
    farthest = jnp.where(useful & (high < jnp.inf), high, jnp.clip(0, low, high))
    s = jnp.where(feasible, s, farthest)
    delta = jnp.where(up, s, -s)
    return delta, jnp.where(feasible, wide_norm(delta, ord), jnp.inf)


def _level(need: Array, gain: Array, rate: Array, low: Array, high: Array) -> Array:
    """Smallest λ ≥ 0 with ⟨gain, clip(λ rate, low, high)⟩ ≥ need, which must exist.

    Newton on a piecewise-linear function. When 0 lies between `low` and `high` the function is
    concave: Newton from the left never overshoots and ends after finitely many steps. In general
    a bracket guards it.
    """

    def measure(level):
        s = level * rate
        free = (s >= low) & (s < high) & (rate > 0)
        fixed = jnp.sum(jnp.where(free, 0, gain * jnp.clip(s, low, high)))
        slope = jnp.sum(jnp.where(free, gain * rate, 0))
        # The root depends on the set `free` alone: an unchanged set repeats it to the last bit.
        return fixed + slope * level >= need, (need - fixed) / slope

    zero = jnp.zeros((), gain.dtype)
    zero, inf = loop_init((zero, zero + jnp.inf), need + jnp.sum(low + high + gain))
    level = guarded_newton(measure, zero, zero, inf)
    return jnp.minimum(level, jnp.finfo(gain.dtype).max)


def _knapsack(need: Array, gain: Array, low: Array, high: Array) -> Array:
    """Smallest sum of |s| with ⟨gain, s⟩ ≥ need: fill in the order of decreasing gain.

    The gain of the coordinate that is filled in part is found by bisection over the floating-point
    numbers themselves, so it is exact and nothing is sorted.
    """
    forced = jnp.clip(0, low, high)
    capacity = high - forced
    need = need - jnp.sum(gain * forced)
    mass = jnp.where(gain > 0, gain * jnp.where(gain > 0, capacity, 0), 0)

    zero = jnp.zeros((), gain.dtype)
    zero, most = loop_init((zero, zero + 8), need + jnp.sum(mass))
    missed = first(lambda least: jnp.sum(jnp.where(gain >= least, mass, 0)) < need, zero, most)
    pivot = below(missed)
    left = need - jnp.sum(jnp.where(gain > pivot, mass, 0))
    left = left / positive(pivot)  # what the coordinates at the pivot still have to do
    tied = jnp.where(gain == pivot, jnp.minimum(capacity, left), 0)
    share = jnp.clip(left / positive(jnp.sum(tied)), 0, 1)
    filled = jnp.where(gain > pivot, high, forced + tied * share)  # `high` itself, not rounded
    return jnp.where(need > 0, filled, forced)
