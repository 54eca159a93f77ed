"""Networks as lists of steps."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture.certificates import certify
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
    # Constants that stand in the code, and indices.
    chosen = lambda x: jnp.take(weights @ (2 * x), jnp.array([2, 0, 1]))
    nodes = read_network(lambda x: jnp.where(chosen(x) > 0, chosen(x), 0), x)
    assert [node.kind for node in nodes] == ["input", "affine", "scalar"]


def test_what_is_read_twice_from_a_reference_is_read_twice():
    start = jnp.array([1.0, 0.7])

    def network(x):
        held = jax.new_ref(start)
        before = held[...]
        held[...] = 3 * before
        return jnp.stack([jax.nn.relu(x[0]) * before[0], x[1] * held[...][1]])

    x = jnp.array([1.0, 1.0])
    found = values(read_network(network, x), x)[-1]
    np.testing.assert_allclose(found, [1, 2.1], rtol=1e-6)


def test_masks_stay_within_activations():
    """What is minus infinity is a number once it is exponentiated."""
    weights = jax.random.normal(jax.random.key(1), (4, 6))
    mask = np.array([True, True, False, True])
    masked = lambda x: jnp.exp(jnp.where(mask, weights @ x, -jnp.inf))
    network = lambda x: jnp.stack([3 + x[0], 0.1 * jnp.sum(masked(x))])
    x = jnp.full(6, 0.1)
    for found in values(read_network(network, x), x):
        assert jnp.isfinite(found).all()
    assert certify(network, x, 0, method="crown").radius > 0.1
