"""Descent of an augmented Lagrangian of distance and margin, whose multiplier adapts."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..._problem import Problem
from ..._typing import Order
from ...norms import positive
from .anneal import anneal
from .halfspace import unscaled_norm
from .shortest import Incumbent, none_yet

LAST = 0.01  # of the first step, at the end
MEMORY = 0.7  # the share of the multiplier that a step keeps
METRIC_MEMORY = 0.9  # and of the metric
RANGE = (1e-6, 1e12)  # of the multiplier
NEWTON_STEPS = 8  # of the proximal map of l∞


class State(NamedTuple):
    """Where a run stands, displacements in units of the first one."""

    u: Array  # (d,): the displacement to evaluate next
    before: Array  # (d,): the last one
    multiplier: Array
    metric: Array  # (d,): for l∞, the moving average of the sizes of gradients; else ones
    best: Incumbent
    finite: Array  # bool: all gradients were


def augment(
    problem: Problem, delta: Array, steps: int, momentum: float = 0.7
) -> tuple[Array, Array, Array]:
    """A run from halfway to `delta`, which is about at the boundary.

    Its shortest adversarial displacement, or the last one where there was none; the last one; and
    whether all gradients were finite.

    Parameters
    ----------
    problem
        From `pose`.
    delta
        Shape `(d,)`; its norm is the unit of all lengths.
    steps
        Gradients.
    momentum
        Of the steps, at least 0 and below 1.

    Returns
    -------
    shortest, last, finite
        Two displacements, shape `(d,)`, and a bool.

    References
    ----------
    Rony, Granger, Pedersoli, Ben Ayed (2021), "Augmented Lagrangian adversarial attacks",
    arXiv:2011.11857. Matyasko, Chau (2021), "PDPGD: primal-dual proximal gradient descent
    adversarial attack", arXiv:2106.01538.
    """
    dtype, ord = problem.center.dtype, problem.ord
    length = positive(problem.size(delta))
    height = positive(jnp.maximum(problem.start.margin, problem.start.slack))

    def step(state, scheduled):
        first, share = scheduled
        u, before, multiplier, metric, best, finite = state
        landed, point = problem.land(problem.origin + length * u)
        reading, grad = problem.read_and_grad(point)
        landed = landed.astype(dtype)
        u, y, g = landed / length, reading.margin / height, grad / (height / length)
        best = best.visit(landed, length * unscaled_norm(u, ord), reading.crossed)
        if ord == jnp.inf:
            aged = METRIC_MEMORY * metric + (1 - METRIC_MEMORY) * jnp.abs(g)
            metric = jnp.where(first, jnp.abs(g), aged)
        downhill = g / positive(metric)
        slope, _ = _penalty(y, multiplier)
        multiplier = jnp.clip(MEMORY * multiplier + (1 - MEMORY) * slope, *RANGE)
        slope, curvature = _penalty(y, multiplier)
        t = share / (1 + curvature * jnp.sum(g * downhill))
        moved = _proximal(u - t * slope * downhill + momentum * (u - before), t, metric, ord)
        ok = jnp.all(jnp.isfinite(grad))
        moved = jnp.where(ok, moved, u / 2)
        return State(moved, u, multiplier, metric, best, finite & ok), None

    half = delta / length / 2
    init = State(
        u=half,
        before=half,
        multiplier=jnp.ones((), dtype),
        metric=jnp.ones_like(half),
        best=none_yet(delta),
        finite=jnp.ones((), bool),
    )
    k = jnp.arange(steps).astype(dtype)
    end, _ = jax.lax.scan(step, problem.init(init), (k == 0, anneal(k, steps, 1.0, LAST)))
    return end.best.delta, length * end.u, end.finite


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
