"""The half-space in which a network would answer otherwise if it were affine, and its projection.

What solvers that linearise do at every step, so written for speed: a gradient is divided by its
largest entry once, after which nothing under- or overflows and nothing is scaled again.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from ..._problem import Problem
from ..._typing import Order
from ...norms import dual_order, halfspace_step, over_largest, positive

NEWTON_STEPS = 3  # of a projection in a box; the multiplier of the step before does the rest
SHARES = (1 / 6, 1 / 2, 5 / 6)  # of the newer half-space, when two are combined


class Cut(NamedTuple):
    """The half-space {δ : excess + ⟨normal, δ⟩ ≤ 0} of displacements from x."""

    excess: Array
    normal: Array  # largest entry ±1; zero where there is no gradient
    finite: Array  # bool: the gradient is finite

    def at(self, delta: Array) -> Array:
        """The linearised margin there, in units of the largest entry of the gradient."""
        return self.excess + jnp.sum(self.normal * delta)


def linearise_at(delta: Array, margin: Array, grad: Array) -> Cut:
    """The half-space where the margin, linearised at `delta`, is at most zero.

    Parameters
    ----------
    delta
        A displacement from x, shape `(d,)`.
    margin, grad
        The margin there and its gradient, shape `(d,)`.

    Returns
    -------
    A `Cut`.
    """
    largest = jnp.max(jnp.abs(grad))
    finite = jnp.isfinite(largest)
    scale = jnp.where(finite & (largest > 0), largest, 1)
    normal = jnp.where(finite, over_largest(grad, scale), 0)
    return Cut(margin / scale - jnp.sum(normal * delta), normal, finite)


def project_cut(problem: Problem, cut: Cut, level: Array) -> tuple[Array, Array]:
    """The smallest displacement in half-space and bounds, and the multiplier that gives it.

    In a box δ = clip(−λv), v the normal (l2) or its signs (l∞), and λ is sought by a few steps of
    Newton's method from `level`, the multiplier of a similar problem or 0: exact as soon as it is
    known which coordinates are at their bounds. Elsewhere, and for l1, exact at once.

    Parameters
    ----------
    problem
        The norm and the bounds.
    cut
        The half-space.
    level
        The multiplier of a similar problem, or 0.

    Returns
    -------
    delta, level
        Shape `(d,)`, and the multiplier.
    """
    room = problem.room(problem.origin)
    if room is None or problem.ord == 1:
        return halfspace_step(cut.excess, cut.normal, room=room, ord=problem.ord)[0], level
    low, high = room
    along = cut.normal if problem.ord == 2 else jnp.sign(cut.normal)
    straight = cut.excess / positive(jnp.sum(cut.normal * along))  # without the box
    level = jnp.maximum(jnp.where(level > 0, level, straight), 0)
    left, right = jnp.zeros_like(level), jnp.full_like(level, jnp.inf)
    for _ in range(NEWTON_STEPS):
        move = -level * along
        free = (move > low) & (move < high)
        slope = jnp.sum(jnp.where(free, cut.normal * along, 0))
        value = cut.at(jnp.clip(move, low, high))
        left, right = jnp.where(value > 0, level, left), jnp.where(value > 0, right, level)
        root = level + value / positive(slope)
        # From outside the box a step can be flat or lead away.
        inside = (slope > 0) & (left <= root) & (root <= right)
        halfway = jnp.where(right < jnp.inf, (left + right) / 2, 2 * level)
        level = jnp.where(inside, root, halfway)
    return jnp.clip(-level * along, low, high), level


def combine(problem: Problem, one: Cut, other: Cut, delta: Array) -> Cut:
    """A convex combination of two half-spaces, the farthest from x of a few.

    It contains what both have in common; the farthest of all is as far as that intersection, by
    duality in every norm. A few suffice, since the steps that follow combine again. Coordinates
    where `delta` is at a bound count as fixed there.

    Parameters
    ----------
    problem
        The norm and the bounds.
    one, other
        The half-spaces; shares from 1/6 to 5/6 of the other are tried.
    delta
        Where both were linearised, about; shape `(d,)`.

    Returns
    -------
    A `Cut`.
    """
    room = problem.room(problem.origin)
    free = jnp.ones_like(delta, bool) if room is None else (delta > room[0]) & (delta < room[1])
    fixed = jnp.where(free, 0, delta)
    ends = one.at(fixed), other.at(fixed)

    def distance(share: float) -> Array:
        normal = jnp.where(free, (1 - share) * one.normal + share * other.normal, 0)
        size = unscaled_norm(normal, dual_order(problem.ord))
        return ((1 - share) * ends[0] + share * ends[1]) / positive(size)

    share, farthest = jnp.full_like(one.excess, SHARES[0]), distance(SHARES[0])
    for other_share in SHARES[1:]:
        far = distance(other_share)
        share, farthest = jnp.where(far > farthest, other_share, share), jnp.maximum(far, farthest)
    return Cut(
        (1 - share) * one.excess + share * other.excess,
        (1 - share) * one.normal + share * other.normal,
        one.finite & other.finite,
    )


def scaled(grad: Array) -> tuple[Array, Array]:
    """A gradient over the size of its largest entry, and that size."""
    largest = jnp.max(jnp.abs(grad))
    return over_largest(grad, largest), largest


def unscaled_norm(x: Array, ord: Order) -> Array:
    """The norm of a vector whose entries are neither tiny nor huge: one pass over them."""
    if ord == 1:
        return jnp.sum(jnp.abs(x))
    return jnp.sqrt(jnp.sum(x * x)) if ord == 2 else jnp.max(jnp.abs(x))
