"""Decoupled direction and norm (Rony et al. 2019, arXiv:1811.09600), at any scale."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from .._typing import Bounds, LogitsFn, Order
from ._cut import positive, unscaled_norm
from ._margin import as_logits
from ._problem import Problem, pose
from ._result import Perturbation, cross, finish

LOSSES = ("margin", "cross_entropy")


def ddn(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    target: ArrayLike | None = None,
    steps: int = 100,
    gamma: float = 0.05,
    loss: str = "margin",
) -> Perturbation:
    """Gradient steps on a sphere whose radius shrinks where adversarial and grows elsewhere.

    As in the paper, but for three constants that were made for 8-bit images in [0, 1]: the sphere
    starts with the distance to the linearised boundary instead of 1, a step is a fraction of the
    current radius (annealed from 1 to 0.01 by a cosine), and nothing is quantised.

    Parameters
    ----------
    logits_fn, x, label, bounds, target
        As of `minimal`.
    ord
        2 alone.
    steps
        Gradients.
    gamma
        Relative change of the radius in a step.
    loss
        `"margin"`, or `"cross_entropy"` as in the paper, whose gradient is not normal to a
        boundary between two of more classes and underflows for confident networks.

    Returns
    -------
    A `Perturbation`.

    Raises
    ------
    TypeError, ValueError
        As of `minimal`; for another `ord`, `loss`, or options out of range.
    """
    if ord != 2:
        raise ValueError(f"ddn minimises the l2 norm: ord must be 2, got {ord!r}.")
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {LOSSES}, got {loss!r}.")
    if steps < 1 or not 0 < gamma < 1:
        raise ValueError(f"wanted steps >= 1 and 0 < gamma < 1, got {steps} and {gamma}.")
    problem = pose(logits_fn, x, label, ord, bounds, target)
    delta, finite = descend(problem, steps, gamma, loss)
    return finish(problem, cross(problem, delta), steps, finite)


def descend(
    problem: Problem, steps: int, gamma: float = 0.05, loss: str = "margin"
) -> tuple[Array, Array]:
    """The shortest adversarial displacement of a run, and whether all gradients were finite.

    Where nothing was adversarial, the last displacement.
    """
    dtype = problem.center.dtype

    def step(carry, k):
        delta, radius, best, best_norm, finite = carry
        landed, point = problem.land(problem.origin + delta)
        reading, grad = problem.read_and_grad(point)
        if loss == "cross_entropy":
            grad = _cross_entropy_grad(problem, point)
        largest = jnp.max(jnp.abs(grad))
        unit = grad / positive(largest)
        length = unscaled_norm(unit, 2)
        first = jnp.maximum(reading.margin, reading.slack) / positive(largest) / positive(length)
        landed = landed.astype(dtype)
        # All displacements are about as long as the radius: in units of it, squares are safe.
        unit_of_length = positive(radius)
        size = unscaled_norm(landed / unit_of_length, 2) * unit_of_length
        shorter = reading.crossed & (size < best_norm)
        best_norm = jnp.where(shorter, size, best_norm)
        best = jnp.where(shorter | (best_norm == jnp.inf), landed, best)
        change = jnp.where(reading.crossed, 1 - gamma, 1 + gamma)
        radius = jnp.where(k == 0, first, jnp.minimum(change * radius, best_norm))
        share = 0.01 + 0.99 * (1 + jnp.cos(jnp.pi * k / steps)) / 2
        moved = landed / positive(radius) - share / positive(length) * unit
        delta = radius / positive(unscaled_norm(moved, 2)) * moved
        ok = jnp.isfinite(largest) & jnp.isfinite(radius)
        delta = jnp.where(ok, delta, landed)
        return (delta, jnp.where(ok, radius, size), best, best_norm, finite & ok), None

    zero = jnp.zeros((), dtype)
    start = problem.center - problem.origin
    init = (start, zero, start, zero + jnp.inf, jnp.ones((), bool))
    (_, _, best, _, finite), _ = jax.lax.scan(
        step, problem.init(init), jnp.arange(steps).astype(dtype)
    )
    return best, finite


def _cross_entropy_grad(problem: Problem, point: Array) -> Array:
    """Gradient of the log-probability of the label, or of minus that of the target."""

    def function(point):
        logits = as_logits(problem.logits_fn(point))
        logits = jax.nn.log_softmax(logits.astype(problem.center.dtype))
        return -logits[problem.target] if problem.targeted else logits[problem.label]

    return jax.grad(function)(point).astype(problem.center.dtype)
