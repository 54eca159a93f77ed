"""Fast minimum-norm attack (Pintor et al. 2021, arXiv:2102.12827), at any scale."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from ..._problem import Problem, pose
from ..._typing import Bounds, LogitsFn, Order
from ...norms import dual_order, positive, project_ball
from .._options import check_counts
from .._result import Perturbation, cross, finish
from ..steps.halfspace import scaled, unscaled_norm
from ..steps.incumbent import anneal, none_yet
from ..steps.loss import loss_and_grad
from ..steps.step_off import step_off

LAST = 0.01  # of the first step and of the first change of the radius, at the end


def fmn(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    target: ArrayLike | None = None,
    steps: int = 100,
    gamma: float = 0.05,
    loss: str = "soft_margin",
) -> Perturbation:
    """Gradient steps, each projected on a ball whose radius adapts to whether it was adversarial.

    As in the paper, but for what was made for images in [0, 1]: while nothing is adversarial the
    ball reaches to the linearised boundary, as there; a step is as long as the ball's largest l2
    radius, annealed by a cosine, instead of 1. The result lies across the boundary, not on it.

    Parameters
    ----------
    logits_fn, x, label, ord, bounds, target
        As of `minimal`.
    steps
        Gradients.
    gamma
        First relative change of the radius in a step; annealed like the steps.
    loss
        `"soft_margin"`, which settles the class by and by and ends as the margin, or `"margin"` as
        in the paper.

    Returns
    -------
    A `Perturbation`.

    Raises
    ------
    TypeError, ValueError
        As of `minimal`; for options out of range.
    """
    if loss not in ("soft_margin", "margin"):
        raise ValueError(f"loss must be 'soft_margin' or 'margin', got {loss!r}.")
    check_counts(steps=steps)
    if not 0 < gamma < 1:
        raise ValueError(f"wanted 0 < gamma < 1, got {gamma}.")
    problem = step_off(pose(logits_fn, x, label, ord, bounds, target))
    delta, finite = shrink(problem, steps, gamma, loss)
    return finish(problem, cross(problem, delta), steps, finite)


def shrink(
    problem: Problem, steps: int, gamma: float = 0.05, loss: str = "soft_margin"
) -> tuple[Array, Array]:
    """The shortest adversarial displacement of a run, and whether all gradients were finite.

    Where nothing was adversarial, the last displacement.
    """
    dtype, ord = problem.center.dtype, problem.ord
    width = problem.x.size**0.5 if ord == jnp.inf else 1.0  # l2 radius of the unit ball

    def step(carry, k):
        delta, radius, best, finite = carry
        landed, point = problem.land(problem.origin + delta)
        share = anneal(k, steps, 1.0, LAST)
        reading, _, grad = loss_and_grad(problem, point, loss, anneal(k, steps, 1.0, 0.0))
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
    (*_, best, finite), _ = jax.lax.scan(step, init, jnp.arange(steps).astype(dtype))
    return best.delta, finite
