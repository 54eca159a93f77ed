"""Smallest adversarial perturbations: upper bounds on the radius of a network, each verified.

A solver is a function of one input: `solver(logits_fn, x, label, *, ord=2, bounds=None,
target=None, ...) -> Perturbation`. `minimal` is the one to reach for.
"""

from ..logits import as_logits, margin
from ._names import solver_name
from ._radius import radius
from ._residual import optimality_residual
from ._result import Perturbation, Solver, Status
from ._robust_accuracy import robust_accuracy
from ._solve import solve
from ._solvers import SOLVERS, as_solver
from ._verify import Verification, verify
from .solvers.affine import AffineRadius, affine, affine_radius
from .solvers.alma import alma
from .solvers.apgd import apgd
from .solvers.ddn import ddn
from .solvers.deepfool import deepfool
from .solvers.fab import fab
from .solvers.fgsm import fgsm
from .solvers.fmn import fmn
from .solvers.minimal import minimal
from .solvers.over_classes import over_classes
from .solvers.over_radii import over_radii
from .solvers.over_restarts import over_restarts
from .solvers.pgd import pgd
from .solvers.refine import refine
from .solvers.superdeepfool import superdeepfool

__all__ = [
    "SOLVERS",
    "AffineRadius",
    "Perturbation",
    "Solver",
    "Status",
    "Verification",
    "affine",
    "affine_radius",
    "alma",
    "apgd",
    "as_logits",
    "as_solver",
    "ddn",
    "deepfool",
    "fab",
    "fgsm",
    "fmn",
    "margin",
    "minimal",
    "optimality_residual",
    "over_classes",
    "over_radii",
    "over_restarts",
    "pgd",
    "radius",
    "refine",
    "robust_accuracy",
    "solve",
    "solver_name",
    "superdeepfool",
    "verify",
]
