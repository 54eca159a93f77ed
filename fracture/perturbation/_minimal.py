"""The portfolio: several classes and starts, all slid along the boundary; the best one wins."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from .._typing import Bounds, LogitsFn, Order
from ._affine import linearise
from ._ddn import descend
from ._fmn import shrink
from ._problem import pose
from ._refine import Slide, search, slide
from ._result import Perturbation, finish


class Budget(NamedTuple):
    """Steps of each part of the portfolio."""

    num_classes: int  # linearised at the input, to choose the targets
    num_targets: int
    target_steps: int  # towards each of the targets
    descent_steps: int  # of DDN (l2) or FMN
    rounds: tuple[tuple[int, int], ...]  # (so many of the best, so many steps), in turn


BUDGETS = {
    "low": Budget(32, 3, 8, 20, ((1, 8),)),
    "medium": Budget(128, 9, 4, 60, ((9, 8), (2, 40))),
    "high": Budget(1024, 9, 20, 100, ((9, 20), (5, 40))),
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

    Linearise every boundary at `x`; slide along each of the nearest ones, by that measure; run
    `ddn` (l2) or `fmn` besides; `refine` the best of them, then the best of those, in several
    rounds; return the shortest.
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
        `"low"`, `"medium"` or `"high"`: about 70, 270 and 690 gradients for ten classes.

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
    Rony et al. (2019), "Decoupling direction and norm", arXiv:1811.09600. Pintor et al. (2021),
    "Fast minimum-norm adversarial attacks through adaptive norm constraints", arXiv:2102.12827.
    Moosavi-Dezfooli, Fawzi, Frossard (2016), "DeepFool", arXiv:1511.04599.
    """
    if effort not in BUDGETS:
        raise ValueError(f"effort must be one of {tuple(BUDGETS)}, got {effort!r}.")
    budget = BUDGETS[effort]
    problem = pose(logits_fn, x, label, ord, bounds, target)
    near = linearise(problem, budget.num_classes)
    targets = near.closest(budget.num_targets)
    start = problem.center - problem.origin
    first = jax.vmap(lambda rival: slide(problem, start, budget.target_steps, rival))(targets)
    num_grads = near.classes.size + len(targets) * budget.target_steps
    # A descent finds a way across where the linearisations lead nowhere.
    descent = descend if ord == 2 else shrink
    others = descent(problem, budget.descent_steps)[0][None]
    num_grads += budget.descent_steps
    runs = [first]
    for kept, steps in budget.rounds:
        starts = jnp.concatenate([nearest(runs[-1], kept), others])
        others = others[:0]  # in the first round alone
        runs.append(jax.vmap(lambda delta, steps=steps: slide(problem, delta, steps))(starts))
        num_grads += len(starts) * steps
    every = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *runs)
    close, short = jnp.argmin(every.reach), jnp.argmin(every.across.norm)
    best = every._replace(
        near=every.near[close],
        across=jax.tree.map(lambda leaf: leaf[short], every.across),
    )
    return finish(problem, search(problem, best), num_grads, near.finite)


def nearest(runs: Slide, count: int) -> Array:
    """The displacements of the runs that came nearest."""
    return runs.near[jax.lax.top_k(-runs.reach, min(count, runs.reach.size))[1]]
