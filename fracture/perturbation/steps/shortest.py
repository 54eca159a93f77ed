"""The shortest displacement: of a run so far, and of several results."""

from typing import NamedTuple, TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

Results = TypeVar("Results", bound=PyTree)


class Incumbent(NamedTuple):
    """The shortest adversarial displacement of a run so far; the last one while there was none."""

    delta: Array  # (d,)
    norm: Array  # inf while nothing was adversarial

    def visit(self, delta: Array, norm: Array, crossed: Array) -> "Incumbent":
        """Take another displacement into account; `crossed` says that it is adversarial."""
        shorter = crossed & (norm < self.norm)
        shortest = jnp.where(shorter, norm, self.norm)
        # By the new norm alone: a GPU would copy the old one at every step for it to be read here.
        kept = jnp.where((crossed & (norm == shortest)) | (shortest == jnp.inf), delta, self.delta)
        return Incumbent(kept, shortest)


def none_yet(start: Array) -> Incumbent:
    """Before anything was adversarial, at the displacement `start`."""
    return Incumbent(start, jnp.full((), jnp.inf, start.dtype))


def shortest(several: Results) -> Results:
    """The one with the smallest norm of several results, along their leading axis.

    Parameters
    ----------
    several
        A `Perturbation`, or a `Crossing`, whose leaves have a leading axis.

    Returns
    -------
    The same without that axis; the first of those of one norm.
    """
    first = jnp.argmin(several.norm)
    return jax.tree.map(lambda leaf: leaf[first], several)
