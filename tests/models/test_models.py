"""Networks against plain NumPy, the convolution against XLA's, the closed forms against codes."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fracture import data, models
from fracture.models._conv import by_blocks, by_patches, strided_convolution

NETWORKS = {
    "linear": lambda dtype: models.deep_linear(12, 3, dtype=dtype),
    "deep_linear": lambda dtype: models.deep_linear(
        (3, 4), 2, widths=(5, 6), bias=True, dtype=dtype
    ),
    "mlp": lambda dtype: models.mlp((12,), 1, widths=(7,), activation="tanh", dtype=dtype),
    "mlp_layer_norm": lambda dtype: models.mlp(
        (2, 6), 3, widths=(8, 9), normalization="layer", dtype=dtype
    ),
    "affine": lambda dtype: models.mlp(12, 4, widths=(), dtype=dtype),
    "cnn": lambda dtype: models.cnn((7, 7, 1), 10, channels=(4, 6), dtype=dtype),
    "cnn_average": lambda dtype: models.cnn(
        (6, 9, 2),
        3,
        channels=(4,),
        kernel_size=3,
        activation=jnp.sin,
        normalization="layer",
        head="average",
        dtype=dtype,
    ),
}
SHAPES = {
    "deep_linear": (3, 4),
    "mlp_layer_norm": (2, 6),
    "cnn": (7, 7, 1),
    "cnn_average": (6, 9, 2),
}
FEATURES = {
    "linear": ["logits"],
    "deep_linear": ["layer_1", "layer_2", "logits"],
    "mlp": ["layer_1", "logits"],
    "mlp_layer_norm": ["layer_1", "layer_2", "logits"],
    "affine": ["logits"],
    "cnn": ["conv_1", "conv_2", "logits"],
    "cnn_average": ["conv_1", "conv_mean", "logits"],
}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [*[(name, jnp.float32) for name in NETWORKS], ("mlp_layer_norm", jnp.float64)],
)
def test_networks_compose(name, dtype):
    network = NETWORKS[name](dtype)

    def run(params, xs):
        every = jax.vmap(jax.vmap(network.apply, (None, 0)), (0, None))(params, xs)
        second = jax.tree.map(lambda leaf: leaf[1], params)
        gradient = jax.grad(lambda x: network.apply(second, x).sum())(xs[2])
        return every, network.features(second, xs[2]), gradient

    rng = np.random.default_rng(0)
    shapes = jax.eval_shape(jax.vmap(network.init), jax.random.split(jax.random.key(0), 2))
    params = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(leaf.dtype), shapes)
    xs = rng.normal(size=(3, *SHAPES.get(name, (12,)))).astype(dtype)
    logits, features, gradient = jax.jit(run)(params, xs)
    assert all(leaf.dtype == dtype for leaf in jax.tree.leaves(shapes))
    assert logits.dtype == gradient.dtype == dtype
    assert list(features) == FEATURES[name]
    tol = 100 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(logits[1, 2], features["logits"], rtol=tol, atol=tol)
    assert jnp.isfinite(gradient).all()
    jax.export.export(jax.jit(run), platforms=["tpu", "cuda"])(params, xs)
    with pytest.raises(ValueError, match="one input of shape"):
        network.apply(params, xs)


def test_initial_parameters():
    network = models.cnn((12, 12, 1), 10, channels=(50,), kernel_size=4)
    keys = jax.random.split(jax.random.key(0), 2)
    stacked, one = jax.jit(lambda keys: (jax.vmap(network.init)(keys), network.init(keys[1])))(keys)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[1], b, rtol=1e-6), stacked, one)
    (kernel,) = (layer["kernel"] for layer in one["layers"].values())
    assert float(kernel.std()) == pytest.approx((2 / 16) ** 0.5, rel=0.1)  # 2 / fan_in
    assert float(one["head"]["kernel"].std()) == pytest.approx((1 / 1800) ** 0.5, rel=0.1)
    assert not one["head"]["bias"].any()
    assert jnp.abs(stacked["head"]["kernel"][0] - one["head"]["kernel"]).max() > 0.01
    jax.export.export(jax.jit(network.init), platforms=["tpu", "cuda"])(keys[0])


@pytest.mark.fast
def test_deep_linear_is_a_product_of_matrices():
    network = models.deep_linear(6, 3, widths=(5, 4), dtype=jnp.float64)
    params = network.init(jax.random.key(0))
    kernels = [np.asarray(leaf) for leaf in jax.tree.leaves(params)]
    x = np.arange(6.0)
    np.testing.assert_allclose(network.apply(params, x), x @ kernels[0] @ kernels[1] @ kernels[2])


@pytest.mark.fast
@pytest.mark.parametrize("normalization", [None, "layer"])
def test_mlp_matches_numpy(normalization):
    network = models.mlp((2, 3), 2, widths=(5,), normalization=normalization, dtype=jnp.float64)
    params = network.init(jax.random.key(0))
    x = np.linspace(-1, 1, 6).reshape(2, 3)
    layer, head = params["layers"][0], params["head"]
    h = x.ravel() @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])
    if normalization:
        h = (h - h.mean()) / np.sqrt(h.var() + 1e-6)
    h = np.maximum(h, 0)
    logits = h @ np.asarray(head["kernel"]) + np.asarray(head["bias"])
    np.testing.assert_allclose(network.features(params, x)["layer_1"], h, rtol=1e-6)
    np.testing.assert_allclose(network.apply(params, x), logits, rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "kernel", "stride"),
    [
        ((7, 7, 1), (5, 5), 2),
        ((14, 14, 3), (3, 3), 2),
        ((8, 11, 2), (4, 3), 3),
        ((6, 5, 2), (1, 2), 2),
        ((5, 5, 1), (3, 3), 1),
        ((1, 2, 1), (5, 5), 2),
        ((3, 4, 2), (2, 2), 4),
    ],
)
def test_strided_convolution_is_xlas(shape, kernel, stride):
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=shape), rng.normal(size=(*kernel, shape[2], 4))

    def reference(x, weight):
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(
            x[None], weight, (stride, stride), "SAME", dimension_numbers=numbers
        )[0]

    @jax.jit
    def every(x, weight, dx, dweight):
        results = []
        for f in (strided_convolution, by_blocks, by_patches, reference):
            f = functools.partial(lambda f, *a: f(*a, stride) if f is not reference else f(*a), f)
            outputs, pull = jax.vjp(f, x, weight)
            _, push = jax.jvp(f, (x, weight), (dx, dweight))
            _, push_x = jax.jvp(lambda x, f=f: f(x, weight), (x,), (dx,))
            mixed = jax.grad(lambda w, f=f: jnp.sum(jax.vjp(f, x, w)[1](f(x, w) ** 2)[0] ** 2))
            results.append((outputs, pull(jnp.sin(outputs)), push, push_x, mixed(weight)))
        return results

    dx, dweight = rng.normal(size=x.shape), rng.normal(size=weight.shape)
    *ours, theirs = every(x, weight, dx, dweight)
    for results in ours:
        for a, b in zip(jax.tree.leaves(results), jax.tree.leaves(theirs), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11 * (1 + jnp.abs(b).max()))
    single = strided_convolution(jnp.float32(x), jnp.float32(weight), stride)
    assert single.dtype == jnp.float32


def test_gradients_in_a_loop_have_the_axes_that_are_fast_on_cpus():
    network = models.cnn((14, 14, 1), 10, channels=(4, 8))
    params = network.init(jax.random.key(0))

    def descend(params, xs):
        loss = lambda params, xs: jnp.sum(jax.vmap(network.apply, (None, 0))(params, xs) ** 2)

        def step(carry, _):
            grads = jax.grad(loss, (0, 1))(*carry)
            return jax.tree.map(lambda a, b: a - 1e-3 * b, carry, grads), None

        return jax.lax.scan(step, (params, xs), length=3)[0]

    cpu = jax.devices("cpu")[0]
    args = jax.device_put((params, jnp.ones((5, 14, 14, 1), jnp.float32)), cpu)
    program = jax.jit(descend).lower(*args).compile().as_text()
    labels = re.findall(r"\bconvolution\(.*dim_labels=([^,\s]*)", program)
    assert len(labels) >= 4  # of two layers: the value and the gradient in the input
    assert set(labels) == {"b01f_01io->b01f"}


@pytest.mark.parametrize("head", ["flatten", "average"])
@pytest.mark.parametrize("side", [7, 14, 28, 56])
def test_cnn_takes_every_resolution(side, head):
    network = models.cnn((side, side, 1), 10, head=head)
    params = jax.eval_shape(network.init, jax.random.key(0))
    x = jax.ShapeDtypeStruct((side, side, 1), jnp.float32)
    features = jax.eval_shape(network.features, params, x)
    assert features["conv_2"].shape == (-(-side // 4), -(-side // 4), 32)
    assert features["logits"].shape == (10,)


def test_names_are_in_order_of_depth():
    network = models.deep_linear(3, 2, widths=(3,) * 11)
    params = network.init(jax.random.key(0))
    names = list(jax.jit(network.features)(params, jnp.ones(3, jnp.float32)))
    assert names == [*[f"layer_{i:02d}" for i in range(1, 12)], "logits"]


@pytest.mark.fast
def test_modules_are_usable_as_such():
    module = models.MLP((4,), 2, widths=(3,), rngs=nnx.Rngs(0))
    x = jnp.ones(4, jnp.float32)
    np.testing.assert_allclose(module(x), module.features(x)["logits"])
    network = models.functional(lambda rngs: models.MLP((4,), 2, widths=(3,), rngs=rngs))
    assert network.apply(network.init(jax.random.key(0)), x).shape == (2,)


@pytest.mark.fast
def test_functional_takes_any_module_of_parameters():
    network = models.functional(lambda rngs: nnx.Linear(3, 2, rngs=rngs))
    params = network.init(jax.random.key(0))
    x = jnp.arange(3, dtype=jnp.float32)
    np.testing.assert_allclose(network.apply(params, x), x @ params["kernel"] + params["bias"])
    with pytest.raises(AttributeError):
        network.features(params, x)
    with pytest.raises(ValueError, match="structure"):
        network.apply({"kernel": params["kernel"]}, x)
    with pytest.raises(ValueError, match="parameters and statistics only"):
        models.functional(lambda rngs: nnx.Dropout(0.5, rngs=rngs))


@pytest.mark.fast
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_interpolator_of_points(dtype):
    task = data.gaussian_points(jax.random.key(0), 12, dtype=dtype)
    weight = models.interpolate_points(task.inputs)
    assert weight.dtype == dtype
    logits = jax.vmap(models.linear_apply, (None, 0))(weight, task.inputs)
    atol = 1000 * float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(logits, np.eye(12)[task.labels], atol=atol)


@pytest.mark.parametrize(
    ("layers", "dtype"), [(1, jnp.float32), (4, jnp.float32), (2, jnp.float64)]
)
def test_interpolator_of_the_hypercube(layers, dtype):
    dim = 10
    task = data.mixed_hypercube(jax.random.key(1), dim, 50, layers=layers, dtype=dtype)
    weight = jax.jit(models.interpolate_hypercube)(task.factors)
    assert weight.shape == (2, dim)
    assert weight.dtype == dtype
    logits = jax.vmap(models.linear_apply, (None, 0))(weight, task.inputs)
    sizes = jnp.linalg.norm(task.inputs, axis=1) * jnp.linalg.norm(weight[1])
    atol = 20 * float(jnp.finfo(dtype).eps) * float(sizes.max())
    assert atol < 0.2
    z = task.codes[:, -1]
    np.testing.assert_allclose(logits, jnp.stack([-z, z], 1) / 2, atol=atol)
    np.testing.assert_array_equal(jnp.argmax(logits, 1), task.labels)


def test_pivot_of_the_interpolator_survives_many_layers():
    # In float32 the formed product of six factors has lost its last pivot; float64 has not.
    factors = np.random.default_rng(0).normal(size=(6, 24, 24))
    exact = models.interpolate_hypercube(factors)
    single = models.interpolate_hypercube(factors.astype(np.float32))
    length = np.linalg.norm(exact[1])
    np.testing.assert_allclose(np.linalg.norm(single[1]), length, rtol=1e-2)


@pytest.mark.parametrize("closed_form", [models.interpolate_points, models.interpolate_hypercube])
def test_closed_forms_compose(closed_form):
    shape = (3, 5, 5) if closed_form is models.interpolate_points else (3, 2, 5, 5)
    batch = jax.random.normal(jax.random.key(0), shape)
    got = jax.vmap(closed_form)(batch)
    np.testing.assert_allclose(got[1], closed_form(batch[1]), rtol=1e-9)
    jax.export.export(jax.jit(closed_form), platforms=["tpu", "cuda"])(batch[0])


@pytest.mark.fast
@pytest.mark.parametrize(
    "misuse",
    [
        lambda: models.mlp((4,), 2, activation="rleu"),
        lambda: models.mlp((4,), 2, normalization="batch"),
        lambda: models.mlp((4,), 0),
        lambda: models.mlp((4,), 2, widths=(3, -1)),
        lambda: models.mlp((4, 0), 2),
        lambda: models.deep_linear(0, 2),
        lambda: models.cnn((7, 7), 2),
        lambda: models.cnn((7, 7, 1), 2, head="max"),
        lambda: models.cnn((7, 7, 1), 2, stride=0),
        lambda: models.interpolate_points(jnp.ones((3, 4))),
        lambda: models.interpolate_hypercube(jnp.ones((4, 4))),
    ],
)
def test_misuse_raises(misuse):
    with pytest.raises(ValueError, match="got"):
        misuse()


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (models.mlp((3, 2), 4, widths=(5, 6)), (3, 2)),
        (models.deep_linear(6, 4, widths=(5,)), (6,)),
        (models.cnn((6, 6, 2), 3, head="average"), (6, 6, 2)),
    ],
)
def test_stages_applied_in_turn_are_the_features(network, shape):
    params = network.init(jax.random.key(0))
    x = h = jax.random.normal(jax.random.key(1), shape, jnp.float32)
    features = network.features(params, x)
    for stage, expected in zip(network.stages(params), features.values(), strict=True):
        h = stage(h)
        np.testing.assert_array_equal(h, expected)
    np.testing.assert_array_equal(h, network.apply(params, x))
