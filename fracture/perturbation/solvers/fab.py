"""Fast adaptive boundary attack (Croce, Hein 2020, arXiv:1907.02044), in three norms."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ..._checks import check_counts, check_finite
from ..._problem import pose
from ..._typing import Bounds, Key, LogitsFn, Order
from .._result import Perturbation, finish
from ..steps.halfspace import linearise_at
from ..steps.linearise import linearise, off_a_tie
from ..steps.ray import cross
from ..steps.shortest import none_yet
from ..steps.step_off import step_off


def fab(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    target: ArrayLike | None = None,
    steps: int = 20,
    num_classes: int = 10,
    overshoot: float = 1.05,
    bias: float = 0.1,
    backward: float = 0.9,
    key: Key | None = None,
) -> Perturbation:
    """Project iterate and input on the nearest linearised boundary, and go between the two.

    As in the paper, but that nothing is dropped for being longer than a given radius, and that its
    last search along the ray to `x` is the one of all solvers here. `over_classes(fab)` is the
    targeted version of the paper: one gradient a step instead of one a class.

    Parameters
    ----------
    logits_fn, x, label, ord, bounds, target
        As of `minimal`.
    steps
        Linearisations.
    num_classes
        Classes with the largest logits, besides the label, to consider; one gradient each and one
        more in each step.
    overshoot
        Factor η of each projection.
    bias
        Largest weight α of the projection of `x`.
    backward
        What remains (β) of a displacement that was adversarial, from which the search goes on.
    key
        Start at random, at half the norm of the first projection; None: at `x`.

    Returns
    -------
    A `Perturbation`.

    Raises
    ------
    TypeError, ValueError
        As of `minimal`; for options out of range.

    References
    ----------
    Croce, Hein (2020), "Minimally distorted adversarial examples with a fast adaptive boundary
    attack", arXiv:1907.02044.
    """
    check_counts(steps=steps, num_classes=num_classes)
    check_finite(1, overshoot=overshoot)
    if not 0 <= bias <= 1 or not 0 < backward < 1:
        raise ValueError(f"wanted 0 <= bias <= 1 and 0 < backward < 1, got {bias}, {backward}.")
    problem = step_off(pose(logits_fn, x, label, ord, bounds, target))
    dtype = problem.center.dtype

    def step(carry, _):
        delta, best, finite = carry
        landed, point = problem.land(problem.origin + delta)
        rival, fine = problem.target, jnp.ones((), bool)
        if not problem.targeted:
            near = linearise(problem, num_classes, point)
            rival, fine = near.nearest.rival, near.finite
        reading, grad = problem.read_and_grad(point, rival)
        delta = landed.astype(dtype)
        cut = linearise_at(delta, off_a_tie(reading.margin, reading.slack), grad)
        height = cut.at(delta)
        side = jnp.where(height < 0, -1, 1).astype(dtype)
        own, own_size = problem.step(point.astype(dtype), side * height, side * cut.normal)
        back, back_size = problem.step(problem.origin, cut.excess, cut.normal)
        total = own_size + back_size
        share = jnp.minimum(own_size / jnp.where(total > 0, total, 1), bias)
        share = jnp.where(jnp.isfinite(total), share, 0)
        moved = (1 - share) * (delta + overshoot * own) + share * overshoot * back
        landed, point = problem.land(problem.origin + moved)
        crossed = problem.read(point).crossed
        moved = landed.astype(dtype)
        best = best.visit(moved, problem.size(landed), crossed)
        moved = jnp.where(crossed, backward * moved, moved)
        return (moved, best, finite & fine & cut.finite), None

    start = problem.center - problem.origin
    if key is not None:
        first = linearise(problem, num_classes).nearest.delta
        noise = jax.random.normal(key, start.shape, dtype)
        start += noise * problem.size(first) / problem.size(noise) / 2
    init = problem.init((start, none_yet(start), jnp.ones((), bool)))
    (_, best, finite), _ = jax.lax.scan(step, init, length=steps)
    others = 0 if problem.targeted else min(num_classes, problem.num_classes - 1)
    num_grads = steps * (1 + others) + (0 if key is None else max(others, 1))
    return finish(problem, cross(problem, best.delta), num_grads, finite)
