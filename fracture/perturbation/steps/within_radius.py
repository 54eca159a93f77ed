"""What attacks within a fixed radius share: where they start, stay and end, and the best so far."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from ..._checks import check_radius
from ..._problem import Problem, Reading
from ..._typing import Key
from ...norms import norm, positive, steepest
from .ball import farthest, project_ball_box, random_in_ball
from .ray import Crossing, cross, no_crossing

ROUNDING = 16  # ulps by which projections stay inside the ball


class Visited(NamedTuple):
    """The best displacement that an attack has come by."""

    delta: Array  # as stored
    reach: Array  # norm at which the margin, interpolated from x to there or beyond, vanishes
    crossed: Array  # bool: verified, and within the radius
    margin: Array  # there
    answer: Array  # the class there


def fixed_radius(problem: Problem, radius: ArrayLike) -> Array:
    """The radius in the working dtype; 0 where a traced one is no radius.

    Parameters
    ----------
    problem
        From `pose`.
    radius
        As a user gives it; may be traced.

    Returns
    -------
    A scalar.

    Raises
    ------
    ValueError
        If it is no real number, or, where it is not traced, negative or not finite.
    """
    check_radius(radius)
    rounded = jnp.asarray(radius).astype(problem.x.dtype).astype(problem.center.dtype)
    return jnp.where((rounded > 0) & jnp.isfinite(rounded), rounded, 0)


def linearised_distance(problem: Problem) -> tuple[Array, Array]:
    """Distance of x from the boundary linearised there, the unit of all others.

    Where that is out of reach, how far the box lets x go; failing that, the norm of x, or 1.

    Parameters
    ----------
    problem
        From `pose`.

    Returns
    -------
    distance, finite
        A positive scalar, and whether the gradient is finite.
    """
    _, point = problem.land(problem.center)
    reading, grad = problem.read_and_grad(point)
    move, distance = problem.step(problem.origin, jnp.maximum(reading.margin, reading.slack), grad)
    sizes = jnp.stack([distance, problem.size(move), norm(problem.center, problem.ord)])
    usable = (sizes > 0) & (sizes < jnp.inf)
    unit = jnp.where(jnp.any(usable), sizes[jnp.argmax(usable)], 1)
    return unit, jnp.all(jnp.isfinite(grad))


def start_within(problem: Problem, radius: Array, key: Key | None) -> Array:
    """The first displacement of an attack: at x, or with a key anywhere in the ball around it.

    Parameters
    ----------
    problem
        From `pose`.
    radius
        A scalar.
    key
        Used once; None for none.

    Returns
    -------
    A displacement, shape `(d,)`.
    """
    rest = problem.center - problem.origin
    return rest if key is None else rest + radius * random_in_ball(key, rest, problem.ord)


def cross_within(problem: Problem, visited: Visited, radius: Array) -> Crossing:
    """The crossing on the ray of a displacement if within the radius, or the displacement.

    Parameters
    ----------
    problem
        From `pose`.
    visited
        The best that an attack came by.
    radius
        A scalar.

    Returns
    -------
    A `Crossing`; nothing where neither is within the radius.
    """
    delta = visited.delta.astype(problem.center.dtype)
    found = cross(problem, delta)
    itself = found._replace(
        low=jnp.minimum(found.low, 1),
        high=jnp.ones_like(found.high),
        high_margin=visited.margin,
        delta=visited.delta,
        norm=problem.size(delta),
        answer=visited.answer,
    )
    shorter = found.norm <= radius
    either = jax.tree.map(lambda a, b: jnp.where(shorter, a, b), found, itself)
    inside = shorter | visited.crossed
    return jax.tree.map(lambda a, b: jnp.where(inside, a, b), either, no_crossing(problem))


def unvisited(problem: Problem, delta: Array) -> Visited:
    """Before anything was read."""
    far = jnp.full((), jnp.inf, problem.center.dtype)
    return Visited(
        delta=delta.astype(problem.x.dtype),
        reach=far,
        crossed=jnp.zeros((), bool),
        margin=far,
        answer=jnp.full((), -1, jnp.int32),
    )


def visit(
    problem: Problem, best: Visited, delta: Array, reading: Reading, radius: Array
) -> Visited:
    """Keep the better of two: whichever crossed, then whichever has the shorter reach.

    Parameters
    ----------
    problem
        From `pose`.
    best
        The better of those before.
    delta, reading
        As landed on, shape `(d,)`, and what was read there.
    radius
        A scalar.

    Returns
    -------
    A `Visited`.
    """
    size = problem.size(delta)
    height = jnp.maximum(problem.start.margin, problem.start.slack)
    fall = height - reading.margin
    reach = jnp.where(fall > 0, size * (height / jnp.where(fall > 0, fall, 1)), jnp.inf)
    crossed = reading.crossed & (size <= radius)
    new = Visited(delta, reach, crossed, reading.margin, reading.answer)
    shorter = (new.crossed == best.crossed) & (new.reach < best.reach)
    better = shorter | (new.crossed & ~best.crossed)
    return jax.tree.map(lambda a, b: jnp.where(better, a, b), new, best)


def land_within(problem: Problem, delta: Array) -> tuple[Array, Array]:
    """Like `Problem.land`, but rounded towards x, so that no entry of `delta` grows.

    Parameters
    ----------
    problem
        From `pose`.
    delta
        Shape `(d,)`.

    Returns
    -------
    delta, point
        As stored, shape `(d,)` each.
    """
    landed, point = problem.land(problem.origin + delta)
    grown = jnp.abs(landed.astype(delta.dtype)) > jnp.abs(delta)
    nearer = jnp.where(grown, jnp.nextafter(point, problem.x), point)
    return problem.land(nearer.astype(delta.dtype))


def downhill(problem: Problem, point: Array, grad: Array, length: Array) -> Array:
    """Direction of a step of about `length` from a point, of norm 1 at most.

    Steepest descent in the norm of the problem. For l1 that is one coordinate, whose bound may
    be near: there, the exact steepest step of that length within the bounds, which goes on with
    the next coordinates, so that it gets as sparse as the steps are short.

    Parameters
    ----------
    problem
        The norm and the bounds.
    point
        From where, shape `(d,)`.
    grad
        Of what shall fall, shape `(d,)`.
    length
        Of the step, a scalar.

    Returns
    -------
    The direction, shape `(d,)`.
    """
    if problem.ord != 1 or problem.bounds is None:
        return steepest(-grad, problem.ord)
    room = problem.room(point.astype(grad.dtype))
    return farthest(-grad, length, room, problem.ord) / positive(length)


def project_within(problem: Problem, delta: Array, radius: Array) -> Array:
    """The nearest displacement within radius and bounds, and so far inside that it stays there.

    Parameters
    ----------
    problem
        The norm and the bounds.
    delta
        Shape `(d,)`.
    radius
        A scalar.

    Returns
    -------
    A displacement, shape `(d,)`.
    """
    inside = radius * (1 - ROUNDING * jnp.finfo(radius.dtype).eps)
    return project_ball_box(delta, inside, problem.room(problem.origin), problem.ord)
