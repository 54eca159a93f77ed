"""A solver made of an attack at a fixed radius: the least radius at which it succeeds."""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ..._checks import check_counts
from ..._problem import pose
from ..._typing import Bounds, LogitsFn, Order
from .._result import Perturbation, Solver, best_of
from ..steps.step_off import step_off
from ..steps.within_radius import linearised_distance


@lru_cache  # the same object for the same arguments: `solve` does not compile it again
def over_radii(attack: Solver, num: int = 8) -> Solver:
    """A solver that searches the least radius at which `attack` succeeds, by bisection.

    The first radius is the distance to the boundary linearised at `x`, doubled until something is
    found. From then on each is halfway between the largest one that failed and the shortest
    perturbation found, which is as a rule shorter than its radius.

    Parameters
    ----------
    attack
        A solver with a `radius`, which it never exceeds, such as `pgd`, `apgd` and `fgsm`, or
        `over_restarts` of one.
    num
        Radii tried; each costs one run of `attack`.

    Returns
    -------
    A solver with the options of `attack`; where it is given a `radius` itself, `attack`.

    Raises
    ------
    ValueError
        If `num` is no integer of at least 1.
    """
    check_counts(num=num)

    def least_radius(
        logits_fn: LogitsFn,
        x: ArrayLike,
        label: ArrayLike,
        *,
        radius: ArrayLike | None = None,
        ord: Order = 2,
        bounds: Bounds | None = None,
        target: ArrayLike | None = None,
        **options: Any,
    ) -> Perturbation:
        """Run within one radius after the other."""

        def run(radius: ArrayLike) -> Perturbation:
            within = dict(radius=radius, ord=ord, bounds=bounds, target=target)
            return attack(logits_fn, x, label, **within, **options)

        if radius is not None:
            return run(radius)
        problem = step_off(pose(logits_fn, x, label, ord, bounds, target))
        first, _ = linearised_distance(problem)

        def attempt(carry, _):
            radius, failed, found = carry
            result = run(radius)
            failed = jnp.where(result.found, failed, radius)
            found = jnp.minimum(found, result.norm)
            following = jnp.where(found < jnp.inf, (failed + found) / 2, 2 * radius)
            return (following, failed, found), result

        init = problem.init((first, jnp.zeros_like(first), jnp.full_like(first, jnp.inf)))
        return best_of(jax.lax.scan(attempt, init, length=num)[1], 1)

    return least_radius
