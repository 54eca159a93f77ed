"""JAX as users have it: third-party libraries do not survive the strict flags of the suite."""

import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # before any test imports keras

import jax
import pytest


@pytest.fixture(autouse=True)
def lenient():
    with (
        jax.enable_x64(False),
        jax.numpy_rank_promotion("allow"),
        jax.numpy_dtype_promotion("standard"),
        jax.default_prng_impl("rbg"),  # compiles ten times faster than the usual one
    ):
        yield
