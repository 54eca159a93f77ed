"""How far a point on the boundary is from being a local minimum."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._problem import Problem, pose
from .._typing import Bounds, LogitsFn, Order
from ..norms import dual_order, norm
from .steps.halfspace import linearise_at


def optimality_residual(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    delta: ArrayLike,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    target: ArrayLike | None = None,
) -> Float[Array, ""]:
    r"""The part of a perturbation that a flat boundary through x + δ would save.

    With g the gradient of the margin there, the boundary linearised at x + δ passes at the
    distance D from x, within the bounds, and the residual is $1 - D / \|\delta\|$; without
    bounds $1 + \langle\delta, g\rangle / (\|\delta\|_p \|g\|_q)$. It is 0 at a smooth local
    minimum. At a kink of the network, or a tie of classes, it is positive at a minimum too.

    Parameters
    ----------
    logits_fn, x, label, ord, bounds, target
        As of `minimal`.
    delta
        A displacement of the shape of `x` to the boundary, as solvers return it.

    Returns
    -------
    The residual, between 0 and 1 up to rounding; NaN where δ is zero, and where `radius` has no
    derivative: the gradient vanishes or is not finite, or all coordinates that it moves are at
    their bounds.

    Raises
    ------
    TypeError, ValueError
        As of `minimal`; for `delta` of another shape.
    """
    problem = pose(logits_fn, x, label, ord, bounds, target)
    here = touch(problem, delta)
    size = problem.size(here.landed)
    residual = 1 - problem.size(here.nearest) / jnp.where(size > 0, size, 1)
    return jnp.where((size > 0) & here.regular, residual, jnp.nan).astype(problem.x.dtype)


class Touch(NamedTuple):
    """The boundary at x + δ, linearised, and its nearest point within the bounds."""

    landed: Array  # δ, as stored
    point: Array  # x + δ
    grad: Array  # of the margin there
    nearest: Array  # the smallest displacement to the linearised boundary
    free: Array  # bool: coordinates that `nearest` leaves strictly inside the bounds
    steepness: Array  # dual norm of `grad` over these
    regular: Array  # bool: it is positive and finite


def touch(problem: Problem, delta: ArrayLike) -> Touch:
    """Linearise the margin at x + δ, for a δ in the shape of the input.

    Which coordinates are at their bounds is read from the projection, whose clips are exact: a
    solver stops just before a bound.

    Parameters
    ----------
    problem
        From `pose`.
    delta
        A displacement of the shape of the input.

    Returns
    -------
    A `Touch`, of vectors of shape `(d,)`.

    Raises
    ------
    ValueError
        For `delta` of another shape.
    """
    landed, point = problem.land(problem.origin + problem.displacement(delta))
    reading, grad = problem.read_and_grad(point)
    # The boundary passes through the point, unless moving x into the bounds alone crosses it.
    inside = jnp.all(problem.center == problem.origin)
    height = jnp.where(inside, 0, reading.margin)
    cut = linearise_at(landed.astype(problem.center.dtype), height, grad)
    nearest, _ = problem.step(problem.origin, cut.excess, cut.normal)
    room, free = problem.room(problem.origin), jnp.ones(nearest.shape, bool)
    if room is not None:
        free = (nearest > room[0]) & (nearest < room[1])
    grad = jnp.where(cut.finite, grad, 0)
    steepness = norm(jnp.where(free, grad, 0), dual_order(problem.ord))
    regular = cut.finite & (steepness > 0)
    return Touch(landed, point, grad, nearest, free, steepness, regular)
