"""Every solver by name."""

from functools import lru_cache, partial
from typing import Any

from ._result import Solver
from .solvers.affine import affine
from .solvers.alma import alma
from .solvers.apgd import apgd
from .solvers.ddn import ddn
from .solvers.deepfool import deepfool
from .solvers.fab import fab
from .solvers.fgsm import fgsm
from .solvers.fmn import fmn
from .solvers.least_radius import RADII, least_radius
from .solvers.minimal import minimal
from .solvers.pgd import pgd
from .solvers.superdeepfool import superdeepfool

SOLVERS: dict[str, Solver] = {
    "affine": affine,
    "deepfool": deepfool,
    "superdeepfool": superdeepfool,
    "ddn": ddn,
    "fmn": fmn,
    "fab": fab,
    "alma": alma,
    "fgsm": fgsm,
    "pgd": least_radius(pgd, RADII),
    "apgd": least_radius(apgd, RADII),
    "minimal": minimal,
}
"""Every solver by name."""


def as_solver(solver: str | Solver) -> Solver:
    """The solver of that name, or the function itself.

    Parameters
    ----------
    solver
        A function, or the name of one of `SOLVERS`.

    Returns
    -------
    A function, the same object for the same name or function, and for `functools.partial` objects
    of equal parts of the same types, as far as these are hashable: what is compiled for one serves
    the others.

    Raises
    ------
    ValueError
        If it is neither a name nor a function.
    """
    if isinstance(solver, partial):
        return _the_same(solver)
    if callable(solver):
        return solver
    if solver not in SOLVERS:
        raise ValueError(f"solver must be a function or one of {tuple(SOLVERS)}, got {solver!r}.")
    return SOLVERS[solver]


def _the_same(solver: partial) -> Solver:
    """One object for all partial objects of equal parts, which Python takes for different ones."""
    parts = as_solver(solver.func), solver.args, tuple(sorted(solver.keywords.items()))
    try:
        hash(parts)
    except TypeError:  # arrays, for example, are the same only if they are one object
        return solver
    return _bound(*parts, _types(parts[1:]))


@lru_cache
def _bound(function: Solver, args: tuple, keywords: tuple, types: Any) -> Solver:
    """`types` is there to tell apart what compares equal: 1, 1.0 and True."""
    return partial(function, *args, **dict(keywords))


def _types(value: Any) -> Any:
    """The type of a value; of a tuple, those of its items too."""
    return (type(value), *map(_types, value)) if isinstance(value, tuple) else type(value)
