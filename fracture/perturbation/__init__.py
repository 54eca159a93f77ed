"""Smallest adversarial perturbations: upper bounds on the radius of a network, each verified.

A solver is a function of one input: `solver(logits_fn, x, label, *, ord=2, bounds=None,
target=None, ...) -> Perturbation`. `minimal` is the one to reach for.
"""

from ._affine import AffineRadius, affine, affine_radius
from ._alma import alma
from ._apgd import apgd
from ._best_of import over_classes, over_restarts
from ._ddn import ddn
from ._deepfool import deepfool
from ._fab import fab
from ._fgsm import fgsm
from ._fmn import fmn
from ._margin import as_logits, margin
from ._minimal import minimal
from ._pgd import pgd
from ._radius import radius
from ._refine import refine
from ._residual import optimality_residual
from ._result import Perturbation, Status
from ._solve import solve
from ._solvers import SOLVERS
from ._superdeepfool import superdeepfool
from ._verify import Verification, verify

__all__ = [
    "SOLVERS",
    "AffineRadius",
    "Perturbation",
    "Status",
    "Verification",
    "affine",
    "affine_radius",
    "alma",
    "apgd",
    "as_logits",
    "ddn",
    "deepfool",
    "fab",
    "fgsm",
    "fmn",
    "margin",
    "minimal",
    "optimality_residual",
    "over_classes",
    "over_restarts",
    "pgd",
    "radius",
    "refine",
    "solve",
    "superdeepfool",
    "verify",
]
