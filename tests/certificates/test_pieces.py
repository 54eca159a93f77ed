"""Chords and lines of activations hold at random points of random intervals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture.certificates._graph import read_network
from fracture.certificates._pieces import chords, lines

FUNCTIONS = {
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=True),
    "gelu_exact": lambda x: jax.nn.gelu(x, approximate=False),
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
    "elu": jax.nn.elu,
    "relu6": jax.nn.relu6,
    "hard_tanh": jax.nn.hard_tanh,
    "abs": jnp.abs,
    "square": jnp.square,
    "sin": jnp.sin,
    "selu": jax.nn.selu,
    "celu": jax.nn.celu,
    "mish": jax.nn.mish,
    "hard_swish": jax.nn.hard_swish,
    "exp": lambda x: jnp.exp(x / 4),
    "cube": lambda x: x**3,
    "cancelling": lambda x: jnp.maximum(x + 1e4 - 1e4, 0),
    "normalised": lambda x: jax.nn.elu((x - 0.3) / 1.7 * 2.3 + 0.1),
    "reciprocal": lambda x: 1 / (1 + x**2),
    "rsqrt": lambda x: jax.lax.rsqrt(x**2 + 1e-3),
    "log": lambda x: jnp.log(1 + x**2),
    "step": lambda x: jnp.where(x > 0.5, 1.0, 0.0) * x,
    "sign": jnp.sign,
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_lines_and_chords_hold_at_random_points(name, dtype):
    rng = np.random.default_rng(0)
    center = rng.normal(size=100) * 10.0 ** rng.uniform(-2, 1, 100)
    width = 10.0 ** rng.uniform(-4, 1, 100) * (np.arange(100) % 10 > 0)  # a tenth are points
    low, high = (jnp.asarray(center + sign * width, dtype) for sign in (-1, 1))
    nodes = read_network(FUNCTIONS[name], low)
    pieces = chords(nodes[-1].expr, low, high)
    x = np.asarray(low, float) + rng.uniform(size=(100, 100)) * np.asarray(high - low, float)
    x = np.clip(x, np.asarray(low, float), np.asarray(high, float))
    exact = np.asarray(FUNCTIONS[name](jnp.asarray(x)))
    # What float64 itself rounds, of the exact values and of the lines at x.
    own = 1e-15 * (1 + np.abs(x))
    assert (np.asarray(pieces.low, float) <= exact + own).all()
    assert (exact <= np.asarray(pieces.high, float) + own).all()
    line = [np.asarray(part, float) for part in lines(pieces)]
    assert (line[0] * x + line[1] <= exact + own * (1 + np.abs(line[0]))).all()
    assert (exact <= line[2] * x + line[3] + own * (1 + np.abs(line[2]))).all()
