"""A run along the boundary towards the point of it that is nearest to x."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..._problem import Problem
from ...norms import positive
from .halfspace import Cut, combine, linearise_at, project_cut
from .shortest import Incumbent, none_yet

PATIENCE = 2  # failures in a row before the steps get shorter
OVERSHOOT = 3e-4  # of a step, relative to the displacement
TRUST = 0.2  # the linearised margin is believed for so large a part of a displacement


class Slide(NamedTuple):
    """What a run along the boundary has found; `vmap` adds an axis."""

    near: Array  # displacement close to the boundary; the last one where none was
    reach: Array  # about the norm at which the ray through it crosses; inf where nothing is near
    across: Incumbent
    finite: Array  # all gradients were


class State(NamedTuple):
    """Where a run along the boundary stands."""

    run: Slide
    aim: Array  # (d,): the displacement to evaluate next
    cut: Cut  # of the last steps
    level: Array  # multiplier of its projection
    damping: Array  # the share of the way to that projection that is gone
    failures: Array  # int32: steps in a row that came no nearer
    slope: Array  # of the margin, relative to the displacement, where it was last believed


def slide(
    problem: Problem,
    delta: Array,
    steps: int,
    across: Incumbent | None = None,
    rival: Array | None = None,
    rival_steps: int = 0,
) -> Slide:
    """Steps along the boundary from `delta`, one gradient each.

    Parameters
    ----------
    problem
        From `pose`.
    delta
        Where to start, shape `(d,)`.
    steps
        Gradients.
    across
        The shortest crossing of runs before, to go on from.
    rival, rival_steps
        A class, and so many steps before the others along the pairwise boundary with it.

    Returns
    -------
    A `Slide`.
    """
    dtype = problem.center.dtype

    def step(state, k):
        run, aim, cut, level, damping, failures, before = state
        landed, point = problem.land(problem.origin + aim)
        toward = None if rival is None else jnp.where(k < rival_steps, rival, problem.target)
        reading, grad = problem.read_and_grad(point, toward)
        here, size = landed.astype(dtype), problem.size(landed)
        fresh = linearise_at(here, reading.margin + 2 * reading.slack, grad)
        away = fresh.excess - fresh.at(here)
        stretch = fresh.excess / positive(away)  # of `here`, to the boundary if it were flat
        # Aim a little beyond the boundary, so that steps end on the other side of it.
        fresh = fresh._replace(excess=fresh.excess + OVERSHOOT * jnp.abs(away))
        trusted = (away > 0) & (jnp.abs(stretch - 1) < TRUST)
        # Of the slopes here and at the point before, the worse: at a kink both matter.
        slope = away / positive(size) * positive(jnp.max(jnp.abs(grad)))
        share = slope / positive(before)
        worst = jnp.where(stretch > 1, jnp.maximum(share, 1), jnp.minimum(share, 1))
        before = jnp.where(trusted, slope, before)
        reach = jnp.where(trusted, size * (1 + (stretch - 1) * worst), jnp.inf)
        nearer = reach < run.reach
        run = Slide(
            jnp.where(nearer | (run.reach == jnp.inf), here, run.near),
            jnp.where(nearer, reach, run.reach),
            run.across.visit(here, size, reading.crossed),
            run.finite & fresh.finite,
        )
        arrived = run.reach < jnp.inf
        failures = jnp.where(nearer, 0, failures + 1)
        shortened = jnp.where(arrived & (failures > PATIENCE), damping / 2, damping)
        damping = jnp.where(nearer, jnp.minimum(2 * damping, 1), shortened)
        both = combine(problem, cut, fresh, here)
        cut = jax.tree.map(lambda a, b: jnp.where(nearer | (k == 0), a, b), fresh, both)
        move, level = project_cut(problem, cut, level)
        aim = run.near + damping * (move - run.near)
        return State(run, aim, cut, level, damping, failures, before), None

    zero, true = jnp.zeros((), dtype), jnp.ones((), bool)
    init = State(
        run=Slide(delta, zero + jnp.inf, none_yet(delta) if across is None else across, true),
        aim=delta,
        cut=Cut(zero, jnp.zeros_like(delta), true),
        level=zero,
        damping=zero + 1,
        failures=jnp.int32(0),
        slope=zero + jnp.inf,
    )
    init = problem.init(init)
    return jax.lax.scan(step, init, jnp.arange(rival_steps + steps))[0].run
