"""Boundary refinement: slide a perturbation along the boundary to the nearest point of it."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ..._checks import check_counts
from ..._problem import pose
from ..._typing import Bounds, LogitsFn, Order
from .._result import Perturbation, finish
from ..steps.ray import search, stay
from ..steps.shortest import shortest
from ..steps.slide import slide
from ..steps.step_off import step_off


def refine(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    delta: ArrayLike,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    target: ArrayLike | None = None,
    steps: int = 20,
) -> Perturbation:
    """Improve a perturbation until it is a local minimum on the decision boundary.

    Each step linearises the margin where it stands and projects `x` on that half-space within the
    bounds: Newton's method for the nearest point of the boundary. Where that is no improvement,
    the linearisation there is combined with the one before, as in a bundle method: so it
    converges at kinks of the network and corners of the ball, too. After more failures it goes
    only part of the way.

    Parameters
    ----------
    logits_fn, x, label, ord, bounds, target
        As of `minimal`.
    delta
        A displacement of the shape of `x`, adversarial or not far from it.
    steps
        Gradients.

    Returns
    -------
    A `Perturbation`, no longer than `delta` where that is adversarial.

    Raises
    ------
    TypeError, ValueError
        As of `minimal`; for `delta` of another shape.
    """
    problem = step_off(pose(logits_fn, x, label, ord, bounds, target))
    start = problem.displacement(delta)
    check_counts(steps=steps)
    run = slide(problem, start, steps)
    # Searches end beyond the boundary: so the given one, too.
    both = search(problem, run.near, run.across.delta), stay(problem, start)
    best = shortest(jax.tree.map(lambda *leaves: jnp.stack(leaves), *both))
    return finish(problem, best, steps, run.finite)
