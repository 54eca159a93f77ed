"""Searches among the floating-point numbers, against the numbers themselves."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture.norms import first, guarded_newton

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@pytest.mark.fast
@DTYPES
def test_first_is_the_smallest_number_that_is_enough(dtype):
    """Entry by entry, from the smallest normal number to infinity."""
    tiny = np.finfo(dtype).tiny
    wanted = np.array([tiny, 1e-30, 0.1, 1, 1 + np.finfo(dtype).eps, 3e30, np.inf], dtype)
    low, high = np.zeros_like(wanted), np.full_like(wanted, np.inf)
    search = jax.jit(lambda wanted, low, high: first(lambda x: x >= wanted, low, high))
    np.testing.assert_array_equal(search(wanted, low, high), wanted)
    np.testing.assert_array_equal(search(wanted, low, low + dtype(0.5))[3:], 0.5)  # none: the end
    np.testing.assert_array_equal(search(low, low, high), 0)
    np.testing.assert_array_equal(search(low, low + dtype(2), high), 2)


@pytest.mark.fast
@DTYPES
@pytest.mark.parametrize("root", [1e-15, 0.7, 1e15])
def test_newton_finds_the_root_where_it_overshoots(dtype, root):
    """Concave, convex and flat functions, from both sides, within a few steps of the tolerance."""
    root = dtype(root)
    functions = {
        "square": lambda t: ((t / root) ** 2 - 1, 2 * t / root / root),
        "root": lambda t: (jnp.sqrt(t / root) - 1, 0.5 / jnp.sqrt(t * root)),
        "flat": lambda t: (jnp.where(t < root, -1.0, t / root), jnp.zeros_like(t)),
    }

    def solve(function, start):
        def measure(t):
            value, slope = function(t)
            return value >= 0, t - value / slope

        bounds = jnp.zeros((), dtype), jnp.asarray(start, dtype), jnp.asarray(jnp.inf, dtype)
        return guarded_newton(measure, *bounds)

    starts = np.array([0.5, 1.5], dtype) * root
    for name, function in functions.items():
        got = jax.jit(jax.vmap(lambda start, function=function: solve(function, start)))(starts)
        rtol = 0 if name == "flat" else 4 * np.finfo(dtype).eps
        np.testing.assert_allclose(got, root, rtol=rtol, err_msg=name)


@pytest.mark.fast
def test_newton_at_the_ends():
    outside = lambda t: t - 1  # where a step leads: the bracket halves instead
    always, never = (lambda t: (t >= 0, outside(t)), lambda t: (t < 0, outside(t)))
    zero, one = jnp.zeros(()), jnp.ones(())
    assert guarded_newton(always, zero, zero, one) == 0
    assert guarded_newton(never, zero, zero, one) == 1
    assert guarded_newton(never, zero, one / 2, one) == 1
