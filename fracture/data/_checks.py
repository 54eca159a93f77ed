"""Checks of options, made while tracing."""

import jax.numpy as jnp
from jax.typing import DTypeLike


def at_least(name: str, value: int, least: int) -> None:
    """Raise `ValueError` unless the integer `value` is at least `least`."""
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}.")


def float_dtype(dtype: DTypeLike | None) -> jnp.dtype:
    """`dtype`, or JAX's default float where it is None; `TypeError` unless floating."""
    chosen = jnp.result_type(float) if dtype is None else jnp.dtype(dtype)
    if not jnp.issubdtype(chosen, jnp.floating):
        raise TypeError(f"dtype must be floating, got {chosen}.")
    return chosen
