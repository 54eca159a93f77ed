"""Boundary refinement: slide an adversarial point along the boundary towards the input."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from .._typing import Bounds, LogitsFn, Order
from ._problem import Problem, pose
from ._result import SEARCH_STEPS, Crossing, Perturbation, cross, finish, nothing

LOOK = 4  # evaluations of the search along the ray in each step
PATIENCE = 2  # failures in a row before the steps get shorter
SHARES = (1 / 6, 1 / 2, 5 / 6)  # of the newer half-space, when two are combined


class Cut(NamedTuple):
    """The half-space {δ : excess + <grad, δ> <= 0} of displacements."""

    excess: Array
    grad: Array


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

    Each step linearises the boundary at the best point so far, projects `x` on that half-space
    (exactly, box included), and searches the boundary on the ray through the projection. Where
    that is no improvement, the linearisation there is combined with the one before, as in a
    bundle method: so it converges at kinks of the network and corners of the ball, too. After
    more failures it goes only part of the way.

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
        best, aim, cut, damping, failures, finite = carry
        last = k == steps
        found = cross(problem, aim, jnp.where(last, SEARCH_STEPS, LOOK))
        # The last search starts from the best point to tighten the bracket; rounding may cost it
        # an ulp or two.
        limit = best.norm * jnp.where(last, 1 + jnp.finfo(dtype).eps ** 0.5, 1)
        better = found.norm <= limit
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), found, best)
        failures = jnp.where(better, 0, failures + 1)
        damping = jnp.where(
            better,
            jnp.minimum(2 * damping, 1),
            jnp.where(failures > PATIENCE, damping / 2, damping),
        )
        base = jnp.where(better, best.delta.astype(dtype), aim)
        _, point = problem.land(problem.origin + base)
        reading, grad = problem.read_and_grad(point)
        fresh = Cut(reading.margin - jnp.sum(grad * base), grad)
        both = combine(problem, cut, fresh)
        alone = better | (best.norm == jnp.inf)
        cut = jax.tree.map(lambda new, old: jnp.where(alone, new, old), fresh, both)
        move, _ = problem.step(problem.origin, cut.excess, cut.grad)
        center = jnp.where(best.norm < jnp.inf, best.delta.astype(dtype), base)
        aim = center + damping * (move - center)
        aim = jnp.where(k + 1 == steps, best.delta.astype(dtype), aim)
        return (best, aim, cut, damping, failures, finite & jnp.all(jnp.isfinite(grad))), None

    one = jnp.ones((), dtype)
    cut = Cut(0 * one, jnp.zeros_like(delta))
    init = problem.init((nothing(problem), delta, cut, one, jnp.int32(0), one > 0))
    (best, *_, finite), _ = jax.lax.scan(step, init, jnp.arange(steps + 1))
    return best, finite


def combine(problem: Problem, one: Cut, other: Cut) -> Cut:
    """A convex combination of two half-spaces, the farthest from `x` of a few.

    It contains what both have in common; the farthest of all is as far as that intersection, by
    duality in every norm. A few suffice, since the steps that follow combine again.
    """

    def mix(share):
        return jax.tree.map(lambda a, b: (1 - share) * a + share * b, one, other)

    def distance(share):
        cut = mix(share)
        return problem.step(problem.origin, cut.excess, cut.grad)[1]

    shares = jnp.asarray(SHARES, one.excess.dtype)
    return mix(shares[jnp.argmax(jax.vmap(distance)(shares))])
