"""Every solver by name."""

from collections.abc import Callable
from typing import TypeAlias

from ._affine import affine
from ._alma import alma
from ._apgd import apgd
from ._ddn import ddn
from ._deepfool import deepfool
from ._fab import fab
from ._fgsm import fgsm
from ._fmn import fmn
from ._minimal import minimal
from ._pgd import pgd
from ._result import Perturbation
from ._superdeepfool import superdeepfool

Solver: TypeAlias = Callable[..., Perturbation]
"""`solver(logits_fn, x, label, *, ord, bounds, target, ...) -> Perturbation` for one input."""

SOLVERS: dict[str, Solver] = {
    "affine": affine,
    "deepfool": deepfool,
    "superdeepfool": superdeepfool,
    "ddn": ddn,
    "fmn": fmn,
    "fab": fab,
    "alma": alma,
    "fgsm": fgsm,
    "pgd": pgd,
    "apgd": apgd,
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
