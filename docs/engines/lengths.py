"""A sweep that other processes import: `SWEEP` stands under a name, in a file of its own."""

from typing import NamedTuple

import jax
from jaxtyping import Array, Float

from fracture.norms import norm
from fracture.sweeps import Sweep
from fracture.vocabulary import variables


class Cell(NamedTuple):
    radius: Float[Array, ""]


def cell(key, shared, *, dim):
    return Cell(norm(jax.random.normal(key, (dim,))))


SWEEP = Sweep("lengths", cell, {"dim": (4, 16, 64)}, 256, 64, variables(Cell))
