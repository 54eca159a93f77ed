"""The search along one ray from x for the boundary, each point evaluated."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..._problem import Problem
from .shortest import shortest

SEARCH_STEPS = 10  # evaluations of the last search along the ray
MOST_STEPS = 48  # of them, where the bracket is wide
TIGHT = 0.005  # relative width of a bracket that is not


class State(NamedTuple):
    """Where the search along a ray stands, in fractions of the ray."""

    k: Array  # int32: evaluations so far
    t: Array  # where to evaluate next
    before: tuple[Array, Array]  # the last place and the margin there
    best: "Crossing"
    inner: Array  # the largest that did not cross, below `best.high`
    outer: Array  # the smallest that is not known to be classified right, above `best.low`
    jumps: Array  # how often no margin told where to go


class Crossing(NamedTuple):
    """The nearest verified point on a ray from x, and the bracket around the boundary."""

    low: Array  # largest fraction of the ray known to be classified right, below `high`
    high: Array  # smallest fraction known to be adversarial; inf where none is
    low_margin: Array
    high_margin: Array
    delta: Array  # at `high`, as stored
    norm: Array  # of it; inf where nothing was found
    answer: Array  # the class there


def no_crossing(problem: Problem) -> Crossing:
    """The crossing before any search."""
    zero = jnp.zeros((), problem.center.dtype)
    return Crossing(
        low=zero,
        high=zero + jnp.inf,
        low_margin=problem.start.margin,
        high_margin=-problem.start.slack,
        delta=jnp.zeros_like(problem.x),
        norm=zero + jnp.inf,
        answer=jnp.full((), -1, jnp.int32),
    )


def cross(
    problem: Problem, delta: Array, steps: int = SEARCH_STEPS, most: int = MOST_STEPS
) -> Crossing:
    """Search the boundary on the ray from x to x + delta and on, evaluating the network only.

    Until a point is adversarial, extrapolate the margin and go beyond the boundary by more and
    more slack. Then go to just outside and to just inside of it in turn, by the secant through the
    last two points, bisecting every third time: where the network is linear both ends of the
    bracket arrive at once. One forward pass a step.

    Behind a saturated head the first adversarial point can be any number of times too far. So what
    is bisected is the exponent, first by larger and larger factors down from there, more often
    than every third time while the bracket is wide; and while it is wider than `TIGHT` after
    `steps`, the search goes on, up to `most`. Under `vmap` all lanes wait for those.

    Parameters
    ----------
    problem
        From `pose`.
    delta
        Shape `(d,)`; any length.
    steps
        Evaluations.
    most
        Of them, while the bracket is wide.

    Returns
    -------
    A `Crossing`.
    """
    slack, dtype = problem.start.slack, problem.center.dtype
    tiny = float(jnp.finfo(dtype).eps)
    ray = problem.origin + delta - problem.center
    ray = jnp.where(jnp.isfinite(ray), ray, 0)

    def unsettled(state):
        best, inner, outer = state.best, state.inner, state.outer
        wide = (best.high - inner > TIGHT * best.high) | (outer - best.low > TIGHT * outer)
        return (state.k < steps) | ((best.high < jnp.inf) & wide & (state.k < most))

    def step(state):
        k, t, before, best, inner, outer, jumps = state
        reading, best = look(t, best)
        here, right = (t, reading.margin), best.low == t
        inner = jnp.where(reading.crossed | (t >= best.high), inner, jnp.maximum(inner, t))
        outer = jnp.where(right, jnp.where(outer > t, outer, best.high), jnp.minimum(outer, t))
        more = slack * 2 ** (1 + jnp.asarray(jnp.minimum(k, steps) // 2, dtype))
        # Between `inner` and `outer` nothing is above rounding: halve what is left on either side.
        crossing = best.high - inner > TIGHT * best.high
        low, high = jnp.where(crossing, inner, best.low), jnp.where(crossing, best.high, outer)
        jump = jnp.exp2(-jnp.exp2(jumps + 1))
        middle = jnp.where(low > 0, jnp.sqrt(low) * jnp.sqrt(high), jump * high)
        turn = (k % 3 == 2) | ((best.high > 2 * inner) & (k > 3) & (k % 3 == 0))
        root = secant(best, here, before, more, k)
        usable = (best.low < root) & (root < best.high) & ~turn
        # Where the network overflows, the boundary is nearer.
        fine = jnp.isfinite(reading.margin)
        outside = jnp.where(fine, beyond(t, reading, more, k), jump * t)
        known = best.high < jnp.inf
        jumped = jnp.where(known, ~usable & (low == 0), ~fine)
        following = jnp.where(known, jnp.where(usable, root, middle), outside)
        return State(k + 1, following, here, best, inner, outer, jumps + jumped.astype(dtype))

    def look(t, best):
        delta, point = problem.land(problem.center + t * ray)
        reading = problem.read(point)
        nearer = reading.crossed & (t < best.high)
        right = (reading.margin > reading.slack) & (t > best.low) & (t < best.high)
        return reading, Crossing(
            jnp.where(right, t, best.low),
            jnp.where(nearer, t, best.high),
            jnp.where(right, reading.margin, best.low_margin),
            jnp.where(nearer, reading.margin, best.high_margin),
            jnp.where(nearer, delta, best.delta),
            jnp.where(nearer, problem.size(delta), best.norm),
            jnp.where(nearer, reading.answer, best.answer),
        )

    def secant(best, here, before, more, k):
        aim = jnp.maximum(more, jnp.minimum(best.low_margin, -best.high_margin) / 10)
        aim = jnp.where(k % 2 == 0, -aim, aim)
        run, fall = here[0] - before[0], before[1] - here[1]
        root = here[0] + (here[1] - aim) * (run / jnp.where(fall == 0, 1, fall))
        return jnp.where(fall == 0, jnp.nan, root)

    def beyond(t, reading, more, k):
        fall = problem.start.margin - reading.margin
        root = t * (problem.start.margin + more) / jnp.where(fall > 0, fall, 1)
        nudge = t * (1 + tiny * 4 ** jnp.asarray(k + 1, dtype))
        most = t * 2 ** (1 + k // 4).astype(dtype)
        return jnp.where(fall > 0, jnp.clip(root, nudge, most), most)

    zero, one = jnp.zeros((), dtype), jnp.ones((), dtype)
    first = (zero, problem.start.margin)
    init = State(
        k=jnp.int32(0),
        t=one,
        before=first,
        best=no_crossing(problem),
        inner=zero,
        outer=zero + jnp.inf,
        jumps=zero,
    )
    return jax.lax.while_loop(unsettled, step, problem.init(init)).best


def stay(problem: Problem, delta: Array) -> Crossing:
    """The displacement itself where it is adversarial; nothing elsewhere.

    Parameters
    ----------
    problem
        From `pose`.
    delta
        Shape `(d,)`.

    Returns
    -------
    A `Crossing`, whose bracket is the whole displacement.
    """
    landed, point = problem.land(problem.origin + delta)
    reading, none = problem.read(point), no_crossing(problem)
    itself = none._replace(
        high=jnp.ones_like(none.high),
        delta=landed,
        norm=problem.size(landed),
        answer=reading.answer,
    )
    return jax.tree.map(lambda a, b: jnp.where(reading.crossed, a, b), itself, none)


def search(problem: Problem, *displacements: Array) -> Crossing:
    """The shortest of the crossings on the rays through some displacements.

    Parameters
    ----------
    problem
        From `pose`.
    *displacements
        Shape `(d,)` each.

    Returns
    -------
    A `Crossing`.
    """
    rays = jnp.stack(displacements)
    return shortest(jax.lax.map(lambda delta: cross(problem, delta), rays))
