"""What was found in float32 is confirmed in float64, also where hidden terms cancel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture.perturbation import affine, solve, verify

DIM, HIDDEN, CLASSES = 32, 64, 10


def network(params, x):
    """Hidden features far from zero, whose mean the last bias takes away; then u - u."""
    (w0, b0), (w1, b1), (tilt, order) = params
    logits = w1 @ (jax.nn.relu(w0 @ x) + b0) + b1
    terms = tilt * x
    cancelled = jnp.sum(terms) - jnp.sum(terms[order])
    return logits + cancelled * (jnp.arange(CLASSES) == 0).astype(x.dtype)


def task(offset, tilt, num=512):
    rng = np.random.default_rng(0)
    draw = lambda *size: jnp.asarray(rng.normal(size=size) / np.sqrt(size[-1]), jnp.float32)
    w0, w1 = draw(HIDDEN, DIM), draw(CLASSES, HIDDEN)
    b0 = jnp.full(HIDDEN, offset, jnp.float32)
    sums = tilt * draw(DIM), jnp.asarray(rng.permutation(DIM))
    params = (w0, b0), (w1, -(w1 @ b0)), sums
    inputs = jnp.asarray(rng.normal(size=(num, DIM)), jnp.float32)
    labels = jax.jit(jax.vmap(network, (None, 0)))(params, inputs).argmax(1)
    return params, inputs, labels


@pytest.mark.parametrize("ord", [1, np.inf])
def test_found_survives_float64(ord):
    plain = None
    for offset, tilt, least in [(0, 0, 1.0), (1e3, 0, 0.99), (0, 1e4, 0.99)]:
        arguments = (network, *task(offset, tilt))
        got = solve(*arguments, solver=affine, ord=ord)
        found = np.asarray(got.found)
        assert found.mean() > 0.98
        checked = verify(*arguments, got, ord=ord)
        assert checked.confirmed[found].mean() >= least
        plain = got if plain is None else plain
    # Where nothing cancels, it costs next to nothing: margins at the inputs are of order 1.
    heights = verify(network, *task(0, 0), plain, ord=ord).margin[np.asarray(plain.found)]
    assert np.quantile(heights, 0.05) > -1e-4
    assert np.median(heights) > -1e-5
