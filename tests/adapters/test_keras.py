"""Keras models; Keras takes seconds to import, so only the process that needs it does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checks import CLASSES, DIM, activation, assert_close, check, features, inputs

from fracture.adapters import from_keras


@pytest.fixture
def keras():
    found = pytest.importorskip("keras")
    found.utils.set_random_seed(0)
    with jax.default_prng_impl("threefry2x32"):  # Keras has seeds of its size
        yield found


@pytest.mark.fast
def test_same_as_the_model(keras):
    layers = keras.layers
    inner = keras.Sequential(
        [keras.Input((8,)), layers.BatchNormalization(), layers.Dropout(0.5)], name="inner"
    )
    x = keras.Input((DIM,))
    hidden = inner(layers.Dense(8, activation=activation, name="hidden")(x))
    model = keras.Model(x, layers.Dense(CLASSES, name="head")(hidden))
    inner.layers[0].moving_mean.assign(np.linspace(-1, 1, 8))
    before = [np.array(v.value) for v in model.variables]

    adapted = from_keras(model)
    own = lambda xs: model(xs, training=False)
    check(adapted, inputs(), own)
    assert len(adapted.params["params"]) == 6
    assert len(adapted.params["state"]) == 2

    kernel, bias = adapted.params["params"][:2]
    wanted = {"hidden": activation(inputs() @ kernel + bias)}
    wanted["inner"] = inner(wanted["hidden"], training=False)
    wanted["head"] = wanted["logits"] = own(inputs())
    assert_close(features(adapted, inputs()), wanted)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.value, value)
    for variable in model.trainable_variables:  # as training does, which donates them
        variable.value.delete()
    adapted.apply(adapted.params, inputs()[0])


def test_sequential_built_by_a_call(keras):
    layers = keras.layers
    model = keras.Sequential([layers.Dense(4, name="a"), layers.Dense(CLASSES, name="b")])
    with pytest.raises(ValueError, match=r"not built: call it on a batch once, or model\.build"):
        from_keras(model)
    model(inputs())
    adapted = from_keras(model)
    shapes = jax.eval_shape(adapted.features, adapted.params, inputs()[0])
    wanted = {"a": (4,), "b": (CLASSES,), "logits": (CLASSES,)}
    assert {name: leaf.shape for name, leaf in shapes.items()} == wanted


def test_subclass(keras):
    class Net(keras.Model):
        def __init__(self, training=None):
            super().__init__()
            self.norm = keras.layers.BatchNormalization()
            self.dropout = keras.layers.Dropout(0.5)
            self.head = keras.layers.Dense(CLASSES)
            self.train = training

        def call(self, x):
            return self.head(self.dropout(self.norm(x, training=self.train)))

    model = Net()
    own = model(inputs(), training=False)
    adapted = from_keras(model)
    assert adapted.features is None
    run = jax.vmap(adapted.apply, (None, 0))
    assert_close({"logits": run(adapted.params, inputs())}, {"logits": own})

    training = Net(training=True)
    training(inputs())
    adapted = from_keras(training)
    with pytest.raises(ValueError, match=r"training mode.*moving_mean.*training=False"):
        adapted.apply(adapted.params, inputs()[0])


def test_wrong_use(keras, monkeypatch):
    with pytest.raises(TypeError, match=r"wants a keras\.Model, got function"):
        from_keras(lambda x: x)

    class Noise(keras.layers.Layer):
        def __init__(self):
            super().__init__()
            self.seed = keras.random.SeedGenerator(0)

        def call(self, x):
            return x + keras.random.normal(keras.ops.shape(x), seed=self.seed)

    model = keras.Sequential([keras.Input((DIM,)), Noise()])
    adapted = from_keras(model)
    with pytest.raises(ValueError, match=r"changes.*seed.*training=False"):
        adapted.apply(adapted.params, inputs()[0])

    maps = keras.Sequential([keras.Input((DIM, 1)), keras.layers.Dense(2)])
    adapted = from_keras(maps)
    with pytest.raises(ValueError, match=r"shape \(1, 6, 2\) for a batch of one input"):
        adapted.apply(adapted.params, jnp.ones((DIM, 1)))

    monkeypatch.setattr(keras.config, "backend", lambda: "torch")
    with pytest.raises(ValueError, match=r"Keras runs on torch.*KERAS_BACKEND=jax"):
        from_keras(model)
