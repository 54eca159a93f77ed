"""The portfolio: several solvers and target classes, each refined; the best verified one wins."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from .._typing import Bounds, LogitsFn, Order
from ._affine import linearise
from ._ddn import descend
from ._problem import Problem, pose
from ._refine import polish
from ._result import Perturbation, finish

OVERSHOOT = 0.02  # of a targeted run, so that its points are across


class Budget(NamedTuple):
    """Steps of each part of the portfolio."""

    num_classes: int  # linearised at the input, to choose the targets
    num_targets: int
    ddn_steps: int  # l2 alone
    target_steps: int
    refine_steps: int


BUDGETS = {
    "low": Budget(32, 2, 20, 8, 4),
    "medium": Budget(128, 3, 100, 20, 10),
    "high": Budget(1024, 9, 300, 60, 40),
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

    Linearise every boundary at `x`; run a targeted search for each of the nearest ones, by that
    measure; run `ddn` besides (l2); refine every outcome on the boundary; return the shortest.
    The answer is an upper bound on the distance to the boundary, and exact, up to rounding, where
    the network is affine. One compiled call: `jit`, `vmap` and `shard_map` it, or use `solve`.

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
        `"low"`, `"medium"` or `"high"`: about 60, 210 and 1260 gradients in l2 for ten classes.

    Returns
    -------
    A `Perturbation`. `status` is `Status.NOT_FINITE` where a traced label or target is out of
    range or they agree, where the input or its margin is not finite, or where a lower bound
    exceeds the upper one; `Status.NOT_FOUND` for a network with constant logits.

    Raises
    ------
    TypeError
        If `x` or the logits are not floating-point numbers.
    ValueError
        For an empty input, logits that are not a vector, bounds that do not broadcast, an unknown
        `ord` or `effort`, a Python integer out of range as label or target.

    References
    ----------
    Rony et al. (2019), "Decoupling direction and norm", arXiv:1811.09600. Croce, Hein (2020),
    "Minimally distorted adversarial examples with a fast adaptive boundary attack",
    arXiv:1907.02044. Moosavi-Dezfooli, Fawzi, Frossard (2016), "DeepFool", arXiv:1511.04599.
    """
    if effort not in BUDGETS:
        raise ValueError(f"effort must be one of {tuple(BUDGETS)}, got {effort!r}.")
    budget = BUDGETS[effort]
    problem = pose(logits_fn, x, label, ord, bounds, target)
    near = linearise(problem, budget.num_classes)
    count = min(budget.num_targets, near.classes.size)
    targets = near.classes[jax.lax.top_k(-near.distances, count)[1]]
    runs = jax.vmap(lambda rival: approach(problem, rival, budget.target_steps))(targets)
    num_grads = near.classes.size + count * budget.target_steps
    if ord == 2:
        run, _ = descend(problem, budget.ddn_steps)
        runs = jnp.concatenate([runs, run[None]])
        num_grads += budget.ddn_steps
    num_grads += len(runs) * (budget.refine_steps + 1)
    best, _ = jax.vmap(lambda delta: polish(problem, delta, budget.refine_steps))(runs)
    shortest = jnp.argmin(best.norm)
    best = jax.tree.map(lambda leaf: leaf[shortest], best)
    num_grads += len(runs) * (budget.refine_steps + 1)
    return finish(problem, best, num_grads, near.finite)


def approach(problem: Problem, rival: Array, steps: int) -> Array:
    """Shortest displacement of a run towards one class, in the manner of FAB.

    Each step linearises the pairwise boundary and goes midway between the projections of the
    iterate and of `x` on it. Where nothing was adversarial, the last displacement.
    """
    dtype = problem.center.dtype

    def step(carry, _):
        delta, best, best_norm = carry
        landed, point = problem.land(problem.origin + delta)
        reading, grad = problem.read_and_grad(point, rival)
        delta, size = landed.astype(dtype), problem.size(landed)
        shorter = reading.crossed & (size < best_norm)
        best_norm = jnp.where(shorter, size, best_norm)
        best = jnp.where(shorter | (best_norm == jnp.inf), delta, best)
        # From beyond the boundary the way back to it, not the half-space, is the projection.
        side = jnp.where(reading.margin < 0, -1, 1).astype(dtype)
        moves, _ = jax.vmap(problem.step)(
            jnp.stack([point.astype(dtype), problem.origin]),
            jnp.stack([side * reading.margin, reading.margin - jnp.sum(grad * delta)]),
            jnp.stack([side * grad, grad]),
        )
        middle = (delta + jnp.sum(moves, axis=0)) / 2
        return ((1 + OVERSHOOT) * middle, best, best_norm), None

    start = problem.center - problem.origin
    init = problem.init((start, start, jnp.asarray(jnp.inf, dtype)))
    return jax.lax.scan(step, init, length=steps)[0][1]
