"""Class means at a given distance from the origin."""

import jax
import jax.numpy as jnp

from .._typing import Key


def orthogonal_means(key: Key, num: int, dim: int, length: float, dtype: jnp.dtype) -> jax.Array:
    """`num` orthogonal vectors, shape `(num, dim)`, of one length, uniformly rotated."""
    if num > dim:
        raise ValueError(f"At most {dim} orthogonal means fit into {dim} dimensions, got {num}.")
    return length * jax.random.orthogonal(key, dim, (), dtype, num).T


def random_means(key: Key, num: int, dim: int, length: float, dtype: jnp.dtype) -> jax.Array:
    """`num` independent vectors, shape `(num, dim)`, uniform on the sphere of radius `length`."""
    direction = jax.random.normal(key, (num, dim), dtype)
    return length * direction / jnp.linalg.vector_norm(direction, axis=-1, keepdims=True)
