"""Augmented Lagrangian attack (Rony et al. 2021, arXiv:2011.11857), in the units of the problem."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ..._checks import check_counts
from ..._problem import pose
from ..._typing import Bounds, LogitsFn, Order
from .._result import Perturbation, finish
from ..steps.augment import augment
from ..steps.linearise import linearise
from ..steps.ray import cross
from ..steps.shortest import shortest
from ..steps.step_off import step_off


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

    References
    ----------
    Rony, Granger, Pedersoli, Ben Ayed (2021), "Augmented Lagrangian adversarial attacks",
    arXiv:2011.11857. Matyasko, Chau (2021), "PDPGD: primal-dual proximal gradient descent
    adversarial attack", arXiv:2106.01538.
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
