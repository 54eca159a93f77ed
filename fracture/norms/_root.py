"""Searches for a root among the floating-point numbers."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree


def between(left: Array, right: Array) -> Array:
    """Middle of the floating-point numbers from `left` ≥ 0 to `right`; `right` if adjacent."""
    bits = jnp.int32 if left.dtype == jnp.float32 else jnp.int64
    low, high = (jax.lax.bitcast_convert_type(v, bits) for v in (left, right))
    return jax.lax.bitcast_convert_type(low + (high - low + 1) // 2, left.dtype)


def loop_init(tree: PyTree, *sources: Array) -> PyTree:
    """The carry `tree`, varying over the mesh axes that the scalars `sources` vary over.

    Inside `jax.shard_map` a loop that starts from constants is rejected if its body makes them
    depend on sharded data.
    """
    pivot = jnp.any(jnp.stack([jnp.isnan(source) for source in sources]))
    return jax.tree.map(lambda leaf: jnp.where(pivot, leaf, leaf), tree)
