"""The rounding of a network, as its margin shows it, and the way out of it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..._problem import ULPS, Problem
from ...norms import positive
from .ray import Crossing

PROBES = 6  # of the margin at and beyond a point
SPAN = 64  # slacks by which the margin should fall from the first to the last of them
WIDER = 8  # times, where the margin does not fall out of its rounding
ROUNDS = 6
FARTHEST = 4  # displacements
DEVIATIONS = 12  # of the rounding, that the margin should be below zero
CLEAR = 4  # times as far as it should be below zero, the margin falls from probe to probe


def settle(problem: Problem, best: Crossing) -> Crossing:
    """Push a crossing outwards by as much as the network's own rounding demands.

    What rounding does depends on the terms inside the network, which may be much larger than its
    logits. So look at the margin at a few points farther out, each with every coordinate moved by
    a few ulps, which rounds all sums anew: what is left of these margins but for a line in the
    distance is rounding. Go to where the line is `DEVIATIONS` times as far below zero, and verify
    that point. Where the line does not fall far enough to tell, look farther out. Where it never
    does, as beyond a jump, keep the crossing as it is.

    `PROBES` + 1 forward passes, and as many again for each look farther out; under `vmap` all
    lanes wait for those. Nothing where the logits are of half precision: their rounding is part of
    what the network is.

    Parameters
    ----------
    problem
        From `pose`.
    best
        Where the margin, as the network computes it, is negative; or nothing.

    Returns
    -------
    The `Crossing` farther out; its bracket begins where it did.
    """
    if problem.eps > jnp.finfo(jnp.float32).eps:
        return best
    dtype = problem.center.dtype
    height = positive(jnp.abs(problem.start.margin))
    ray = problem.origin + best.delta.astype(dtype) - problem.center
    ulps = ULPS * float(jnp.finfo(problem.x.dtype).eps) * jnp.abs(problem.center + ray)
    places = jnp.arange(PROBES, dtype=dtype) / (PROBES - 1)
    no = jnp.zeros((), bool)

    def unsettled(carry):
        k, done, *_ = carry
        return (k < ROUNDS) & ~done

    def attempt(carry):
        k, _, held, best = carry
        span = SPAN * WIDER ** k.astype(dtype) * (problem.start.slack / height)
        span = jnp.minimum(span, FARTHEST)

        def look(j, carry):
            margins, slack, _ = carry
            place, need, clear = aim(margins, slack)
            last = j == PROBES
            t = 1 + span * jnp.where(last, place, places[jnp.minimum(j, PROBES - 1)])
            noise = jnp.where((j == 0) | last, 0, problem.scattered(j) * ulps)
            delta, point = problem.land(problem.center + t * ray + noise)
            reading = problem.read(point)
            margins = jnp.where(jnp.arange(PROBES) == j, reading.margin, margins)
            slack = jnp.maximum(slack, reading.slack)
            safe = reading.crossed & (place <= 1) & (reading.margin < -need / 2)
            there = best._replace(
                high=best.high * t,
                high_margin=reading.margin,
                delta=delta,
                norm=problem.size(delta),
                answer=reading.answer,
            )
            return margins, slack, (safe, safe & clear, there)

        init = jnp.zeros(PROBES, dtype), problem.start.slack, (no, no, best)
        # One loop, so that the network is compiled once.
        *_, (safe, clear, there) = jax.lax.fori_loop(0, PROBES + 1, look, problem.init(init))
        taken = clear | (safe & ~held)
        best = jax.tree.map(lambda a, b: jnp.where(taken, a, b), there, best)
        return k + 1, clear | (span >= FARTHEST), held | safe, best

    def aim(margins: Array, slack: Array) -> tuple[Array, Array, Array]:
        """Where the line is low enough, how low that is, and whether it falls by much more."""
        offset = places - 0.5
        middle = jnp.mean(margins)
        slope = jnp.sum(offset * margins) / jnp.sum(offset**2)
        rest = margins - middle - slope * offset
        deviation = jnp.sqrt(jnp.sum(rest**2) / (PROBES - 2))
        need = jnp.maximum(DEVIATIONS * deviation, slack)
        first = middle - slope / 2
        # What was pushed once is not pushed again.
        place = jnp.where(first < -0.75 * need, 0, (need + first) / positive(-slope))
        place = jnp.where(-slope > slack, jnp.maximum(place, 0), jnp.inf)
        return place, need, -slope > CLEAR * need

    done = (best.high == jnp.inf) | problem.start.crossed | ~problem.posed
    init = problem.init((jnp.int32(0), done, no, best))
    return jax.lax.while_loop(unsettled, attempt, init)[3]
