"""Boundary refinement: slide an adversarial point along the boundary towards the input."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from .._typing import Bounds, LogitsFn, Order
from ._problem import Problem, pose
from ._result import SEARCH_STEPS, Crossing, Perturbation, cross, finish, nothing

LOOK = 4  # evaluations of the search along the ray in each step


def refine(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    delta: ArrayLike,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    target: ArrayLike | None = None,
    steps: int = 20,
) -> Perturbation:
    """Improve a perturbation until it is a local minimum on the decision boundary.

    Each step linearises the boundary at the best point so far, projects `x` on it (exactly, box
    included), goes part of the way there, and searches the boundary on the ray through that point.
    After a step that is no improvement it linearises there once (at a corner of the l1 or the l∞
    ball, or of the box, that is what converges); if that does not help either, it goes back and
    half as far.

    Parameters
    ----------
    logits_fn, x, label, ord, bounds, target
        As of `minimal`.
    delta
        A displacement of the shape of `x`, adversarial or not far from it.
    steps
        Gradients.

    Returns
    -------
    A `Perturbation`, no longer than `delta` where that is adversarial.

    Raises
    ------
    TypeError, ValueError
        As of `minimal`; for `delta` of another shape.
    """
    problem = pose(logits_fn, x, label, ord, bounds, target)
    if jnp.shape(delta) != problem.x.shape:
        raise ValueError(
            f"delta must have the shape of x, {problem.x.shape}; got {jnp.shape(delta)}."
        )
    if steps < 0:
        raise ValueError(f"steps must not be negative, got {steps}.")
    best, finite = polish(problem, jnp.asarray(delta, problem.center.dtype), steps)
    return finish(problem, best, steps + 1, finite)


def polish(problem: Problem, delta: Array, steps: int) -> tuple[Crossing, Array]:
    """Steps from `delta`, which need not be adversarial, and one last search for the bracket.

    Returns
    -------
    The best crossing, and whether all gradients were finite.
    """
    dtype = problem.center.dtype

    def step(carry, k):
        best, aim, damping, retried, finite = carry
        last = k == steps
        found = cross(problem, aim, jnp.where(last, SEARCH_STEPS, LOOK))
        # The last search starts from the best point to tighten the bracket; rounding may cost it
        # an ulp or two.
        limit = best.norm * jnp.where(last, 1 + jnp.finfo(dtype).eps ** 0.5, 1)
        better = found.norm <= limit
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), found, best)
        retried = ~better & ~retried
        halved = jnp.where(retried, damping, damping / 2)
        damping = jnp.where(better, jnp.minimum(2 * damping, 1), halved)
        base = jnp.where(retried | (best.norm == jnp.inf), aim, best.delta.astype(dtype))
        _, point = problem.land(problem.origin + base)
        reading, grad = problem.read_and_grad(point)
        move, _ = problem.step(problem.origin, reading.margin - jnp.sum(grad * base), grad)
        aim = base + jnp.where(retried, 1, damping) * (move - base)
        aim = jnp.where(k + 1 == steps, best.delta.astype(dtype), aim)
        return (best, aim, damping, retried, finite & jnp.all(jnp.isfinite(grad))), None

    one = jnp.ones((), dtype)
    init = problem.init((nothing(problem), delta, one, one < 0, one > 0))
    (best, *_, finite), _ = jax.lax.scan(step, init, jnp.arange(steps + 1))
    return best, finite
