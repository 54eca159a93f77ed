"""How a quantity falls in the course of a run."""

from math import pi

import jax.numpy as jnp
from jaxtyping import Array


def anneal(k: Array, steps: int, first: float, last: float) -> Array:
    """From `first` at step k = 0 to about `last` at the end, by a cosine.

    Parameters
    ----------
    k
        The step, of a floating dtype.
    steps
        Of the whole run.
    first, last
        The ends.

    Returns
    -------
    A scalar in the dtype of `k`.
    """
    return last + (first - last) * (1 + jnp.cos(pi * k / steps)) / 2
