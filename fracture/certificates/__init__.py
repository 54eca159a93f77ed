"""Certified radii: lower bounds of the smallest perturbation, sound in floating point.

`certify` has the shape of a solver: `perturbation.solve(…, solver=certify)` certifies a batch, and
`solve(…, solver=bracket)` gives both sides for each input.
"""

from ._bracket import Bracket, bracket
from ._certified_accuracy import certified_accuracy
from ._certify import certify
from ._margins import margins
from ._result import Certificate, CertificateStatus

__all__ = [
    "Bracket",
    "Certificate",
    "CertificateStatus",
    "bracket",
    "certified_accuracy",
    "certify",
    "margins",
]
