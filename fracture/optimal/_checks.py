"""Checks of arguments, made while tracing."""

import jax
import jax.numpy as jnp


def require_float(name: str, x: jax.Array) -> None:
    """Raise `TypeError` unless JAX has matrix decompositions for the dtype of `x`."""
    if x.dtype not in (jnp.float32, jnp.float64):
        raise TypeError(f"{name} must be float32 or float64, got {x.dtype}.")
