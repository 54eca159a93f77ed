"""The minimal radius as a differentiable function of the network and the input."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._problem import pose
from .._typing import Bounds, LogitsFn, Order
from ..logits import margin
from ..norms import dual_order, norm, steepest
from ._residual import touch
from ._result import Status
from ._solvers import Solver, as_solver
from .solvers.minimal import minimal


def radius(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    target: ArrayLike | None = None,
    solver: str | Solver = minimal,
    **options: Any,
) -> Float[Array, ""]:
    r"""Norm of the perturbation that `solver` finds, with the derivatives of the true minimum.

    By the envelope theorem, at a regular minimiser δ with g = ∇m(x + δ), with v the gradient of
    the norm at δ and F the coordinates where x + δ is not at a bound, ∂r/∂θ = λ ∂m_θ(x + δ)/∂θ
    with λ = ‖v_F‖_q/‖g_F‖_q: 1/‖g_F‖_∞ for l1, ‖δ_F‖/(‖δ‖ ‖g_F‖) for l2 and 1/‖g_F‖_1 for l∞. The
    derivative in x is λg on F and −v elsewhere. No derivative of the solver is needed. First
    derivatives in both modes, with respect to `x` and to whatever `logits_fn` closes over.

    At a kink of the network or a tie of classes the derivative is that of one face; in l1, where
    x itself lies on a bound, the one-sided derivative towards the inside.

    Parameters
    ----------
    logits_fn, x, label, ord, bounds, target
        As of `minimal`.
    solver, **options
        The solver, or the name of one of `SOLVERS`, and its other options.

    Returns
    -------
    The radius, in float32 at least: inf where nothing was found, 0 where misclassified. There the
    derivative is 0, and so it is where none exists: where the gradient of the margin vanishes at
    x + δ or is not finite, or all coordinates that it moves are at their bounds.
    `optimality_residual` is NaN for such a δ.

    Examples
    --------
    Of a linear network the radius is $|w^\top x| / \|w\|$, and its derivative in x the unit normal:

    >>> import jax, jax.numpy as jnp
    >>> from fracture.perturbation import radius
    >>> def of(x):
    ...     return radius(lambda z: 3 * z[0] + 4 * z[1], x, 0, solver="affine")
    >>> value, slope = jax.value_and_grad(of)(jnp.array([1.0, 0.5]))
    >>> print(f"{value:.3f}, derivative {slope[0]:.3f} {slope[1]:.3f}")
    1.000, derivative 0.600 0.800
    """
    x = jnp.asarray(x)
    frozen_x = jax.lax.stop_gradient(x)
    # Loops in the solver have no reverse mode: keep parameters under differentiation out of them.
    closed, consts = jax.closure_convert(logits_fn, frozen_x)
    consts = [jax.lax.stop_gradient(const) for const in consts]
    frozen = lambda z: closed(z, *consts)
    options.update(ord=ord, bounds=bounds, target=target)
    result = as_solver(solver)(frozen, frozen_x, label, **options)

    # Where the input is not finite, nothing is: derivatives are taken elsewhere, and not used.
    finite = jnp.isfinite(frozen_x)
    x, frozen_x = (jnp.where(finite, each, 0) for each in (x, frozen_x))
    problem = pose(frozen, frozen_x, label, ord, bounds, target)
    here = touch(problem, result.delta)
    exists = (result.status == Status.FOUND) & here.regular
    q = dual_order(problem.ord)
    rate = steepest(here.nearest, q)
    scale = norm(jnp.where(here.free, rate, 0), q) / jnp.where(here.regular, here.steepness, 1)
    slope = jnp.where(here.free, scale * here.grad, -rate)
    if problem.ord == 1:  # the norm has a kink where a coordinate does not move
        slope = jnp.where(here.nearest == 0, jnp.clip(scale * here.grad, -1, 1), slope)
    scale, slope = jnp.where(exists, scale, 0), jnp.where(exists, slope, 0)
    scale, slope = jax.lax.stop_gradient((scale, slope.reshape(x.shape)))

    # A derivative that is not finite would come through a factor 0: take none there.
    point = jnp.where(exists, here.point, problem.x).reshape(x.shape)
    height = margin(logits_fn(point), label, target).astype(scale.dtype)
    height = jnp.where(exists, height, 0)
    shift = (x - frozen_x).astype(scale.dtype)
    change = scale * (height - jax.lax.stop_gradient(height)) + jnp.sum(slope * shift)
    return jax.lax.stop_gradient(result.norm) + change
