"""The residual network against plain NumPy, its statistics against those computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from learning import digits_accuracy

from fracture import models, training


def random_params(network, seed=0):
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(network.init, jax.random.key(0))
    # Variances are among them: no negative numbers there.
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: (
            rng.uniform(0.5, 2, leaf.shape) if "var" in str(path) else rng.normal(size=leaf.shape)
        ).astype(leaf.dtype),
        shapes,
    )


def norm(layer, h, mean, var):
    mean, var, scale, bias = map(np.asarray, (mean, var, layer["scale"], layer["bias"]))
    return (h - mean) / np.sqrt(var + 1e-5) * scale + bias


def norm_conv(layer, h, stride=1):
    """Convolution with "SAME" padding by its definition, and batch normalisation, evaluating."""
    kernel = np.asarray(layer["conv"]["kernel"])
    size = kernel.shape[0]
    outputs = [-(-side // stride) for side in h.shape[:2]]
    total = [max((n - 1) * stride + size - m, 0) for n, m in zip(outputs, h.shape, strict=False)]
    h = np.pad(h, [*[(t // 2, t - t // 2) for t in total], (0, 0)])
    maps = np.zeros((*outputs, kernel.shape[3]))
    for i, j in np.ndindex(*outputs):
        patch = h[i * stride : i * stride + size, j * stride : j * stride + size]
        maps[i, j] = np.tensordot(patch, kernel, 3)
    stored = layer["norm"]["norm"]
    return norm(stored, maps, stored["mean"], stored["var"])


def test_resnet_matches_numpy():
    network = models.resnet((7, 6, 2), 3, channels=(4, 5), dtype=jnp.float64)
    params = random_params(network)
    x = np.random.default_rng(1).normal(size=(7, 6, 2))

    h = np.maximum(norm_conv(params["conv"], x, 2), 0)
    expected = [h]
    for stride, layer in zip((1, 2), params["layers"].values(), strict=True):
        inside = np.maximum(norm_conv(layer["first"], h, stride), 0)
        short = norm_conv(layer["shortcut"], h, stride) if stride == 2 else h
        h = np.maximum(short + norm_conv(layer["second"], inside), 0)
        expected.append(h)
    expected.append(h.mean((0, 1)))
    expected.append(expected[-1] @ params["head"]["kernel"] + params["head"]["bias"])

    @jax.jit
    def run(params, x):
        turn = [x]
        for stage in network.stages(params):
            turn.append(stage(turn[-1]))
        logits, change = jax.jvp(lambda x: network.apply(params, x), (x,), (x**2,))
        _, pull = jax.vjp(network.apply, params, x)
        mapped = jax.vmap(network.apply, (None, 0))(params, jnp.stack([x, x**2]))
        return network.features(params, x), turn[1:], logits, change, *pull(logits), mapped

    features, turn, logits, change, gradient, gradient_x, mapped = run(params, x)
    assert list(features) == ["conv", "layer_1", "layer_2", "layer_mean", "logits"]
    for got, same, want in zip(features.values(), turn, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-9)
        np.testing.assert_array_equal(got, same)
    np.testing.assert_allclose(logits, features["logits"], rtol=1e-12)
    np.testing.assert_allclose(mapped[0], logits, rtol=1e-9)
    np.testing.assert_allclose(logits @ change, np.vdot(gradient_x, x**2), rtol=1e-9)
    stored = gradient["conv"]["norm"]["norm"]
    assert not stored["mean"].any()
    assert not stored["var"].any()
    assert stored["scale"].all()
    assert all(leaf.dtype == jnp.float64 for leaf in jax.tree.leaves((params, gradient)))
    jax.export.export(run, platforms=["tpu", "cuda"])(params, x)


def one_layer(dtype=jnp.float32):
    """Batch normalisation by Flax and nothing else, for inputs of three numbers."""
    return models.functional(
        lambda rngs: nnx.BatchNorm(3, axis_name="batch", momentum=0.9, param_dtype=dtype, rngs=rngs)
    )


@pytest.mark.fast
def test_statistics_are_those_of_the_batch():
    network = one_layer()
    params = network.init(jax.random.key(0))
    xs = np.random.default_rng(0).normal(2, 3, size=(50, 3)).astype(np.float32)
    logits, statistics = network.train_apply(params, xs)
    np.testing.assert_allclose(logits, norm(params, xs, xs.mean(0), xs.var(0)), atol=1e-5)
    np.testing.assert_allclose(statistics["mean"], xs.mean(0) / 10, rtol=1e-5)
    np.testing.assert_allclose(statistics["var"], 0.9 + xs.var(0) / 10, rtol=1e-5)
    assert statistics["scale"] is statistics["bias"] is None
    evaluated = jax.vmap(network.apply, (None, 0))(params, xs)
    np.testing.assert_allclose(evaluated, norm(params, xs, 0, 1), rtol=1e-5, atol=1e-5)


@pytest.mark.fast
def test_fit_moves_statistics_and_keeps_the_optimizer_off():
    network = one_layer()
    xs = np.random.default_rng(0).normal(2, 3, size=(40, 3)).astype(np.float32)
    labels = np.arange(40) % 3
    # This optimiser moves whatever it may, also where the gradient is zero.
    optimizer = optax.chain(optax.add_decayed_weights(1.0), optax.sgd(0.1))
    run = jax.jit(
        lambda params, **options: training.fit(
            jax.random.key(1), network.apply, params, xs, labels, optimizer=optimizer, **options
        ),
        static_argnames=("steps", "batch_size", "train_apply"),
    )
    params = network.init(jax.random.key(0))
    got = run(params, steps=30, train_apply=network.train_apply)
    left = 0.9**30
    np.testing.assert_allclose(got.params["mean"], (1 - left) * xs.mean(0), rtol=1e-5)
    np.testing.assert_allclose(got.params["var"], left + (1 - left) * xs.var(0), rtol=1e-5)
    assert jnp.abs(got.params["scale"] - 1).min() > 0.01
    # The history is of the batch's statistics, the loss after it of the stored ones.
    targets = np.eye(3)[labels]
    first = norm(params, xs, xs.mean(0), xs.var(0))
    np.testing.assert_allclose(got.history[0], np.mean((first - targets) ** 2), rtol=1e-5)
    last = norm(got.params, xs, got.params["mean"], got.params["var"])
    np.testing.assert_allclose(got.loss, np.mean((last - targets) ** 2), rtol=1e-5)
    # In minibatches each step has other statistics.
    batches = run(params, steps=30, batch_size=10, train_apply=network.train_apply)
    assert jnp.abs(batches.params["mean"] - got.params["mean"]).min() > 1e-3
    np.testing.assert_allclose(batches.params["mean"], xs.mean(0), atol=0.6)


@pytest.mark.fast
def test_seeds_train_together():
    network = one_layer()
    rng = np.random.default_rng(0)
    xs, labels = rng.normal(size=(2, 12, 3)).astype(np.float32), np.arange(12) % 3
    params = network.init(jax.random.key(0))
    train = lambda xs: training.fit(
        jax.random.key(0),
        network.apply,
        params,
        xs,
        labels,
        steps=5,
        train_apply=network.train_apply,
    )
    mapped, alone = jax.jit(lambda xs: (jax.vmap(train)(xs), train(xs[1])))(xs)
    compare = lambda many, one: np.testing.assert_allclose(many[1], one, rtol=1e-4, atol=1e-6)
    jax.tree.map(compare, mapped, alone)


def test_resnet_learns_digits():
    assert digits_accuracy(models.resnet((14, 14, 1), 10, channels=(16,)), 2e-2) > 0.9


@pytest.mark.fast
def test_networks_without_statistics_train_as_they_are_applied():
    assert models.mlp((4,), 2).train_apply is None
    assert models.vit((4, 4, 1), 2).train_apply is None


@pytest.mark.fast
def test_batch_norm_must_see_the_batch():
    network = models.functional(lambda rngs: nnx.BatchNorm(3, rngs=rngs))
    xs = jnp.ones((5, 3), jnp.float32)
    with pytest.raises(ValueError, match="vmap"):
        network.train_apply(network.init(jax.random.key(0)), xs)


@pytest.mark.fast
@pytest.mark.parametrize(
    "misuse",
    [
        lambda: models.resnet((28, 28), 10),
        lambda: models.resnet((28, 28, 1), 10, channels=()),
        lambda: models.resnet((28, 28, 1), 10, channels=(0,)),
        lambda: models.resnet((28, 28, 1), 10, blocks_per_stage=0),
        lambda: models.resnet((28, 28, 1), 0),
    ],
)
def test_misuse_raises(misuse):
    with pytest.raises(ValueError, match="got"):
        misuse()
