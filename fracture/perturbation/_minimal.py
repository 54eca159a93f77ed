"""The portfolio: several classes and descents, all slid along the boundary; the best one wins."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from .._typing import Bounds, LogitsFn, Order
from ._affine import linearise
from ._alma import augment
from ._descent import Shortest, none_yet
from ._problem import pose
from ._refine import Slide, slide
from ._result import Perturbation, finish, search


class Budget(NamedTuple):
    """Steps of each part of the portfolio."""

    num_classes: int  # linearised at the input, to choose the targets
    num_targets: int
    target_steps: int  # along the boundary with each of them
    steps: int  # on from there, whichever class is nearest
    num_descents: int  # from halfway to the nearest of the points reached
    descent_steps: int
    last_steps: int  # along the boundary


BUDGETS = {
    "low": Budget(20, 3, 4, 4, 1, 14, 11),
    "medium": Budget(32, 9, 4, 8, 1, 76, 20),
    "high": Budget(64, 9, 8, 8, 9, 60, 30),
}


def minimal(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    target: ArrayLike | None = None,
    effort: str = "medium",
) -> Perturbation:
    """Smallest adversarial perturbation that a portfolio of solvers finds: the one to reach for.

    Linearise at `x` the boundaries with the classes of the largest logits, 20, 32 or 64 of them by
    effort; slide along each of the nearest ones, by that measure, as `refine` does; from halfway
    to the best of them, descend as `alma` does, which finds other minima; refine what that finds
    and the best; return the shortest, and nothing longer than `affine` does for as many classes.
    The answer is an upper bound on the distance to the boundary, and exact, up to rounding, where
    the network is affine and the nearest boundary is one of those. One compiled call: `jit`,
    `vmap` and `shard_map` it, or use `solve`.

    Parameters
    ----------
    logits_fn
        `logits_fn(z) -> logits[K]` for one input, differentiable; one output f stands for the
        logits (f/2, -f/2).
    x
        One input, of any shape and scale and any floating dtype. Outside the bounds it counts as
        adversarial only once it is moved inside.
    label
        The class that `x` should get; may be traced.
    ord
        Norm to minimise: 1, 2 or inf.
    bounds
        `(lower, upper)` that x + delta respects exactly: scalars or arrays that broadcast against
        `x`. None for none.
    target
        Class to reach instead of any other, across its pairwise boundary with the label; may be
        traced.
    effort
        `"low"`, `"medium"` or `"high"`: at most about 80, 260 and 1050 gradients.

    Returns
    -------
    A `Perturbation`. `status` is `Status.NOT_FINITE` where a traced label or target is out of
    range or they agree, where the input or its margin is not finite, or where a traced lower
    bound exceeds the upper one; `Status.NOT_FOUND` for a network with constant logits.

    Raises
    ------
    TypeError
        If `x` or the logits are not floating-point numbers.
    ValueError
        For an empty input, logits that are not a vector, bounds that do not broadcast or, where
        they are not traced, are out of order, an unknown `ord` or `effort`, and for Python integers
        out of range, or equal, as label and target.

    References
    ----------
    Rony et al. (2021), "Augmented Lagrangian adversarial attacks", arXiv:2011.11857.
    Moosavi-Dezfooli, Fawzi, Frossard (2016), "DeepFool", arXiv:1511.04599.
    """
    if effort not in BUDGETS:
        raise ValueError(f"effort must be one of {tuple(BUDGETS)}, got {effort!r}.")
    budget = BUDGETS[effort]
    problem = pose(logits_fn, x, label, ord, bounds, target)
    near = linearise(problem, budget.num_classes)
    targets = near.closest(budget.num_targets)
    start = problem.center - problem.origin
    num_descents = min(budget.num_descents, targets.size)
    # What fewer classes leave over goes to longer runs.
    spare = budget.num_classes - near.classes.size
    spare += (budget.num_targets - targets.size) * (budget.target_steps + budget.steps)
    spare += (budget.num_descents - num_descents) * (budget.descent_steps + budget.last_steps)
    steps = budget.steps + spare // (2 * targets.size)
    descent_steps = budget.descent_steps + spare // (2 * num_descents)

    # One run after the other: side by side they would hold as many times the memory of a pass.
    def along(best, rival):
        run = slide(problem, start, steps, best.across, rival, budget.target_steps)
        return best.visit(run), None

    def onward(best, delta):
        return best.visit(slide(problem, delta, budget.last_steps, best.across)), None

    # The most promising one comes last, and is kept where none arrives.
    none = problem.init(nothing(start, num_descents))
    best, _ = jax.lax.scan(along, none, targets, reverse=True)
    descend = lambda delta: augment(problem, delta, descent_steps)[0]
    starts = jnp.concatenate([best.near[:1], jax.lax.map(descend, best.near)])
    best = best._replace(near=best.near[:1], reach=best.reach[:1])
    best, _ = jax.lax.scan(onward, best, starts, reverse=True)
    num_grads = near.classes.size + targets.size * (budget.target_steps + steps)
    num_grads += num_descents * descent_steps + len(starts) * budget.last_steps
    # The last of them is exact where the network is affine, if the nearest class was linearised.
    found = search(problem, best.near[0], best.across.delta, near.nearest.delta)
    return finish(problem, found, num_grads, near.finite)


class Best(NamedTuple):
    """The best of several runs along the boundary."""

    near: Array  # (count, d): the nearest points of the runs that came nearest, by `reach`
    reach: Array  # (count,)
    across: Shortest

    def visit(self, run: Slide) -> "Best":
        """Take another run into account, which went on from `across`."""
        near = jnp.concatenate([run.near[None], self.near])
        reach = jnp.append(run.reach, self.reach)
        kept = jax.lax.top_k(-reach, self.reach.size)[1]
        return Best(near[kept], reach[kept], run.across)


def nothing(start: Array, count: int) -> Best:
    """Before the first of the runs from `start`."""
    reach = jnp.full(count, jnp.inf, start.dtype)
    return Best(jnp.tile(start, (count, 1)), reach, none_yet(start))
