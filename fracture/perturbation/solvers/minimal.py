"""The portfolio: several classes and descents, all slid along the boundary; the best one wins."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from ..._checks import EFFORTS, check_effort
from ..._problem import Problem, pose
from ..._typing import Bounds, LogitsFn, Order
from ...norms import positive
from .._result import Perturbation, finish
from ..steps.augment import augment
from ..steps.linearise import Linearisation, linearise
from ..steps.ray import Crossing, search
from ..steps.scatter import Plan, scatter
from ..steps.shortest import Incumbent, none_yet, shortest
from ..steps.shrink import shrink
from ..steps.slide import Slide, slide
from ..steps.step_off import step_off
from ..steps.work import work

SMALL = 4096  # numbers that a small network reads in a pass, about that of its weights
FEW_DIMS = 64  # of its inputs: beyond, the directions of the rays cost more than the passes


class Budget(NamedTuple):
    """Steps of each part of the portfolio."""

    num_classes: int  # linearised at the input, to choose the targets
    num_targets: int
    target_steps: int  # along the boundary with each of them
    steps: int  # on from there, whichever class is nearest
    num_descents: int  # from halfway to the nearest of the points reached
    descent_steps: int
    last_steps: int  # along the boundary


# Where the network is small, in place of the runs along the boundaries of the targets.
PLANS = {
    "medium": Plan((1.0, 1.0, 0.6, 0.35, 0.2, 0.1, 0.05), 16, 4, 6, 5, 4),
    "high": Plan(
        (1.0, 1.0, 0.7, 0.5, 0.3, 0.2, 0.12, 0.08, 0.05, 0.03, 0.02, 0.01), 48, 4, 8, 3, 8
    ),
}
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
    At low effort with one class to reach, a target or the other of two, there is one long descent,
    that of `fmn`.

    Where a pass through the network costs next to nothing, at most 64 inputs and about 4,000
    weights, the runs of medium and high effort start from many more places: rays are thrown at
    random, then around the best minima, and those that cross the boundary nearest are slid along
    it, round by round. The random directions are always the same.

    A longer descent may end at a farther minimum. So an effort does what those below it do, too,
    and finds nothing longer, up to rounding.

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
        `"low"`, `"medium"` or `"high"`: at most about 80, 340 and 1390 gradients; for small
        networks 80, 1700 and 9640, the last two with several times as many forward passes.

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

    Examples
    --------
    The boundary between the two classes is where the first coordinate vanishes:

    >>> import jax.numpy as jnp
    >>> from fracture.perturbation import minimal
    >>> network = lambda x: jnp.stack([x[0], -x[0]])
    >>> found = minimal(network, jnp.array([3.0, 1.0]), 0, effort="low")
    >>> print(f"{found.norm:.3f}, to class {found.adversarial_label}: {found.found}")
    3.000, to class 1: True
    """
    check_effort(effort)
    problem = step_off(pose(logits_fn, x, label, ord, bounds, target))
    near = linearise(problem, BUDGETS[effort].num_classes)
    efforts = EFFORTS[: EFFORTS.index(effort) + 1]
    found, spent = zip(*(portfolio(problem, near, each) for each in efforts), strict=True)
    best = shortest(jax.tree.map(lambda *ways: jnp.stack(ways), *found))
    return finish(problem, best, near.classes.size + sum(spent), near.finite)


