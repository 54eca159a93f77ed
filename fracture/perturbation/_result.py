"""The result of every solver."""

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from .._problem import Problem
from ..norms import positive
from .steps.ray import Crossing
from .steps.rounding import settle
from .steps.shortest import shortest


class Status(IntEnum):
    """How the search for one input ended."""

    FOUND = 0  # `x + delta` is verified to be adversarial
    MISCLASSIFIED = 1  # `x` itself is: delta and norm are 0
    NOT_FOUND = 2  # the solver found nothing, or nothing exists
    NOT_FINITE = 3  # no valid problem: NaN, infinity, or a label out of range


class Perturbation(NamedTuple):
    """Smallest adversarial perturbation that a solver found; `vmap` adds an axis to each field.

    Attributes
    ----------
    delta
        Displacement in units and dtype of the input; finite, zero where nothing was found. Where
        something was, `x + delta`, rounded as its dtype says, respects the bounds exactly.
    norm
        Its norm, in float32 at least; inf where nothing was found.
    found
        The network, evaluated at `x + delta`, answers another class with a margin of more than
        rounding; with a target, the target's logit exceeds the label's so. Rounding is a few ulps
        of the largest logit, there or at `x`, where logits that are larger than both compared by
        orders of magnitude count as masks; and, wherever the margin goes on falling farther out,
        several times what a few evaluations around the point show it to be.
    adversarial_label
        The class it answers there; -1 where nothing was found.
    gap
        Relative width of the last bracket around the boundary on the way that was searched: a
        straight line, clipped to the bounds. At `x + (1 - gap) delta` the label still wins if no
        bound is met, that is where `x` and `x + delta` lie strictly inside. Mostly about 1e-5, half
        a percent behind a saturated head; more only where rounding hides the boundary, as in half
        precision. 1 where only `x` itself is known to be classified right, because all points
        nearer are adversarial or within rounding; 0 where `x` is misclassified.
    num_grads
        Gradients spent.
    status
        A `Status`.
    """

    delta: Float[Array, "*input"]
    norm: Float[Array, ""]
    found: Bool[Array, ""]
    adversarial_label: Int[Array, ""]
    gap: Float[Array, ""]
    num_grads: Int[Array, ""]
    status: Int[Array, ""]

    @property
    def correct(self) -> Bool[Array, "*shape"]:
        """Whether `x` itself gets its label, in a valid problem."""
        status = jnp.asarray(self.status)  # stored ones are of NumPy
        return (status == Status.FOUND) | (status == Status.NOT_FOUND)


Solver: TypeAlias = Callable[..., Perturbation]
"""`solver(logits_fn, x, label, *, ord, bounds, target, ...) -> Perturbation` for one input."""


def finish(
    problem: Problem,
    best: Crossing,
    num_grads: Array | int,
    finite: Array,
    limit: Array | float = jnp.inf,
) -> Perturbation:
    """The result from the crossing found, pushed out of the network's rounding.

    Parameters
    ----------
    problem
        From `pose`.
    best
        The shortest crossing that the solver found.
    num_grads
        Gradients spent.
    finite
        bool: all of them were finite; tells `NOT_FOUND` from `NOT_FINITE`.
    limit
        What is longer, once it is pushed, was not found.

    Returns
    -------
    A `Perturbation` in the shape of the input.
    """
    best = settle(problem, best)
    best = best._replace(high=jnp.where(best.norm <= limit, best.high, jnp.inf))
    wrong = problem.posed & problem.start.crossed
    found = wrong | (problem.posed & (best.high < jnp.inf))
    status = jnp.where(
        wrong,
        Status.MISCLASSIFIED,
        jnp.where(
            found,
            Status.FOUND,
            jnp.where(problem.posed & finite, Status.NOT_FOUND, Status.NOT_FINITE),
        ),
    )
    moved = found & ~wrong
    answer = jnp.where(wrong, problem.start.answer, best.answer)
    # Where x is misclassified, the search may end at 0.
    gap = jnp.where(wrong, 0, 1 - best.low / positive(best.high))
    return Perturbation(
        delta=jnp.where(moved, best.delta, jnp.zeros_like(best.delta)).reshape(problem.shape),
        norm=jnp.where(found, jnp.where(wrong, 0, best.norm), jnp.inf),
        found=found,
        adversarial_label=jnp.where(found, answer, -1),
        gap=jnp.where(found, gap, 1),
        num_grads=jnp.where(wrong, 0, num_grads).astype(jnp.int32),
        status=status.astype(jnp.int32),
    )


def best_of(runs: Perturbation, more_grads: int) -> Perturbation:
    """The shortest of several results, with the gradients of all and `more_grads`.

    Parameters
    ----------
    runs
        A `Perturbation` with a leading axis.
    more_grads
        Gradients spent beside those of the runs.

    Returns
    -------
    One `Perturbation`; of runs that found nothing, the first.
    """
    best = shortest(runs)
    spent = jnp.sum(runs.num_grads, dtype=jnp.int32) + more_grads
    return best._replace(num_grads=jnp.where(best.status == Status.MISCLASSIFIED, 0, spent))
