"""A solver made of a solver: the best over several starts."""

from functools import lru_cache
from typing import Any

import jax
from jax.typing import ArrayLike

from ..._checks import check_counts
from ..._typing import Key, LogitsFn
from .._names import name, named_after
from .._result import Perturbation, best_of
from .._solvers import Solver, as_solver


def over_restarts(solver: str | Solver, num: int) -> Solver:
    """A solver that runs `solver` with `num` keys split from one, and keeps the best result.

    Parameters
    ----------
    solver
        A solver with a `key`, which starts at random when it is given one, or its name.
    num
        How many runs.

    Returns
    -------
    A solver with the options of `solver` that requires `key`.

    Raises
    ------
    ValueError
        If `num` is no integer of at least 1, or there is no solver of that name.
    """
    check_counts(num=num)
    return _best_restart(as_solver(solver), int(num))


@lru_cache  # the same object for the same parts: `solve` does not compile it again
def _best_restart(run: Solver, num: int) -> Solver:
    def best_restart(
        logits_fn: LogitsFn, x: ArrayLike, label: ArrayLike, *, key: Key, **options: Any
    ) -> Perturbation:
        """Run from several random starts."""
        keys = jax.random.split(key, num)
        runs = jax.vmap(lambda k: run(logits_fn, x, label, key=k, **options))(keys)
        return best_of(runs, 0)

    name(best_restart, named_after("over_restarts", run, num))
    return best_restart