def portfolio(problem: Problem, near: Linearisation, effort: str) -> tuple[Crossing, int]:
    """What one effort adds to those below it.

    Parameters
    ----------
    problem
        From `step_off`.
    near
        Of at least as many classes as the effort linearises.
    effort
        `"low"`, `"medium"` or `"high"`.

    Returns
    -------
    crossing, num_grads
        The shortest, and the gradients spent beside those of `near`.
    """
    budget = BUDGETS[effort]
    num_grads = 0
    if near.classes.size > budget.num_classes:  # of fewer classes another may be the nearest
        near, num_grads = linearise(problem, budget.num_classes), budget.num_classes
    targets = near.closest(budget.num_targets)
    start = problem.center - problem.origin
    small = effort in PLANS and problem.x.size <= FEW_DIMS
    small = small and work(problem.logits_fn, problem.x) <= SMALL
    single = effort == "low" and targets.size == 1
    num_descents = PLANS[effort].num_kept if small else min(budget.num_descents, targets.size)
    num_again = num_descents if small else 0 if single else 1
    budget = budget if small else spread(budget, near.classes.size, targets.size, single)
    descent_steps, last_steps = budget.descent_steps, budget.last_steps

    # One run after the other: side by side they would hold as many times the memory of a pass.
    def along(best, rival):
        run = slide(problem, start, budget.steps, best.across, rival, budget.target_steps)
        return best.visit(run), None

    def onward(best, delta):
        return best.visit(slide(problem, delta, last_steps, best.across)), None

    def descend(delta):
        if single:  # one descent alone does best from `x` itself
            return shrink(problem, descent_steps)[0]
        return augment(problem, delta, descent_steps)[0]

    best = problem.init(no_runs(start, num_descents))
    if small:
        known = (near.nearest.distance > 0) & (near.nearest.distance < jnp.inf)
        scale = jnp.where(known, near.nearest.distance, positive(problem.size(problem.center)))
        plan = PLANS[effort]
        pool = scatter(problem, targets, scale, plan)
        best = Best(pool.deltas, pool.norms, Incumbent(pool.deltas[0], pool.norms[0]))
        num_grads += plan.num_grads
    else:
        # The most promising one comes last, and is kept where none arrives.
        best, _ = jax.lax.scan(along, best, targets, reverse=True)
        num_grads += targets.size * (budget.target_steps + budget.steps)
    starts = jnp.concatenate([best.near[:num_again], jax.lax.map(descend, best.near)])
    # Where passes are cheap, the ends of all runs are searched, else that of the best.
    ends = problem.init(no_runs(start, len(starts) if small else 1))
    best = ends._replace(across=best.across)
    best, _ = jax.lax.scan(onward, best, starts, reverse=True)
    num_grads += num_descents * descent_steps + len(starts) * last_steps
    # The last of them is exact where the network is affine, if the nearest class was linearised.
    found = search(problem, *best.near, best.across.delta, near.nearest.delta)
    return found, num_grads


def spread(budget: Budget, num_classes: int, num_targets: int, single: bool) -> Budget:
    """The budget where there are fewer classes: what they leave over goes to longer runs.

    Where there is a single descent it gets nearly all: one long run ends closer on large networks.

    Parameters
    ----------
    budget
        For as many classes as it names.
    num_classes, num_targets
        How many were linearised, and how many of those are targets.
    single
        Whether there is one descent alone, in place of all runs from `x`.

    Returns
    -------
    A `Budget` that costs about as many gradients.
    """
    num_descents = min(budget.num_descents, num_targets)
    spare = budget.num_classes - num_classes
    spare += (budget.num_targets - num_targets) * (budget.target_steps + budget.steps)
    spare += (budget.num_descents - num_descents) * (budget.descent_steps + budget.last_steps)
    if single:
        spare += budget.steps + budget.last_steps
        last = spare // 8
        return budget._replace(
            steps=0,
            descent_steps=budget.descent_steps + spare - last,
            last_steps=budget.last_steps + last,
        )
    return budget._replace(
        steps=budget.steps + spare // (2 * num_targets),
        descent_steps=budget.descent_steps + spare // (2 * num_descents),
    )


class Best(NamedTuple):
    """The best of several runs along the boundary."""

    near: Array  # (count, d): the nearest points of the runs that came nearest, by `reach`
    reach: Array  # (count,)
    across: Incumbent

    def visit(self, run: Slide) -> "Best":
        """Take another run into account, which went on from `across`."""
        near = jnp.concatenate([run.near[None], self.near])
        reach = jnp.append(run.reach, self.reach)
        kept = jax.lax.top_k(-reach, self.reach.size)[1]
        return Best(near[kept], reach[kept], run.across)


def no_runs(start: Array, count: int) -> Best:
    """Before the first of the runs from `start`."""
    reach = jnp.full(count, jnp.inf, start.dtype)
    return Best(jnp.tile(start, (count, 1)), reach, none_yet(start))
