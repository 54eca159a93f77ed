"""Augmented Lagrangian attack (Rony et al. 2021, arXiv:2011.11857), in the units of the problem."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from ..._problem import Problem, pose
from ..._typing import Bounds, LogitsFn, Order
from ...norms import positive
from .._options import check_counts
from .._result import Perturbation, cross, finish, shortest
from ..steps.incumbent import anneal, none_yet
from ..steps.step_off import step_off
from .affine import linearise

LAST = 0.01  # of the first step, at the end
MEMORY = 0.7  # the share of the multiplier that a step keeps
METRIC_MEMORY = 0.9  # and of the metric
RANGE = (1e-6, 1e12)  # of the multiplier
NEWTON_STEPS = 8  # of the proximal map of l∞


def alma(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    target: ArrayLike | None = None,
    steps: int = 100,
    momentum: float = 0.7,
    num_classes: int = 10,
) -> Perturbation:
    """Descend a penalty-Lagrangian of distance and margin, whose multiplier adapts at each step.

    The penalty P₂ and the moving average of the multiplier are the paper's. Departures: lengths
    are in units of the distance at which the ray to the nearest linearised boundary crosses,
    margins in units of the one at `x`, in place of a ratio of logit differences and of constants
    for images in [0, 1]. Then the multiplier starts from 1, its value where the network is affine,
    and the penalty parameter stays 1: raising it until something is adversarial, as the paper
    does, changed no result. Instead of by RMSProp, a step divides by the known curvature across
    the boundary, annealed by a cosine. The norm enters by its proximal map, as in PDPGD (Matyasko,
    Chau 2021, arXiv:2106.01538): so l1 perturbations are sparse and l∞ is possible, where each
    coordinate has a step of its own. The run starts halfway along that ray, which mostly decides
    the class.

    Parameters
    ----------
    logits_fn, x, label, ord, bounds, target
        As of `minimal`.
    steps
        Gradients after the first linearisation.
    momentum
        Of the steps.
    num_classes
        Classes with the largest logits, besides the label, to linearise at `x`; one gradient
        each.

    Returns
    -------
    A `Perturbation`, no longer than that of `affine` for as many classes.

    Raises
    ------
    TypeError, ValueError
        As of `minimal`; for options out of range.
    """
    check_counts(steps=steps, num_classes=num_classes)
    if not 0 <= momentum < 1:
        raise ValueError(f"wanted 0 <= momentum < 1, got {momentum}.")
    problem = step_off(pose(logits_fn, x, label, ord, bounds, target))
    near = linearise(problem, num_classes)
    first = cross(problem, near.nearest.delta)
    delta = first.delta.astype(problem.center.dtype)
    delta = jnp.where(first.high < jnp.inf, delta, near.nearest.delta)
    best, last, finite = augment(problem, delta, steps, momentum)
    # The iterates may approach the boundary from the clean side: so the last one, too.
    others = jax.vmap(lambda delta: cross(problem, delta))(jnp.stack([best, last]))
    found = jax.tree.map(lambda one, more: jnp.concatenate([one[None], more]), first, others)
    return finish(problem, shortest(found), near.classes.size + steps, near.finite & finite)


def augment(
    problem: Problem, delta: Array, steps: int, momentum: float = 0.7
) -> tuple[Array, Array, Array]:
    """A run from halfway to `delta`, which is about at the boundary.

    Its shortest adversarial displacement, or the last one where there was none; the last one; and
    whether all gradients were finite.
    """
    dtype, ord = problem.center.dtype, problem.ord
    length = positive(problem.size(delta))
    height = positive(jnp.maximum(problem.start.margin, problem.start.slack))

    def step(carry, k):
        u, before, multiplier, metric, best, finite = carry
        landed, point = problem.land(problem.origin + length * u)
        reading, grad = problem.read_and_grad(point)
        landed, size = landed.astype(dtype), problem.size(landed)
        best = best.visit(landed, size, reading.crossed)
        u, y, g = landed / length, reading.margin / height, grad / (height / length)
        if ord == jnp.inf:
            aged = METRIC_MEMORY * metric + (1 - METRIC_MEMORY) * jnp.abs(g)
            metric = jnp.where(k == 0, jnp.abs(g), aged)
        downhill = g / positive(metric)
        slope, _ = _penalty(y, multiplier)
        multiplier = jnp.clip(MEMORY * multiplier + (1 - MEMORY) * slope, *RANGE)
        slope, curvature = _penalty(y, multiplier)
        share = anneal(k, steps, 1.0, LAST)
        t = share / (1 + curvature * jnp.sum(g * downhill))
        moved = _proximal(u - t * slope * downhill + momentum * (u - before), t, metric, ord)
        ok = jnp.all(jnp.isfinite(grad))
        moved = jnp.where(ok & jnp.all(jnp.isfinite(moved)), moved, u / 2)
        return (moved, u, multiplier, metric, best, finite & ok), None

    half, one = delta / length / 2, jnp.ones((), dtype)
    init = (half, half, one, jnp.ones_like(half), none_yet(delta), jnp.ones((), bool))
    ks = jnp.arange(steps).astype(dtype)
    (last, *_, best, finite), _ = jax.lax.scan(step, problem.init(init), ks)
    return best.delta, length * last, finite


def _penalty(y: Array, multiplier: Array) -> tuple[Array, Array]:
    """Slope and curvature at y of P₂: μy + μy² + y³/6 where y ≥ 0, μy / (1 − y) elsewhere."""
    above, below = jnp.maximum(y, 0), 1 - jnp.minimum(y, 0)
    slope = jnp.where(y > 0, multiplier * (1 + 2 * above) + above**2 / 2, multiplier / below**2)
    return slope, jnp.where(y > 0, 2 * multiplier + above, 2 * multiplier / below**3)


def _proximal(v: Array, t: Array, metric: Array, ord: Order) -> Array:
    """The minimum of t · (‖u‖₁, ‖u‖₂²/2 or ‖u‖_∞) + ⟨metric, (u − v)²⟩/2; metric 1 but for l∞."""
    size = jnp.abs(v)
    if ord == 2:
        return v / (1 + t)
    if ord == 1:
        return jnp.sign(v) * jnp.maximum(size - t, 0)

    # Clip at the level at which the clipped part weighs t: a convex equation, from the left.
    def newton(_, level):
        weight = jnp.where(size > level, metric, 0)
        return jnp.maximum(level, (jnp.sum(weight * size) - t) / positive(jnp.sum(weight)))

    level = jax.lax.fori_loop(0, NEWTON_STEPS, newton, jnp.zeros_like(t))
    return jnp.clip(v, -level, level)
