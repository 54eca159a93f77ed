"""JAX's settings, which each thread has of its own, carried into another."""

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import jax

_SETTINGS = (
    *("enable_x64", "default_matmul_precision", "numpy_dtype_promotion", "numpy_rank_promotion"),
    *("default_prng_impl", "threefry_partitionable", "debug_nans", "debug_infs"),
)
"""What JAX keeps for each thread, and programs and their results depend on."""


def settings() -> dict[str, Any]:
    """JAX's settings in this thread."""
    return {name: getattr(jax.config, f"jax_{name}") for name in _SETTINGS}


@contextlib.contextmanager
def under(settings: Mapping[str, Any]) -> Iterator[None]:
    """Settings of another thread, or of another process."""
    with contextlib.ExitStack() as entered:
        for name, value in settings.items():
            entered.enter_context(getattr(jax, name)(value))
        yield
