"""Decoupled direction and norm (Rony et al. 2019, arXiv:1811.09600), at any scale."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from ..._checks import check_counts
from ..._problem import Problem, pose
from ..._typing import Bounds, LogitsFn, Order
from ...norms import positive
from .._result import Perturbation, finish
from ..steps.anneal import anneal
from ..steps.halfspace import scaled, unscaled_norm
from ..steps.loss import check_loss, loss_and_grad
from ..steps.ray import cross
from ..steps.shortest import none_yet
from ..steps.step_off import step_off

LAST = 0.01  # of the first step, at the end


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
    loss: str = "soft_margin",
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
        `"soft_margin"`, which settles the class by and by and ends as the margin; `"margin"`; or
        `"cross_entropy"` as in the paper, whose gradient is not normal to a boundary between two
        of more classes and underflows for confident networks.

    Returns
    -------
    A `Perturbation`.

    Raises
    ------
    TypeError, ValueError
        As of `minimal`; for another `ord`, `loss`, or options out of range.

    References
    ----------
    Rony et al. (2019), "Decoupling direction and norm for efficient gradient-based L2 adversarial
    attacks and defenses", arXiv:1811.09600.
    """
    if ord != 2:
        raise ValueError(f"ddn minimises the l2 norm: ord must be 2, got {ord!r}.")
    check_loss(loss)
    check_counts(steps=steps)
    if not 0 < gamma < 1:
        raise ValueError(f"wanted 0 < gamma < 1, got {gamma}.")
    problem = step_off(pose(logits_fn, x, label, ord, bounds, target))
    delta, finite = resize(problem, steps, gamma, loss)
    return finish(problem, cross(problem, delta), steps, finite)


def resize(
    problem: Problem, steps: int, gamma: float = 0.05, loss: str = "soft_margin"
) -> tuple[Array, Array]:
    """The shortest adversarial displacement of a run, and whether all gradients were finite.

    Where nothing was adversarial, the last displacement.

    Parameters
    ----------
    problem
        From `pose`.
    steps, gamma, loss
        As of `ddn`.

    Returns
    -------
    delta, finite
        Shape `(d,)`, and a bool.
    """
    dtype = problem.center.dtype

    def step(carry, k):
        delta, radius, best, finite = carry
        landed, point = problem.land(problem.origin + delta)
        share = anneal(k, steps, 1.0, LAST)
        if loss == "cross_entropy":  # which says nothing about distances
            reading, grad = problem.read_and_grad(point)
        else:
            reading, _, grad = loss_and_grad(problem, point, loss, anneal(k, steps, 1.0, 0.0))
        unit, largest = scaled(grad)
        first = jnp.maximum(reading.margin, reading.slack) / positive(largest)
        first /= positive(unscaled_norm(unit, 2))
        if loss == "cross_entropy":
            unit, largest = scaled(loss_and_grad(problem, point, loss, share)[2])
        length = positive(unscaled_norm(unit, 2))
        landed = landed.astype(dtype)
        # All displacements are about as long as the radius: in units of it, squares are safe.
        unit_of_length = positive(radius)
        size = unscaled_norm(landed / unit_of_length, 2) * unit_of_length
        best = best.visit(landed, size, reading.crossed)
        change = jnp.where(reading.crossed, 1 - gamma, 1 + gamma)
        radius = jnp.where(k == 0, first, jnp.minimum(change * radius, best.norm))
        moved = landed / positive(radius) - share / length * unit
        delta = radius / positive(unscaled_norm(moved, 2)) * moved
        ok = jnp.isfinite(largest) & jnp.isfinite(radius)
        delta = jnp.where(ok, delta, landed)
        return (delta, jnp.where(ok, radius, size), best, finite & ok), None

    start = problem.center - problem.origin
    init = problem.init((start, problem.size(start), none_yet(start), jnp.ones((), bool)))
    (*_, best, finite), _ = jax.lax.scan(step, init, jnp.arange(steps).astype(dtype))
    return best.delta, finite
