"""Ball of a norm cut by a box: nearest points, and farthest ones along a direction."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..._typing import Key, Order
from ...norms import guarded_newton, loop_init, norm, positive, project_ball, steepest


def project_ball_box(
    y: Array, radius: Array, room: tuple[Array, Array] | None, ord: Order
) -> Array:
    r"""Nearest point to `y` in l2 of {δ : ‖δ‖_ord ≤ radius, room[0] ≤ δ ≤ room[1]}.

    By the optimality conditions δ = clip(y / t), t ≥ 1, for l2 and δ = clip(soft(y, t)), t ≥ 0,
    for l1, with the least t for which the norm fits. Clipping a projection on the ball to the box
    is in both, but not the nearest such point. Where the two do not meet, the point of the box
    with the least norm.

    Parameters
    ----------
    y
        Shape `(d,)`.
    radius
        A scalar, at least 0.
    room
        The bounds of δ, shape `(d,)` each; None for no box.
    ord
        1, 2 or inf.

    Returns
    -------
    The nearest point, shape `(d,)`.
    """
    if room is None:
        return project_ball(y, radius, ord)
    low, high = room
    plain = jnp.clip(y, low, high)
    if ord == jnp.inf:
        return jnp.clip(jnp.clip(y, -radius, radius), low, high)
    scale = positive(jnp.max(jnp.abs(y)))
    if ord == 2:
        shrunk = _shrink(y / scale, radius, radius / scale, low, high)
    else:
        shrunk = _soft(y / scale, radius / scale, low / scale, high / scale) * scale
    return jnp.where(norm(plain, ord) <= radius, plain, jnp.clip(shrunk, low, high))


def farthest(
    direction: Array, length: Array, room: tuple[Array, Array] | None, ord: Order
) -> Array:
    r"""The δ with ‖δ‖_ord ≤ length and room[0] ≤ δ ≤ room[1] that maximises ⟨direction, δ⟩.

    `length * steepest(direction)` without a box. With one, it goes on with the other coordinates
    where some are at their bounds, and for l1 uses up the best of them one after the other.

    Parameters
    ----------
    direction
        Shape `(d,)`.
    length
        A scalar, at least 0.
    room
        The bounds of δ, shape `(d,)` each, with 0 between them; None for no box.
    ord
        1, 2 or inf.

    Returns
    -------
    The move, shape `(d,)`.
    """
    if room is None:
        return length * steepest(direction, ord)
    low, high = room
    if ord == jnp.inf:
        return jnp.clip(length * jnp.sign(direction), low, high)
    direction = direction / positive(jnp.max(jnp.abs(direction)))
    if ord == 2:
        least = float(jnp.finfo(length.dtype).eps) ** 2
        move = _shrink(direction, length, least, low, high)
        return jnp.clip(move, low, high)
    capacity = jnp.minimum(jnp.where(direction > 0, high, -low), length)
    return jnp.sign(direction) * _fill(jnp.abs(direction), capacity, length)


def random_in_ball(key: Key, like: Array, ord: Order) -> Array:
    """A vector drawn uniformly from the ball of radius 1, of the shape and dtype of `like`.

    Parameters
    ----------
    key
        Used once.
    like
        Shape `(d,)`.
    ord
        1, 2 or inf.

    Returns
    -------
    The vector, shape `(d,)`.
    """
    if ord == jnp.inf:
        return jax.random.uniform(key, like.shape, like.dtype, -1, 1)
    return jax.random.ball(key, like.size, float(ord), dtype=like.dtype)


def _shrink(y: Array, radius: Array, least: Array | float, low: Array, high: Array) -> Array:
    """clip(radius y / t) with the smallest t ≥ `least` whose l2 norm is at most `radius`."""
    unit = positive(radius)
    low, high = low / unit, high / unit

    def measure(t):
        scaled = y / t
        free = (low < scaled) & (scaled < high)
        fixed = jnp.sum(jnp.where(free, 0, jnp.clip(scaled, low, high) ** 2))
        length = jnp.sqrt(jnp.sum(jnp.where(free, y, 0) ** 2))
        total = fixed + (length / t) ** 2
        return total <= 1, length / jnp.sqrt(jnp.maximum(1 - fixed, 0))

    least = least + 0 * radius
    start = positive(jnp.maximum(norm(y), 2 * least))
    most = jnp.full_like(least, jnp.inf)
    t = guarded_newton(measure, *loop_init((least, start, most), least + start))
    return radius * jnp.clip(y / t, low, high)


def _soft(y: Array, radius: Array, low: Array, high: Array) -> Array:
    """clip(soft(y, t)) with the smallest t ≥ 0 whose l1 norm is at most `radius`."""
    size = jnp.abs(y)

    def soft(t):
        return jnp.sign(y) * jnp.maximum(size - t, 0)

    def measure(t):
        moved = soft(t)
        free = (size > t) & (low < moved) & (moved < high)
        fixed = jnp.sum(jnp.where(free, 0, jnp.abs(jnp.clip(moved, low, high))))
        total = jnp.sum(jnp.where(free, size, 0))
        count = jnp.sum(free, dtype=y.dtype)
        root = jnp.where(count > 0, (total + fixed - radius) / count, -1)
        return total - count * t + fixed <= radius, root

    least = 0 * radius
    most = jnp.ones_like(least)
    root = measure(least)[1]
    start = jnp.where((least < root) & (root < most), root, most / 2)
    t = guarded_newton(measure, *loop_init((least, start, most), least + start))
    return jnp.clip(soft(t), low, high)


def _fill(gain: Array, capacity: Array, length: Array) -> Array:
    """The s with 0 ≤ s ≤ capacity and a sum of at most `length` that maximises ⟨gain, s⟩."""

    def halve(_, bracket):
        missed, fits = bracket
        middle = (missed + fits) / 2
        enough = jnp.sum(jnp.where(gain > middle, capacity, 0)) <= length
        return jnp.where(enough, missed, middle), jnp.where(enough, middle, fits)

    zero = jnp.zeros((), gain.dtype)
    init = loop_init((zero, zero + 1), length + jnp.sum(gain))
    steps = jnp.finfo(gain.dtype).nmant + 2
    missed, pivot = jax.lax.fori_loop(0, steps, halve, init)
    full = jnp.where(gain > pivot, capacity, 0)
    tied = jnp.where((gain > missed) & (gain <= pivot), capacity, 0)
    share = jnp.clip((length - jnp.sum(full)) / positive(jnp.sum(tied)), 0, 1)
    return full + share * tied
