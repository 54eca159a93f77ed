"""Whether points of the mixed hypercube, as they are stored, are where theory has them."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

ROUNDING = 0.01  # of a typical radius, which the rounding of a point may change it by


def resolved(dim: int, layers: int, dtype: DTypeLike) -> bool:
    """Whether points as stored are as far from the boundary as those of theory.

    Rounding moves a point by about ε d^(L/2) along the direction that is read. The radius is a
    product of L independent |N(0, 1)|, whose geometric mean is exp(-(γ + log 2) / 2) = 0.53.
    """
    moved = float(jnp.finfo(dtype).eps) * dim ** (layers / 2)
    return moved <= ROUNDING * math.exp(-layers * (np.euler_gamma + math.log(2)) / 2)


def require_resolved(dims: Sequence[int], layers: int, dtype: DTypeLike) -> None:
    """Raise where what is measured at points as stored would be their rounding."""
    lost = [dim for dim in dims if not resolved(dim, layers, dtype)]
    if lost:
        name = jnp.dtype(dtype).name
        where = ", ".join(map(str, lost))
        raise ValueError(
            f"{layers} mixing layers at dims {where} cannot be measured in {name}: rounding moves "
            f"a point by ε d^(L/2), not small against its distance from the boundary. Choose fewer "
            "layers, smaller dims"
            + (
                ", or float64 (jax.config.update('jax_enable_x64', True))."
                if name == "float32" and jnp.zeros(()).dtype == "float32"
                else "."
            )
        )
