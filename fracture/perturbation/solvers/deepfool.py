"""DeepFool for many classes (Moosavi-Dezfooli et al. 2016, arXiv:1511.04599)."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ..._checks import check_counts, check_finite
from ..._problem import pose
from ..._typing import Bounds, LogitsFn, Order
from .._result import Perturbation, finish
from ..steps.linearise import linearise
from ..steps.ray import cross
from ..steps.step_off import step_off


def deepfool(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    target: ArrayLike | None = None,
    steps: int = 50,
    overshoot: float = 0.02,
    num_classes: int = 10,
) -> Perturbation:
    """Step to the nearest linearised boundary until across; then shorten along the ray from x.

    Parameters
    ----------
    logits_fn, x, label, ord, bounds, target
        As of `minimal`.
    steps
        At most so many; the loop ends early, under `vmap` when the last input is done.
    overshoot
        Each step is longer by this fraction.
    num_classes
        Classes with the largest logits, besides the label, to consider; one gradient each and a
        step.

    Returns
    -------
    A `Perturbation`.

    Raises
    ------
    TypeError, ValueError
        As of `minimal`; for options out of range.

    References
    ----------
    Moosavi-Dezfooli, Fawzi, Frossard (2016), "DeepFool: a simple and accurate method to fool deep
    neural networks", arXiv:1511.04599.
    """
    check_counts(steps=steps, num_classes=num_classes)
    check_finite(0, overshoot=overshoot)
    problem = step_off(pose(logits_fn, x, label, ord, bounds, target))
    dtype = problem.center.dtype

    def going(carry):
        _, done, finite, count = carry
        return ~done & finite & (count < steps)

    def step(carry):
        delta, _, _, count = carry
        _, point = problem.land(problem.origin + delta)
        near = linearise(problem, num_classes, point)
        moved = point.astype(dtype) + (1 + overshoot) * near.nearest.delta
        landed, point = problem.land(moved)
        landed = landed.astype(dtype)
        done = problem.read(point).crossed | jnp.all(landed == delta)
        return landed, done, near.finite, count + 1

    start = problem.center - problem.origin
    init = (start, problem.start.crossed | ~problem.posed, jnp.ones((), bool), jnp.int32(0))
    delta, _, finite, count = jax.lax.while_loop(going, step, problem.init(init))
    num_grads = count * (1 if problem.targeted else min(num_classes, problem.num_classes - 1))
    best = cross(problem, delta)
    return finish(problem, best, num_grads, finite)
