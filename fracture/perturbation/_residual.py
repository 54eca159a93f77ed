"""How far a point on the boundary is from being a local minimum."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._typing import Bounds, LogitsFn, Order
from ._cut import linearise_at
from ._problem import pose


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
    The residual, between 0 and 1 up to rounding; NaN where δ is zero or the gradient not finite.

    Raises
    ------
    TypeError, ValueError
        As of `minimal`; for `delta` of another shape.
    """
    problem = pose(logits_fn, x, label, ord, bounds, target)
    landed, point = problem.land(problem.origin + problem.displacement(delta))
    here, size = landed.astype(problem.center.dtype), problem.size(landed)
    _, grad = problem.read_and_grad(point)
    cut = linearise_at(here, jnp.zeros_like(size), grad)  # the boundary passes through the point
    _, distance = problem.step(problem.origin, cut.excess, cut.normal)
    residual = 1 - distance / jnp.where(size > 0, size, 1)
    return jnp.where((size > 0) & cut.finite, residual, jnp.nan).astype(problem.x.dtype)
