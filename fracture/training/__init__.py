"""Training as one compiled loop, a pure function: `jax.vmap` trains all seeds at once."""

from ._fit import Fit, fit
from ._losses import LOSSES, cross_entropy, squared_error

__all__ = ["LOSSES", "Fit", "cross_entropy", "fit", "squared_error"]
