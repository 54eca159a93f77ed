"""The vision transformer against plain NumPy, against its symmetry, and on digits."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from learning import digits_accuracy

from fracture import models
from fracture.models._vit import attention

SMALL = {"patch_size": 2, "width": 6, "depth": 2, "num_heads": 3}


def random_params(network, seed=0):
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(leaf.dtype), shapes)


def numpy_attention(query, key, value):
    outputs = np.zeros_like(query)
    for head in range(query.shape[1]):
        scores = query[:, head] @ key[:, head].T / math.sqrt(query.shape[2])
        weights = np.exp(scores - scores.max(1, keepdims=True))
        outputs[:, head] = weights / weights.sum(1, keepdims=True) @ value[:, head]
    return outputs


@pytest.mark.fast
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_attention(dtype):
    arrays = np.random.default_rng(0).normal(size=(3, 5, 2, 4)).astype(dtype)
    got = attention(*jnp.asarray(arrays))
    assert got.dtype == dtype
    rtol = 100 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(got, numpy_attention(*arrays), rtol=rtol, atol=rtol)


@pytest.mark.fast
def test_vit_matches_numpy():
    network = models.vit((4, 6, 2), 3, **SMALL, dtype=jnp.float64)
    params = random_params(network)
    x = np.random.default_rng(1).normal(size=(4, 6, 2))

    def linear(layer, h):
        return h @ layer["kernel"] + layer["bias"]

    def norm(layer, h):
        h = (h - h.mean(1, keepdims=True)) / np.sqrt(h.var(1, keepdims=True) + 1e-6)
        return h * layer["norm"]["scale"] + layer["norm"]["bias"]

    patches = [x[i : i + 2, j : j + 2].ravel() for i in (0, 2) for j in (0, 2, 4)]
    h = linear(params["embed"], np.stack(patches)) + params["position"]
    expected = [h]
    for layer in params["layers"].values():
        joint = linear(layer["query_key_value"], norm(layer["attention_norm"], h))
        parts = [part.reshape(6, 3, 2) for part in np.split(joint, 3, axis=1)]
        h = h + linear(layer["project"], numpy_attention(*parts).reshape(6, 6))
        up = linear(layer["up"], norm(layer["mlp_norm"], h))
        gelu = up * (1 + np.tanh(math.sqrt(2 / math.pi) * (up + 0.044715 * up**3))) / 2
        h = h + linear(layer["down"], gelu)
        expected.append(h)
    expected.append(norm(params["norm"], h).mean(0))
    expected.append(linear(params["head"], expected[-1]))

    features = network.features(params, x)
    assert list(features) == ["embedding", "layer_1", "layer_2", "layer_mean", "logits"]
    assert features["logits"].dtype == jnp.float64
    h = x
    for stage, got, want in zip(network.stages(params), features.values(), expected, strict=True):
        h = stage(h)
        np.testing.assert_array_equal(h, got)
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)
    np.testing.assert_array_equal(h, network.apply(params, x))


def test_vit_composes():
    network = models.vit((4, 4, 1), 3, **{**SMALL, "depth": 1}, dtype=jnp.float64)
    params = random_params(network)
    xs = np.random.default_rng(1).normal(size=(2, 4, 4, 1))

    @jax.jit
    def run(params, xs):
        apply = functools.partial(network.apply, params)
        logits, change = jax.jvp(apply, (xs[0],), (xs[1],))
        _, pull = jax.vjp(apply, xs[0])
        return jax.vmap(apply)(xs), logits, change, pull(logits)[0]

    mapped, logits, change, gradient = run(params, xs)
    np.testing.assert_allclose(mapped[0], logits, rtol=1e-9)
    np.testing.assert_allclose(logits @ change, np.vdot(gradient, xs[1]), rtol=1e-9)
    for x, expected in zip(xs, mapped, strict=True):
        np.testing.assert_allclose(network.apply(params, x), expected, rtol=1e-9)
    jax.export.export(run, platforms=["tpu", "cuda"])(params, xs)


@pytest.mark.fast
def test_only_the_positions_tell_patches_apart():
    network = models.vit((4, 4, 1), 3, **SMALL)
    params = random_params(network)
    x = np.random.default_rng(1).normal(size=(4, 4, 1)).astype(np.float32)
    swapped = np.roll(x, 2, axis=0)  # by one patch
    apply = jax.jit(network.apply)
    assert jnp.abs(apply(params, x) - apply(params, swapped)).max() > 1e-2
    params["position"] = np.zeros_like(params["position"])
    np.testing.assert_allclose(apply(params, x), apply(params, swapped), rtol=1e-4, atol=1e-5)


def test_vit_learns_digits():
    assert (
        digits_accuracy(models.vit((14, 14, 1), 10, patch_size=7, width=32, depth=1), 1e-2) > 0.85
    )


@pytest.mark.fast
@pytest.mark.parametrize(
    "misuse",
    [
        lambda: models.vit((28, 28), 10),
        lambda: models.vit((28, 30, 1), 10),
        lambda: models.vit((28, 28, 1), 10, patch_size=5),
        lambda: models.vit((28, 28, 1), 10, patch_size=0),
        lambda: models.vit((28, 28, 1), 10, width=30),
        lambda: models.vit((28, 28, 1), 10, depth=0),
        lambda: models.vit((28, 28, 1), 10, mlp_ratio=0),
        lambda: models.vit((28, 28, 1), 0),
    ],
)
def test_misuse_raises(misuse):
    with pytest.raises(ValueError, match="got"):
        misuse()
