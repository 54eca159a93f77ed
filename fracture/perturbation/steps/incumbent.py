"""What solvers that descend step by step share: the best point so far, and shorter steps."""

from math import pi
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array


class Shortest(NamedTuple):
    """The shortest adversarial displacement so far; the last one while there was none."""

    delta: Array
    norm: Array  # inf while nothing was adversarial

    def visit(self, delta: Array, norm: Array, crossed: Array) -> "Shortest":
        """Take another displacement into account; `crossed` says that it is adversarial."""
        shorter = crossed & (norm < self.norm)
        shortest = jnp.where(shorter, norm, self.norm)
        kept = jnp.where(shorter | (shortest == jnp.inf), delta, self.delta)
        return Shortest(kept, shortest)


def none_yet(start: Array) -> Shortest:
    """Before anything was adversarial, at the displacement `start`."""
    return Shortest(start, jnp.full((), jnp.inf, start.dtype))


def anneal(k: Array, steps: int, first: float, last: float) -> Array:
    """From `first` at step k = 0 to about `last` at the end, by a cosine."""
    return last + (first - last) * (1 + jnp.cos(pi * k / steps)) / 2
