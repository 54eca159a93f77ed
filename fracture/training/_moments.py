"""Moments of a run: the parameters at some numbers of updates, kept until its end."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array


def moments_of(moments: int | Sequence[int] | np.ndarray, steps: int) -> np.ndarray:
    """Numbers of updates, ascending; evenly spaced where only their number is given.

    Raises
    ------
    ValueError
        If they do not ascend within 0 … `steps`, or there are fewer than two.
    """
    if isinstance(moments, int):
        if not 2 <= moments <= steps + 1:
            raise ValueError(f"moments must be from 2 to {steps + 1}, got {moments}.")
        return np.linspace(0, steps, moments).round().astype(np.int32)
    when = np.asarray(moments)
    whole = when.ndim == 1 and when.size > 0 and np.issubdtype(when.dtype, np.integer)
    if not whole or when[0] < 0 or when[-1] > steps or (np.diff(when) <= 0).any():
        raise ValueError(f"moments must be integers that ascend in 0 … {steps}, got {moments}.")
    return when.astype(np.int32)


def first_kept(params: Any, when: np.ndarray) -> Any:
    """A copy of the parameters for each moment."""
    return jax.tree.map(lambda leaf: jnp.stack([leaf] * len(when)), params)


def keep(kept: Any, params: Any, when: np.ndarray, steps: Array) -> Any:
    """The parameters after `steps` updates in the slot of the first moment that is not over.

    The next ones replace them there until the moment is reached.
    """
    slot = _slot(when, steps)
    return jax.tree.map(lambda leaf, new: leaf.at[slot].set(new, mode="drop"), kept, params)


def measured_at(
    measure: Callable[[Any], Any], kept: Any, when: np.ndarray, steps: Array
) -> tuple[Any, Array]:
    """What `measure` returns at the moments, and the updates made at each, `steps` at most.

    After an early stop the parameters stay what they are at all moments to come.
    """
    held = jnp.minimum(np.arange(len(when), dtype=np.int32), _slot(when, steps))
    at = lambda i: jax.tree.map(lambda leaf: leaf[i], kept)
    return jax.lax.map(lambda i: measure(at(i)), held), jnp.minimum(when, steps)


def _slot(when: np.ndarray, steps: Array) -> Array:
    """The first moment that is not over after `steps` updates; `len(when)` if all are."""
    return jnp.sum(when < steps, dtype=jnp.int32)
