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
    assert (np.asarray(pieces.low, float) <= exact).all()
    assert (exact <= np.asarray(pieces.high, float)).all()
    line = [np.asarray(part, float) for part in lines(pieces)]
    assert (line[0] * x + line[1] <= exact).all()
    assert (exact <= line[2] * x + line[3]).all()
