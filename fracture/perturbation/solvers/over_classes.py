"""A solver made of a solver: the best over several target classes."""

from functools import lru_cache
from typing import Any

import jax
from jax.typing import ArrayLike

from ..._checks import check_counts
from ..._problem import pose
from ..._typing import Bounds, LogitsFn, Order
from .._names import name, named_after
from .._result import Perturbation, best_of
from .._solvers import Solver, as_solver
from ..steps.linearise import linearise


def over_classes(solver: str | Solver, num_classes: int = 9) -> Solver:
    """A solver that runs `solver` towards each of the nearest classes and keeps the best result.

    Most of what separates solvers is the class that they end in, not how well they converge.

    Parameters
    ----------
    solver
        Any solver with a `target`, or the name of one of `SOLVERS`.
    num_classes
        How many classes: those whose boundaries, linearised at `x`, are nearest.

    Returns
    -------
    A solver with the options of `solver`; where it is given a target itself, `solver`.

    Raises
    ------
    ValueError
        If `num_classes` is no integer of at least 1, or there is no solver of that name.
    """
    check_counts(num_classes=num_classes)
    return _best_class(as_solver(solver), int(num_classes))


@lru_cache  # the same object for the same parts: `solve` does not compile it again
def _best_class(run: Solver, num_classes: int) -> Solver:
    def best_class(
        logits_fn: LogitsFn,
        x: ArrayLike,
        label: ArrayLike,
        *,
        ord: Order = 2,
        bounds: Bounds | None = None,
        target: ArrayLike | None = None,
        **options: Any,
    ) -> Perturbation:
        """Run towards each of the nearest classes."""
        if target is not None:
            return run(logits_fn, x, label, ord=ord, bounds=bounds, target=target, **options)
        problem = pose(logits_fn, x, label, ord, bounds, None)
        near = linearise(problem, problem.num_classes)
        runs = jax.vmap(
            lambda t: run(logits_fn, x, label, ord=ord, bounds=bounds, target=t, **options)
        )(near.closest(num_classes))
        return best_of(runs, near.classes.size)

    name(best_class, named_after("over_classes", run, num_classes))
    return best_class
