"""SuperDeepFool (Abdolahpourrostam, Abroshan, Moosavi-Dezfooli 2023, arXiv:2303.12481)."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ..._checks import check_counts, check_finite
from ..._problem import pose
from ..._typing import Bounds, LogitsFn, Order
from .._result import Perturbation, finish
from ..steps.linearise import linearise, off_a_tie
from ..steps.ray import search
from ..steps.shortest import none_yet
from ..steps.step_off import step_off


def superdeepfool(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    target: ArrayLike | None = None,
    steps: int = 20,
    overshoot: float = 0.02,
    num_classes: int = 10,
) -> Perturbation:
    """DeepFool until across the boundary, then the projection of `x` on its tangent; repeated.

    SDF(∞, 1) of the paper: at a nearest point of the boundary the displacement is along the
    normal, so where DeepFool has crossed, only the part of the displacement along the gradient
    there is kept. Departures: several classes are linearised at `x` alone, and later steps follow
    the margin, which found the same perturbations at a quarter of the gradients; projections are
    exact in each norm and in the bounds; it does not end at the first projection that is
    adversarial, but takes a fixed number of steps and returns the best.

    Cheap, and stuck where the nearest point of the boundary is a kink of the network: from there
    `refine` goes on.

    Parameters
    ----------
    logits_fn, x, label, ord, bounds, target
        As of `minimal`.
    steps
        Gradients after the first linearisation, of DeepFool and projections together.
    overshoot
        Each step of DeepFool is longer by this fraction.
    num_classes
        Classes with the largest logits, besides the label, to linearise at `x`; one gradient
        each.

    Returns
    -------
    A `Perturbation`.

    Raises
    ------
    TypeError, ValueError
        As of `minimal`; for options out of range.

    References
    ----------
    Abdolahpourrostam, Abroshan, Moosavi-Dezfooli (2023), "SuperDeepFool: a new fast and accurate
    minimal adversarial attack", arXiv:2303.12481.
    """
    check_counts(steps=steps, num_classes=num_classes)
    check_finite(0, overshoot=overshoot)
    problem = step_off(pose(logits_fn, x, label, ord, bounds, target))
    dtype = problem.center.dtype
    near = linearise(problem, num_classes)

    def step(carry, _):
        delta, best, finite = carry
        landed, point = problem.land(problem.origin + delta)
        reading, grad = problem.read_and_grad(point)
        delta, across = landed.astype(dtype), reading.crossed
        best = best.visit(delta, problem.size(landed), across)
        # To the tangent half-space: from x where across, as far again as needed where not.
        start = jnp.where(across, problem.origin, point.astype(dtype))
        excess = off_a_tie(reading.margin, reading.slack)
        excess -= jnp.where(across, jnp.sum(grad * delta), 0)
        move, _ = problem.step(start, excess, grad)
        longer = delta + (1 + overshoot) * move
        return (
            jnp.where(across, move, longer),
            best,
            finite & jnp.all(jnp.isfinite(grad)),
        ), None

    first = (1 + overshoot) * near.nearest.delta
    init = (first, none_yet(first), near.finite)
    (last, best, finite), _ = jax.lax.scan(step, problem.init(init), length=steps)
    # A projection ends on the boundary, so the last one need not have been adversarial.
    found = search(problem, best.delta, last)
    return finish(problem, found, near.classes.size + steps, finite)
