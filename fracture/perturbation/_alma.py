"""Augmented Lagrangian attack (Rony et al. 2021, arXiv:2011.11857), in the units of the problem."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from .._typing import Bounds, LogitsFn, Order
from ..norms import positive
from ._affine import linearise
from ._descent import anneal
from ._problem import pose
from ._result import Perturbation, cross, finish, shortest

LAST = 0.01  # of the first step, at the end
MEMORY = 0.7  # of the multiplier: the share that one step keeps
RANGE = (1e-6, 1e12)  # of the multiplier


def alma(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    target: ArrayLike | None = None,
    steps: int = 100,
    momentum: float = 0.9,
    num_classes: int = 10,
) -> Perturbation:
    r"""Descend a penalty-Lagrangian of distance and margin, whose multiplier adapts at each step.

    As in the paper the penalty is P₂ and the multiplier a moving average of its slope. Distances
    are measured in units of the distance to the boundary linearised at `x`, margins in units of
    the margin there, in place of the ratio of logit differences and of constants for images in
    [0, 1]. In these units all constants are 1, and the penalty parameter stays 1: raising it, as
    the paper does until something is adversarial, changed nothing. A step of gradient descent is
    the inverse of the known curvature across the boundary, annealed by a cosine, in place of
    RMSProp; the norm is dealt with by its proximal map, so that l1 solutions are sparse. It
    starts halfway to the nearest linearised boundary, which chooses the class.

    Parameters
    ----------
    logits_fn, x, label, bounds, target
        As of `minimal`.
    ord
        1 or 2.
    steps
        Gradients after the first linearisation.
    momentum
        Of the steps.
    num_classes
        Classes with the largest logits, besides the label, to linearise at `x`; one gradient
        each.

    Returns
    -------
    A `Perturbation`.

    Raises
    ------
    TypeError, ValueError
        As of `minimal`; for another `ord`, or options out of range.
    """
    if isinstance(ord, bool) or ord not in (1, 2):
        raise ValueError(f"alma minimises the l1 or l2 norm: ord must be 1 or 2, got {ord!r}.")
    if steps < 1 or not 0 <= momentum < 1 or num_classes < 1:
        raise ValueError(
            "wanted steps >= 1, 0 <= momentum < 1 and num_classes >= 1, got "
            f"{steps}, {momentum} and {num_classes}."
        )
    problem = pose(logits_fn, x, label, ord, bounds, target)
    dtype = problem.center.dtype
    near = linearise(problem, num_classes)
    length = positive(problem.size(near.nearest.delta))
    height = positive(jnp.maximum(problem.start.margin, problem.start.slack))

    def proximal(v: Array, t: Array) -> Array:
        """The minimum of t · (‖u‖₁ or ‖u‖₂²/2) + ‖u − v‖²/2."""
        return v / (1 + t) if ord == 2 else jnp.sign(v) * jnp.maximum(jnp.abs(v) - t, 0)

    def step(carry, k):
        u, before, multiplier, best, best_norm, finite = carry
        landed, point = problem.land(problem.origin + length * u)
        reading, grad = problem.read_and_grad(point)
        landed = landed.astype(dtype)
        u, g = landed / length, grad / (height / length)
        size = problem.size(landed)
        shorter = reading.crossed & (size < best_norm)
        best_norm = jnp.where(shorter, size, best_norm)
        best = jnp.where(shorter, landed, best)
        y = reading.margin / height
        slope, _ = _penalty(y, multiplier)
        multiplier = jnp.clip(MEMORY * multiplier + (1 - MEMORY) * slope, *RANGE)
        slope, curvature = _penalty(y, multiplier)
        share = anneal(k, steps, 1.0, LAST)
        t = share / (1 + curvature * jnp.sum(g * g))
        moved = proximal(u - t * slope * g + momentum * (u - before), t)
        ok = jnp.all(jnp.isfinite(grad))
        moved = jnp.where(ok & jnp.all(jnp.isfinite(moved)), moved, u / 2)
        return (moved, u, multiplier, best, best_norm, finite & ok), None

    half, one = near.nearest.delta / length / 2, jnp.ones((), dtype)
    init = problem.init((half, half, one, near.nearest.delta, jnp.inf * one, near.finite))
    ks = jnp.arange(steps).astype(dtype)
    (last, _, _, best, _, finite), _ = jax.lax.scan(step, init, ks)
    # The iterates may approach the boundary from the clean side.
    rays = jnp.stack([best, length * last])
    found = shortest(jax.vmap(lambda delta: cross(problem, delta))(rays))
    return finish(problem, found, near.classes.size + steps, finite)


def _penalty(y: Array, multiplier: Array) -> tuple[Array, Array]:
    """Slope and curvature at `y` of P₂: μy + μy² + y³/6 where y ≥ 0, μy / (1 − y) elsewhere."""
    above, below = jnp.maximum(y, 0), 1 - jnp.minimum(y, 0)
    slope = jnp.where(y > 0, multiplier * (1 + 2 * above) + above**2 / 2, multiplier / below**2)
    return slope, jnp.where(y > 0, 2 * multiplier + above, 2 * multiplier / below**3)
