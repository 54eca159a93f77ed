"""Projected gradient descent (Madry et al. 2018, arXiv:1706.06083), in three norms."""

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array

from ..._checks import check_counts
from ..._problem import Problem, pose
from ..._typing import Bounds, Key, LogitsFn, Order
from ...norms import positive
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

FIRST, LAST = 0.3, 0.01  # length of a step over the radius


def pgd(
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
    optimizer: optax.GradientTransformation | None = None,
    key: Key | None = None,
) -> Perturbation:
    """Steepest descent in the norm, within a radius: each step projected on ball and box.

    As in the paper, but steps get shorter by a cosine, projections are the nearest points of ball
    and box together, and l1 steps move the coordinate with the largest gradient, or the next ones
    where that is at its bound. `over_restarts(pgd, num)` runs it from several random starts,
    `over_radii(pgd)` searches the least radius at which it succeeds.

    Parameters
    ----------
    logits_fn, x, label, ord, bounds, target
        As of `minimal`.
    radius
        Only perturbations up to this norm, a number that may be traced: `found` says whether one
        of them is adversarial, and `delta` is never longer.
    steps
        Gradients.
    loss
        `"soft_margin"`, which settles the class by and by and ends as the margin; `"margin"`; or
        `"cross_entropy"`, which underflows for confident networks.
    optimizer
        An Optax optimiser that turns steepest-ascent directions, with lengths in units of the
        radius, into steps; None for plain steps.
    key
        Start at random in the ball; None: at `x`.

    Returns
    -------
    A `Perturbation`.

    Raises
    ------
    TypeError, ValueError
        As of `minimal`; for options out of range.

    References
    ----------
    Madry et al. (2018), "Towards deep learning models resistant to adversarial attacks",
    arXiv:1706.06083.
    """
    check_loss(loss)
    check_counts(steps=steps)
    problem = step_off(pose(logits_fn, x, label, ord, bounds, target))
    size = fixed_radius(problem, radius)
    start = start_within(problem, size, key)
    best, finite = descend_steepest(problem, size, start, steps, loss, optimizer)
    return finish(problem, cross_within(problem, best, size), steps, finite, size)


def descend_steepest(
    problem: Problem,
    radius: Array,
    start: Array,
    steps: int,
    loss: str,
    optimizer: optax.GradientTransformation | None,
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
    steps, loss, optimizer
        As of `pgd`.

    Returns
    -------
    best, finite
        A `Visited`, and a bool.
    """
    dtype = problem.center.dtype
    rule = optax.identity() if optimizer is None else optimizer

    def step(carry, k):
        delta, state, best, finite = carry
        landed, point = land_within(problem, delta)
        warmth = anneal(k, steps, 1.0, 0.0)
        reading, _, grad = loss_and_grad(problem, point, loss, warmth)
        best = visit(problem, best, landed, reading, radius)
        fine = jnp.all(jnp.isfinite(grad))
        share = anneal(k, steps, FIRST, LAST)
        landed = landed.astype(dtype)
        uphill = -downhill(problem, point, grad, share * radius)
        if optimizer is None:
            moved = landed - share * radius * uphill
        else:  # for which the radius is 1
            with jax.numpy_dtype_promotion("standard"):
                change, state = optimizer.update(uphill, state, landed / positive(radius))
            moved = landed + radius * change.astype(dtype)
        delta = project_within(problem, jnp.where(fine, moved, landed), radius)
        return (delta, state, best, finite & fine), None

    delta = project_within(problem, start, radius)
    init = problem.init((delta, rule.init(delta), unvisited(problem, delta), jnp.ones((), bool)))
    ks = jnp.arange(steps).astype(dtype)
    (delta, _, best, finite), _ = jax.lax.scan(step, init, ks)
    landed, point = land_within(problem, delta)
    return visit(problem, best, landed, problem.read(point), radius), finite
