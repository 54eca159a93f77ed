"""The fast gradient sign method (Goodfellow et al. 2015, arXiv:1412.6572), in any norm and box."""

import jax.numpy as jnp
from jax.typing import ArrayLike

from ..._problem import pose
from ..._typing import Bounds, LogitsFn, Order
from .._result import Perturbation, finish
from ..steps.ball import farthest
from ..steps.loss import check_loss, loss_and_grad
from ..steps.ray import cross
from ..steps.step_off import step_off
from ..steps.within_radius import (
    cross_within,
    fixed_radius,
    land_within,
    linearised_distance,
    project_within,
    unvisited,
    visit,
)


def fgsm(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    *,
    radius: ArrayLike | None = None,
    ord: Order = 2,
    bounds: Bounds | None = None,
    target: ArrayLike | None = None,
    loss: str = "margin",
) -> Perturbation:
    """The point of the ball and the box that one gradient at `x` recommends.

    Which is where the loss, linearised at `x`, is least: for l∞ the step along the signs of the
    gradient, clipped, as in the paper; for l2 and l1, a step along the gradient or its largest
    entry, which goes on with the other coordinates where some are at their bounds. Without a
    radius, that point at the distance of the linearised boundary, and the ray through it.

    Parameters
    ----------
    logits_fn, x, label, ord, bounds, target
        As of `minimal`.
    radius
        As of `pgd`.
    loss
        As of `pgd`; for a single step the margin is the best.

    Returns
    -------
    A `Perturbation`.

    Raises
    ------
    TypeError, ValueError
        As of `minimal`; for another `loss` or a `radius` that is none.

    References
    ----------
    Goodfellow, Shlens, Szegedy (2015), "Explaining and harnessing adversarial examples",
    arXiv:1412.6572.
    """
    check_loss(loss)
    problem = step_off(pose(logits_fn, x, label, ord, bounds, target))
    _, point = problem.land(problem.center)
    _, _, grad = loss_and_grad(problem, point, loss, 1.0)
    finite = jnp.all(jnp.isfinite(grad))
    if radius is None:
        size, fine = linearised_distance(problem)
        finite &= fine
    else:
        size = fixed_radius(problem, radius)
    rest = problem.center - problem.origin
    move = farthest(jnp.where(finite, -grad, 0), size, problem.room(problem.center), ord)
    delta = project_within(problem, rest + move, size)
    if radius is None:
        best = cross(problem, delta)
    else:
        landed, point = land_within(problem, delta)
        one = visit(problem, unvisited(problem, rest), landed, problem.read(point), size)
        best = cross_within(problem, one, size)
    num_grads = 1 if radius is not None or loss == "margin" else 2
    limit = jnp.inf if radius is None else size
    return finish(problem, best, num_grads, finite, limit)
