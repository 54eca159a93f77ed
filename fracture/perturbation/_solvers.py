"""Every solver by name."""

from ._result import Solver
from .solvers.affine import affine
from .solvers.alma import alma
from .solvers.apgd import apgd
from .solvers.ddn import ddn
from .solvers.deepfool import deepfool
from .solvers.fab import fab
from .solvers.fgsm import fgsm
from .solvers.fmn import fmn
from .solvers.minimal import minimal
from .solvers.over_radii import over_radii
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
    "pgd": over_radii(pgd),
    "apgd": over_radii(apgd),
    "minimal": minimal,
}
"""Every solver by name."""


def as_solver(solver: str | Solver) -> Solver:
    """The solver of that name, or the function itself.

    Raises
    ------
    ValueError
        If it is neither a name nor a function.
    """
    if callable(solver):
        return solver
    if solver not in SOLVERS:
        raise ValueError(f"solver must be a function or one of {tuple(SOLVERS)}, got {solver!r}.")
    return SOLVERS[solver]
