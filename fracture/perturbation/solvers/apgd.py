"""Auto-PGD (Croce, Hein 2020, arXiv:2003.01690), in three norms."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array

from ..._checks import check_counts
from ..._problem import Problem, pose
from ..._typing import Bounds, Key, LogitsFn, Order
from .._result import Perturbation, finish
from ..steps.anneal import anneal
from ..steps.loss import check_loss, loss_and_grad
from ..steps.step_off import step_off
from ..steps.within_radius import (
    Visited,
    cross_within,
    downhill,
    fixed_radius,
    land_within,
    project_within,
    start_within,
    unvisited,
    visit,
)

FIRST = 2.0
MOMENTUM = 0.75  # alpha
ENOUGH = 0.75  # rho: of the steps between two checkpoints that should improve


def apgd(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    *,
    radius: ArrayLike,
    ord: Order = 2,
    bounds: Bounds | None = None,
    target: ArrayLike | None = None,
    steps: int = 20,
    loss: str = "soft_margin",
    key: Key | None = None,
) -> Perturbation:
    """PGD with momentum, within a radius, whose step is halved where the descent stalls.

    The schedule of the paper, with the projections and l1 steps of `pgd`.

    Parameters
    ----------
    logits_fn, x, label, ord, bounds, target
        As of `minimal`.
    radius, steps, loss, key
        As of `pgd`.

    Returns
    -------
    A `Perturbation`.

    Raises
    ------
    TypeError, ValueError
        As of `minimal`; for options out of range.

    References
    ----------
    Croce, Hein (2020), "Reliable evaluation of adversarial robustness with an ensemble of diverse
    parameter-free attacks", arXiv:2003.01690.
    """
    check_loss(loss)
    check_counts(steps=steps)
    problem = step_off(pose(logits_fn, x, label, ord, bounds, target))
    size = fixed_radius(problem, radius)
    start = start_within(problem, size, key)
    best, finite = descend_with_momentum(problem, size, start, steps, loss)
    return finish(problem, cross_within(problem, best, size), steps, finite, size)


class State(NamedTuple):
    """Where a run stands."""

    delta: Array  # (d,): the displacement to evaluate next
    before: Array  # (d,): the last one
    value: Array  # of the loss there
    lowest: tuple[Array, Array, Array]  # the least value, where that was, and the gradient there
    share: Array  # length of a step over the radius
    gains: Array  # steps since the last checkpoint that lowered the loss
    stale: Array  # bool: nothing lower since the last checkpoint, at which it was not halved
    best: Visited
    finite: Array  # bool: all gradients were


def descend_with_momentum(
    problem: Problem, radius: Array, start: Array, steps: int, loss: str
) -> tuple[Visited, Array]:
    """The best displacement of one run within `radius`, and whether all gradients were finite.

    Parameters
    ----------
    problem
        From `pose`.
    radius
        A scalar in the working dtype.
    start
        The first displacement, shape `(d,)`.
    steps, loss
        As of `apgd`.

    Returns
    -------
    best, finite
        A `Visited`, and a bool.
    """
    dtype = problem.center.dtype

    def step(state, inputs):
        delta, before, last, lowest, share, gains, stale, best, finite = state
        k, window = inputs
        landed, point = land_within(problem, delta)
        warmth = anneal(k.astype(dtype), steps, 1.0, 0.0)
        reading, value, grad = loss_and_grad(problem, point, loss, warmth)
        best = visit(problem, best, landed, reading, radius)
        fine = jnp.all(jnp.isfinite(grad))
        here = landed.astype(dtype)

        gains = gains + (value < last).astype(dtype)
        lower = fine & (value < lowest[0])
        lowest = jax.tree.map(lambda a, b: jnp.where(lower, a, b), (value, here, grad), lowest)
        stale = stale & ~lower
        halve = (window > 0) & ((gains < ENOUGH * window) | stale)
        share = jnp.where(halve, share / 2, share)
        # After a halving, a failure to find anything lower is given time.
        stale = jnp.where(window > 0, ~halve, stale)
        gains = jnp.where(window > 0, 0, gains)
        here = jnp.where(halve, lowest[1], here)
        grad = jnp.where(halve, lowest[2], grad)
        _, point = problem.land(problem.origin + here)
        before = jnp.where(halve | (k == 0), here, before)

        move = share * radius * downhill(problem, point, grad, share * radius)
        ahead = project_within(problem, jnp.where(fine, here + move, here), radius)
        weight = jnp.where(k == 0, 1, MOMENTUM).astype(dtype)
        mixed = here + weight * (ahead - here) + (1 - weight) * (here - before)
        following = project_within(problem, mixed, radius)
        return State(following, here, value, lowest, share, gains, stale, best, finite & fine), None

    delta = project_within(problem, start, radius)
    far, zero, true = jnp.full((), jnp.inf, dtype), jnp.zeros((), dtype), jnp.ones((), bool)
    lowest = far, delta, jnp.zeros_like(delta)
    init = State(
        delta=delta,
        before=delta,
        value=far,
        lowest=lowest,
        share=zero + FIRST,
        gains=zero,
        stale=~true,
        best=unvisited(problem, delta),
        finite=true,
    )
    xs = jnp.arange(steps), jnp.asarray(windows(steps), dtype)
    end, _ = jax.lax.scan(step, problem.init(init), xs)
    landed, point = land_within(problem, end.delta)
    return visit(problem, end.best, landed, problem.read(point), radius), end.finite


def windows(steps: int) -> np.ndarray:
    """For each step, how many passed since the last checkpoint; 0 where it is none.

    Parameters
    ----------
    steps
        Of the whole run.

    Returns
    -------
    Shape `(steps,)`: the checkpoints of the paper, 22 % of the run apart at first, 6 % at last.
    """
    lengths, last, gap = np.zeros(steps), 0, 0.22
    at = gap
    while (k := int(np.ceil(at * steps))) < steps:
        lengths[k], last = k - last, k
        gap = max(gap - 0.03, 0.06)
        at += gap
    return lengths
