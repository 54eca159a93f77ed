"""Draws that depend on the key and the item's number only."""

from collections.abc import Callable
from typing import TypeVar

import jax
import jax.numpy as jnp

from .._typing import Key

T = TypeVar("T")

BLOCK = 16
"""Items computed together. Fixed, for XLA's matrix products round differently in other shapes."""


def draw_items(draw: Callable[[Key, jax.Array], T], key: Key, num: int) -> T:
    """`draw(key_i, i)` for items i = 0 … num − 1, stacked.

    Item i has the key `fold_in(key, i)` and is computed in a block of fixed size, so that it is
    the same to the last bit whatever `num` is.

    Parameters
    ----------
    draw
        Function of one item's key and number; returns a pytree of arrays.
    key
        Key of all items.
    num
        Number of items, at least 1.

    Returns
    -------
    items
        What `draw` returns with a leading axis of length `num`.
    """
    num_blocks = max(-(-num // BLOCK), 2)  # XLA would fuse a single one with its surroundings
    indices = jnp.arange(num_blocks * BLOCK, dtype=jnp.int32).reshape(-1, BLOCK)
    draw_block = jax.vmap(lambda i: draw(jax.random.fold_in(key, i), i))
    blocks = jax.lax.map(draw_block, indices)
    return jax.tree.map(lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:num], blocks)
