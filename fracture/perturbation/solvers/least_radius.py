"""The least radius at which an attack at a fixed radius succeeds, by bisection."""

from functools import lru_cache
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from ..._problem import pose
from ..._typing import Bounds, LogitsFn, Order
from .._names import name, named_after
from .._result import Perturbation, Solver, best_of
from ..steps.step_off import step_off
from ..steps.within_radius import linearised_distance

RADII = 8
"""Radii that are tried, unless a caller says how many."""


@lru_cache  # the same object for the same parts: `solve` does not compile it again
def least_radius(attack: Solver, num: int) -> Solver:
    """What `over_radii` returns, for a function and a number that it has checked."""

    def search(
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

    name(search, named_after("over_radii", attack, num))
    return search
