"""Networks as lists of steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture.certificates._graph import read_network, values


def residual(x):
    first, second = jax.random.normal(jax.random.key(0), (2, 6, 6), x.dtype)
    hidden = first @ x + 1
    hidden = jnp.reshape(hidden - jnp.mean(hidden), (2, 3))
    return x + second @ jnp.tanh(hidden).ravel() * 3


def test_affine_steps_are_merged_and_compute_the_same():
    x = jnp.linspace(-1.0, 2.0, 6)
    nodes = read_network(residual, x)
    assert [node.kind for node in nodes] == ["input", "affine", "scalar", "affine"]
    assert nodes[-1].parents == (0, 2)
    found = values(nodes, x)
    np.testing.assert_allclose(found[-1], residual(x), rtol=1e-6)
    # The sizes of terms are at least those of values, and grow with what is merged.
    size = nodes[1].magnitude(jnp.abs(x))
    assert (size >= jnp.abs(found[1])).all()
    assert nodes[1].terms > 12
    assert nodes[1].spread > 6


def test_steps_that_two_activations_rest_on_stay():
    def network(x):
        hidden = x[::-1] + x
        return jnp.tanh(hidden) + jnp.sin(jnp.cumsum(hidden)) + hidden

    nodes = read_network(network, jnp.ones(3))
    assert [node.kind for node in nodes].count("affine") == 3
    np.testing.assert_allclose(values(nodes, jnp.ones(3))[-1], network(jnp.ones(3)), rtol=1e-6)


def test_what_is_computed_twice_is_one_step():
    weights = jax.random.normal(jax.random.key(1), (4, 6))
    hidden = lambda x: weights.T.T @ jnp.flip(x)
    written_twice = lambda x: jnp.where(hidden(x) > 0, hidden(x), 0)
    scaled_apart = lambda x: jnp.where(hidden(x) > 0, hidden(2 * x), 0)
    x = jnp.linspace(-1.0, 2.0, 6)
    nodes = read_network(written_twice, x)
    assert [node.kind for node in nodes] == ["input", "affine", "scalar"]
    np.testing.assert_allclose(values(nodes, x)[-1], jax.nn.relu(weights @ x[::-1]), rtol=1e-6)
    with pytest.raises(NotImplementedError, match="elementwise functions of one value"):
        read_network(scaled_apart, x)
