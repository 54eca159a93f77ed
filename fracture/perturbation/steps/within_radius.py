"""Attacks within a fixed radius, and the search for the least radius at which one succeeds."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

from ..._problem import Problem, Reading
from ..._typing import Key
from ...norms import norm, positive, steepest, traced
from .._options import check_counts, check_finite
from .._result import Perturbation, finish
from .ball import farthest, project_ball_box, random_in_ball
from .ray import Crossing, cross, no_crossing
from .shortest import shortest

LOOK = 4  # evaluations of the search along the ray in each round
ROUNDING = 16  # ulps by which projections stay inside the ball


class Visited(NamedTuple):
    """The best displacement that an attack has come by."""

    delta: Array  # as stored
    reach: Array  # norm at which the margin, interpolated from x to there or beyond, vanishes
    crossed: Array  # bool: verified, and within the radius


Attack = Callable[[Array, Array], tuple[Visited, Array]]
"""From a radius and a first displacement to the best one, and whether all gradients were finite."""


def solve_radius(
    problem: Problem,
    attack: Attack,
    *,
    radius: ArrayLike | None,
    steps: int,
    search_steps: int,
    restarts: int,
    key: Key | None,
) -> Perturbation:
    """The best of all restarts within `radius`, or, where it is None, at any radius.

    Raises
    ------
    ValueError
        For options out of range, and for restarts without a key.
    """
    check_counts(steps=steps, search_steps=search_steps, restarts=restarts)
    if restarts > 1 and key is None:
        raise ValueError(f"restarts start at random: {restarts} of them need a key.")
    grads, limit = steps, jnp.full((), jnp.inf, problem.center.dtype)
    if radius is None:
        size, finite = linearised_distance(problem)
        grads = 1 + steps * search_steps
    else:
        size, finite = fixed_radius(problem, radius), jnp.ones((), bool)
        limit = size
    rest = problem.center - problem.origin

    def run(offset: Array) -> tuple[Crossing, Array]:
        if radius is None:
            return bisect(problem, attack, size, rest + size * offset, search_steps)
        best, finite = attack(size, rest + size * offset)
        return cross_within(problem, best, size), finite

    if key is None:
        best, fine = run(jnp.zeros_like(rest))
    else:
        draw = lambda key: random_in_ball(key, rest, problem.ord)
        offsets = jax.vmap(draw)(jax.random.split(key, restarts))
        if restarts > 1:  # of which one starts at x
            offsets = offsets.at[0].set(0)
        runs, fine = jax.vmap(run)(offsets)
        best = shortest(runs)
    return finish(problem, best, restarts * grads, finite & jnp.all(fine), limit)


def fixed_radius(problem: Problem, radius: ArrayLike) -> Array:
    """The radius in the working dtype; 0 where a traced one is no radius."""
    if jnp.shape(radius) != ():
        raise ValueError(f"radius must be one number, got shape {jnp.shape(radius)}.")
    kind = jnp.result_type(radius)
    if not (jnp.issubdtype(kind, jnp.floating) or jnp.issubdtype(kind, jnp.integer)):
        raise ValueError(f"radius must be a real number, got {radius!r}.")
    if not traced(radius):
        check_finite(0, radius=np.asarray(radius, float).item())
    rounded = jnp.asarray(radius).astype(problem.x.dtype).astype(problem.center.dtype)
    return jnp.where((rounded > 0) & jnp.isfinite(rounded), rounded, 0)


def linearised_distance(problem: Problem) -> tuple[Array, Array]:
    """Distance of x from the boundary linearised there, the unit of all others.

    Where that is out of reach, how far the box lets x go; failing that, the norm of x, or 1.
    """
    _, point = problem.land(problem.center)
    reading, grad = problem.read_and_grad(point)
    move, distance = problem.step(problem.origin, jnp.maximum(reading.margin, reading.slack), grad)
    sizes = jnp.stack([distance, problem.size(move), norm(problem.center, problem.ord)])
    usable = (sizes > 0) & (sizes < jnp.inf)
    unit = jnp.where(jnp.any(usable), sizes[jnp.argmax(usable)], 1)
    return unit, jnp.all(jnp.isfinite(grad))


def bisect(
    problem: Problem, attack: Attack, unit: Array, start: Array, rounds: int
) -> tuple[Crossing, Array]:
    """Halve a bracket of radii: above, the least at which anything crosses; below, a failure.

    Each round starts from the best crossing of all. The ray through what it finds is searched
    for the boundary on both sides of the sphere, so that the bracket closes faster than by half.
    """
    dtype = problem.center.dtype

    def step(carry, _):
        radius, low, start, best, finite = carry
        visited, fine = attack(radius, start)
        found = cross(problem, visited.delta.astype(dtype), LOOK, LOOK)
        best = jax.tree.map(lambda a, b: jnp.where(found.norm < best.norm, a, b), found, best)
        low = jnp.where(found.norm <= radius, low, radius)
        crossed = best.norm < jnp.inf
        radius = jnp.where(crossed, (jnp.minimum(low, best.norm) + best.norm) / 2, 2 * radius)
        start = jnp.where(crossed, best.delta, visited.delta).astype(dtype)
        return (radius, low, start, best, finite & fine), None

    true = jnp.ones((), bool)
    init = problem.init((unit, jnp.zeros_like(unit), start, no_crossing(problem), true))
    (*_, best, finite), _ = jax.lax.scan(step, init, length=rounds)
    # Tighten the bracket; rounding may cost an ulp or two.
    last = cross(problem, best.delta.astype(dtype))
    closed = last.norm <= best.norm * (1 + jnp.finfo(dtype).eps ** 0.5)
    return jax.tree.map(lambda a, b: jnp.where(closed, a, b), last, best), finite


def cross_within(problem: Problem, visited: Visited, radius: Array) -> Crossing:
    """The crossing on the ray of a displacement if within the radius, or the displacement."""
    delta = visited.delta.astype(problem.center.dtype)
    found = cross(problem, delta)
    _, point = problem.land(problem.origin + delta)
    reading = problem.read(point)
    itself = found._replace(
        low=jnp.minimum(found.low, 1),
        high=jnp.ones_like(found.high),
        high_margin=reading.margin,
        delta=visited.delta,
        norm=problem.size(delta),
        answer=reading.answer,
    )
    shorter = found.norm <= radius
    either = jax.tree.map(lambda a, b: jnp.where(shorter, a, b), found, itself)
    inside = shorter | visited.crossed
    return jax.tree.map(lambda a, b: jnp.where(inside, a, b), either, no_crossing(problem))


def unvisited(problem: Problem, delta: Array) -> Visited:
    """Before anything was read."""
    far = jnp.full((), jnp.inf, problem.center.dtype)
    return Visited(delta.astype(problem.x.dtype), far, jnp.zeros((), bool))


def visit(
    problem: Problem, best: Visited, delta: Array, reading: Reading, radius: Array
) -> Visited:
    """Keep the better of two: whichever crossed, then whichever has the shorter reach."""
    size = problem.size(delta)
    height = jnp.maximum(problem.start.margin, problem.start.slack)
    fall = height - reading.margin
    reach = jnp.where(fall > 0, size * (height / jnp.where(fall > 0, fall, 1)), jnp.inf)
    new = Visited(delta, reach, reading.crossed & (size <= radius))
    shorter = (new.crossed == best.crossed) & (new.reach < best.reach)
    better = shorter | (new.crossed & ~best.crossed)
    return jax.tree.map(lambda a, b: jnp.where(better, a, b), new, best)


def land_within(problem: Problem, delta: Array) -> tuple[Array, Array]:
    """Like `Problem.land`, but rounded towards x, so that no entry of `delta` grows."""
    landed, point = problem.land(problem.origin + delta)
    grown = jnp.abs(landed.astype(delta.dtype)) > jnp.abs(delta)
    nearer = jnp.where(grown, jnp.nextafter(point, problem.x), point)
    return problem.land(nearer.astype(delta.dtype))


def downhill(problem: Problem, point: Array, grad: Array, length: Array) -> Array:
    """Direction of a step of about `length` from a point, of norm 1 at most.

    Steepest descent in the norm of the problem. For l1 that is one coordinate, whose bound may
    be near: there, the exact steepest step of that length within the bounds, which goes on with
    the next coordinates, so that it gets as sparse as the steps are short.
    """
    if problem.ord != 1 or problem.bounds is None:
        return steepest(-grad, problem.ord)
    room = problem.room(point.astype(grad.dtype))
    return farthest(-grad, length, room, problem.ord) / positive(length)


def project_within(problem: Problem, delta: Array, radius: Array) -> Array:
    """The nearest displacement within radius and bounds, and so far inside that it stays there."""
    inside = radius * (1 - ROUNDING * jnp.finfo(radius.dtype).eps)
    return project_ball_box(delta, inside, problem.room(problem.origin), problem.ord)
