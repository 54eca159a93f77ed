"""A solver made of an attack at a fixed radius: the least radius at which it succeeds."""

from ..._checks import check_counts
from .._solvers import Solver, as_solver
from .least_radius import RADII, least_radius


def over_radii(attack: str | Solver, num: int = RADII) -> Solver:
    """A solver that searches the least radius at which `attack` succeeds, by bisection.

    The first radius is the distance to the boundary linearised at `x`, doubled until something is
    found. From then on each is halfway between the largest one that failed and the shortest
    perturbation found, which is as a rule shorter than its radius.

    Parameters
    ----------
    attack
        A solver with a `radius`, which it never exceeds, such as `pgd`, `apgd` and `fgsm`, or
        `over_restarts` of one, or the name of one of `SOLVERS`.
    num
        Radii tried; each costs one run of `attack`.

    Returns
    -------
    A solver with the options of `attack`; where it is given a `radius` itself, `attack`.

    Raises
    ------
    ValueError
        If `num` is no integer of at least 1, or there is no solver of that name.
    """
    check_counts(num=num)
    return least_radius(as_solver(attack), int(num))
