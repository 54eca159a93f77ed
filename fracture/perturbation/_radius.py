"""The minimal radius as a differentiable function of the network and the input."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._typing import Bounds, LogitsFn, Order
from ..norms import broadcast_bounds, dual_order, norm
from ._margin import margin
from ._minimal import minimal
from ._result import Status
from ._solvers import Solver, as_solver


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

    By the envelope theorem, at a regular minimiser δ with g = ∇m(x + δ) and F the coordinates
    where x + δ is not at a bound, ∂r/∂θ = λ ∂m_θ(x + δ)/∂θ, where λ is 1/‖g_F‖_∞ for l1,
    ‖δ_F‖/(‖δ‖ ‖g_F‖) for l2 and 1/‖g_F‖_1 for l∞; no derivative of the solver is needed. First
    derivatives in both modes, with respect to `x` and to whatever `logits_fn` closes over.

    At a kink of the network or a tie of classes the derivative is that of one face.

    Parameters
    ----------
    logits_fn, x, label, ord, bounds, target
        As of `minimal`.
    solver, **options
        The solver, or the name of one of `SOLVERS`, and its other options.

    Returns
    -------
    The radius, in float32 at least: inf where nothing was found, 0 where misclassified; both have
    derivative 0. The derivative is NaN where every coordinate is at a bound, since then there is
    none.
    """
    x = jnp.asarray(x)
    frozen_x = jax.lax.stop_gradient(x)
    # Loops in the solver have no reverse mode: keep parameters under differentiation out of them.
    closed, consts = jax.closure_convert(logits_fn, frozen_x)
    consts = [jax.lax.stop_gradient(const) for const in consts]
    result = as_solver(solver)(
        lambda z: closed(z, *consts),
        frozen_x,
        label,
        ord=ord,
        bounds=bounds,
        target=target,
        **options,
    )
    moved, dtype = result.status == Status.FOUND, result.norm.dtype
    # Where the input is not finite, nothing is: derivatives are taken elsewhere, and not used.
    point = jnp.where(jnp.isfinite(frozen_x), frozen_x + result.delta, 0)
    grad = jax.grad(lambda z: margin(closed(z, *consts), label, target))(point).astype(dtype)
    delta = result.delta.astype(dtype)
    free = jnp.ones(x.shape, bool)
    if bounds is not None:
        lower, upper = broadcast_bounds(bounds, frozen_x)
        free = (point > lower) & (point < upper)
    scale = 1 / norm(jnp.where(free, grad, 0), dual_order(ord))
    if ord == 2:
        scale *= norm(jnp.where(free, delta, 0)) / norm(delta)
    if bounds is None:
        slope = scale * grad
    elif ord == 2:
        slope = -delta / norm(delta)
    elif ord == 1:
        slope = jnp.where(delta != 0, -jnp.sign(delta), scale * grad)
    else:
        slope = jnp.where(free, scale * grad, 0)
    scale = jnp.where(jnp.any(free), scale, jnp.nan)
    # Zero outside of `moved`, with care that no NaN of the other branch gets through.
    scale, slope = jnp.where(moved, scale, 0), jnp.where(moved, slope, 0)
    scale, slope = jax.lax.stop_gradient((scale, slope))
    height = jnp.where(moved, margin(logits_fn(point), label, target).astype(dtype), 0)
    shift = jnp.where(moved, x - frozen_x, 0).astype(dtype)
    change = scale * (height - jax.lax.stop_gradient(height)) + jnp.sum(slope * shift)
    return jax.lax.stop_gradient(result.norm) + change
