"""Decoupled direction and norm (Rony et al. 2019, arXiv:1811.09600), at any scale."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from ..._checks import check_counts
from ..._problem import Problem, pose
from ..._typing import Bounds, LogitsFn, Order
from ...norms import positive, power_near
from .._result import Perturbation, finish
from ..steps.anneal import anneal
from ..steps.halfspace import scaled, unscaled_norm
from ..steps.loss import check_loss, loss_and_grad
from ..steps.ray import cross
from ..steps.shortest import Incumbent, none_yet
from ..steps.step_off import step_off

LAST = 0.01  # of the first step, at the end
RANGE = 2.0**40  # from one gradient to the next, within which its squares are safe


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


class State(NamedTuple):
    """Where a run stands."""

    delta: Array  # (d,): the displacement to evaluate next
    radius: Array  # of the sphere that it lies on
    inverse: Array  # of a power of two near the largest entry of the last gradient, or a guess
    best: Incumbent
    begun: Array  # bool: the radius is that of a sphere
    finite: Array  # bool: all gradients were


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
    rounding = 16 * float(jnp.finfo(dtype).eps)

    def step(state, scheduled):
        share, warmth = scheduled
        landed, point = problem.land(problem.origin + state.delta)
        landed = landed.astype(dtype)
        reading, _, grad = loss_and_grad(problem, point, loss, warmth)
        # One pass over what is as large as the input for all sums. Squares are safe: displacements
        # are about as long as the radius, and gradients are in units of the one before. One that is
        # out of its range is waited for: the step goes nowhere, and the next knows its unit.
        scale = positive(state.radius)
        normal, inside = grad * state.inverse, landed / scale
        largest = jnp.max(jnp.abs(grad))
        length, size = unscaled_norm(normal, 2), unscaled_norm(inside, 2) * scale
        along = jnp.sum(normal * inside)
        grown = largest * state.inverse
        near = (largest == 0) | ((grown > 1 / RANGE) & (grown < RANGE))
        ok = jnp.isfinite(largest) & near
        best = state.best.visit(landed, size, reading.crossed)
        if loss == "cross_entropy":  # which says nothing about distances
            unit, steepest = scaled(problem.read_and_grad(point)[1])
            first = jnp.maximum(reading.margin, reading.slack) / positive(steepest)
            first /= positive(unscaled_norm(unit, 2))
        else:
            first = jnp.maximum(reading.margin, reading.slack) * state.inverse / positive(length)
        change = jnp.where(reading.crossed, 1 - gamma, 1 + gamma)
        radius = jnp.where(state.begun, jnp.minimum(change * state.radius, best.norm), first)
        ok &= jnp.isfinite(radius)
        # moved = landed / radius - share grad / |grad|, and its norm by the three products.
        share = jnp.where(length > 0, share, 0)
        unit_of_length = positive(radius)
        squares = (size / unit_of_length) ** 2 + share**2
        cosine = along / positive(length) * (scale / unit_of_length)
        moved = jnp.sqrt(jnp.maximum(squares - 2 * share * cosine, rounding * squares))
        keep = radius / unit_of_length / positive(moved)
        usual = (largest > 0) & (largest < jnp.inf)
        inverse = jnp.where(usual, power_near(largest)[1], state.inverse)
        turn = radius * share / positive(length) / positive(moved) * (state.inverse / inverse)
        state = State(
            delta=jnp.where(ok, keep * landed - turn * (grad * inverse), landed),
            radius=jnp.where(ok, radius, state.radius),
            inverse=inverse,
            best=best,
            begun=state.begun | ok,
            finite=state.finite & jnp.isfinite(largest),
        )
        return state, None

    start = problem.center - problem.origin
    steepness = positive(jnp.abs(problem.start.margin)) / positive(problem.size(problem.center))
    init = State(
        delta=start,
        radius=problem.size(start),
        inverse=power_near(steepness)[1],
        best=none_yet(start),
        begun=jnp.zeros((), bool),
        finite=jnp.ones((), bool),
    )
    k = jnp.arange(steps).astype(dtype)
    schedule = anneal(k, steps, 1.0, LAST), anneal(k, steps, 1.0, 0.0)
    last, _ = jax.lax.scan(step, problem.init(init), schedule)
    return last.best.delta, last.finite
