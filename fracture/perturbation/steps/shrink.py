"""Gradient steps in a ball that shrinks where they are adversarial and grows elsewhere."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..._problem import Problem
from ...norms import dual_order, positive, project_ball
from .anneal import anneal
from .halfspace import scaled, unscaled_norm
from .loss import loss_and_grad
from .shortest import none_yet

LAST = 0.01  # of the first step and of the first change of the radius, at the end


def shrink(
    problem: Problem, steps: int, gamma: float = 0.05, loss: str = "soft_margin"
) -> tuple[Array, Array]:
    """The shortest adversarial displacement of a run, and whether all gradients were finite.

    Where nothing was adversarial, the last displacement.

    Parameters
    ----------
    problem
        From `pose`.
    steps, gamma, loss
        As of `fmn`.

    Returns
    -------
    delta, finite
        Shape `(d,)`, and a bool.

    References
    ----------
    Pintor, Roli, Brendel, Biggio (2021), "Fast minimum-norm adversarial attacks through adaptive
    norm constraints", arXiv:2102.12827.
    """
    dtype, ord = problem.center.dtype, problem.ord
    width = problem.x.size**0.5 if ord == jnp.inf else 1.0  # l2 radius of the unit ball

    def step(carry, scheduled):
        delta, radius, best, finite = carry
        share, warmth = scheduled
        landed, point = problem.land(problem.origin + delta)
        reading, _, grad = loss_and_grad(problem, point, loss, warmth)
        unit, largest = scaled(grad)
        landed = landed.astype(dtype)
        scale = positive(radius)
        size = unscaled_norm(landed / scale, ord) * scale
        best = best.visit(landed, size, reading.crossed)
        left = jnp.maximum(reading.margin, reading.slack) / positive(largest)
        left /= positive(unscaled_norm(unit, dual_order(ord)))
        smaller = jnp.minimum((1 - gamma * share) * radius, best.norm)
        larger = jnp.where(best.norm < jnp.inf, (1 + gamma * share) * radius, size + left)
        radius = jnp.where(reading.crossed, smaller, larger)
        length = share * width / positive(unscaled_norm(unit, 2))
        moved = project_ball(landed / positive(radius) - length * unit, 1.0, ord)
        ok = jnp.isfinite(largest) & jnp.isfinite(radius)
        delta = jnp.where(ok, radius * moved, landed)
        return (delta, jnp.where(ok, radius, size), best, finite & ok), None

    start = problem.center - problem.origin
    init = problem.init((start, problem.size(start), none_yet(start), jnp.ones((), bool)))
    k = jnp.arange(steps).astype(dtype)
    schedule = anneal(k, steps, 1.0, LAST), anneal(k, steps, 1.0, 0.0)
    (*_, best, finite), _ = jax.lax.scan(step, init, schedule)
    return best.delta, finite
