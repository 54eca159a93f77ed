"""Equinox models."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checks import CLASSES, DIM, activation, assert_close, check, features, inputs

from fracture.adapters import from_batched, from_equinox

eqx = pytest.importorskip("equinox")


class Net(eqx.Module):
    """With a leaf that is no array, integers, and a required key."""

    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    dropout: eqx.nn.Dropout
    last: eqx.nn.Linear
    order: jax.Array
    activation: Callable
    training: bool = eqx.field(static=True)

    def __init__(self, training=False):
        first, last = jax.random.split(jax.random.key(0))
        self.first = eqx.nn.Linear(DIM, 8, key=first)
        self.norm = eqx.nn.BatchNorm(8, "batch", mode="batch")
        self.dropout = eqx.nn.Dropout(0.5)
        self.last = eqx.nn.Linear(8, CLASSES, key=last)
        self.order = jnp.arange(DIM)[::-1]
        self.activation = activation
        self.training = training

    def __call__(self, x, state, *, key):
        x = self.activation(self.first(x[self.order]))
        x, state = self.norm(x, state, inference=False if self.training else None)
        return self.last(self.dropout(x, key=key)), state


def trained():
    """The model, and a state that a batch in training mode left."""
    model, state = eqx.nn.make_with_state(Net)()
    call = lambda x: model(x, state, key=jax.random.key(0))
    _, state = jax.jit(jax.vmap(call, out_axes=(0, None), axis_name="batch"))(inputs())
    return model, state


@pytest.mark.fast
def test_same_as_the_model():
    model, state = trained()
    adapted = from_equinox(model, state)
    evaluated = eqx.nn.inference_mode(model)
    own = lambda xs: jax.vmap(lambda x: evaluated(x, state, key=None)[0])(xs)
    check(adapted, inputs(), own)
    assert adapted.features is None
    assert not model.dropout.inference
    assert adapted.module(adapted.params).dropout.inference
    loss = lambda part: adapted.apply({**adapted.params, "params": part}, inputs()[0]).sum()
    jax.eval_shape(jax.grad(loss), adapted.params["params"])  # no integers among them


def test_without_state():
    mlp = eqx.nn.MLP(DIM, CLASSES, 4, 1, key=jax.random.key(0))
    adapted = from_equinox(mlp)
    np.testing.assert_allclose(
        jax.vmap(adapted.apply, (None, 0))(adapted.params, inputs()), jax.vmap(mlp)(inputs()), 1e-5
    )


def test_layers_of_a_sequence():
    keys = jax.random.split(jax.random.key(0), 2)

    def make():
        inner = eqx.nn.Sequential([eqx.nn.Lambda(activation), eqx.nn.Dropout(0.5)])
        norm = eqx.nn.BatchNorm(8, "batch", mode="batch")
        first, last = eqx.nn.Linear(DIM, 8, key=keys[0]), eqx.nn.Linear(8, CLASSES, key=keys[1])
        return eqx.nn.Sequential([first, norm, inner, last])

    model, state = eqx.nn.make_with_state(make)()
    call = lambda x: model(x, state, key=jax.random.key(0))
    _, state = jax.jit(jax.vmap(call, out_axes=(0, None), axis_name="batch"))(inputs())
    got = features(from_equinox(model, state), inputs())
    evaluated = eqx.nn.inference_mode(model)
    first = jax.vmap(model[0])(inputs())
    hidden = jax.vmap(lambda h: evaluated[1](h, state)[0])(first)
    logits = jax.vmap(model[3])(activation(hidden))
    wanted = {"layers/0": first, "layers/1": hidden, "layers/2/layers/0": activation(hidden)}
    wanted["layers/2/layers/1"] = wanted["layers/2/layers/0"]
    assert_close(got, {**wanted, "layers/3": logits, "logits": logits})


class Batched(eqx.Module):
    one: eqx.nn.Linear

    def __call__(self, inputs):
        return jax.vmap(self.one)(inputs)


def test_batched():
    one = eqx.nn.Linear(DIM, CLASSES, key=jax.random.key(0))
    adapted = from_batched(from_equinox(Batched(one)))
    got = adapted.apply(adapted.params, inputs()[0])
    np.testing.assert_allclose(got, one(inputs()[0]), rtol=1e-5)


def test_wrong_use():
    model, state = eqx.nn.make_with_state(Net)()
    x = inputs()[0]
    with pytest.raises(TypeError, match=r"wants a callable eqx\.Module, got function"):
        from_equinox(lambda x: x)
    with pytest.raises(ValueError, match=r"has state: from_equinox\(model, state\)"):
        from_equinox(model)
    with pytest.raises(ValueError, match="a state was given, but the model has none"):
        from_equinox(eqx.nn.Linear(2, 2, key=jax.random.key(0)), state)

    adapted = from_equinox(*eqx.nn.make_with_state(Net)(training=True))
    run = jax.vmap(adapted.apply, (None, 0), axis_name="batch")
    with pytest.raises(ValueError, match=r"training mode.*inference=False"):
        jax.eval_shape(run, adapted.params, inputs())

    class Draws(eqx.Module):
        def __call__(self, x, *, key):
            return x + jax.random.normal(key, x.shape)

    class Forgets(eqx.Module):
        norm: eqx.nn.BatchNorm

        def __call__(self, x, state):
            return self.norm(x, state)[0]

    draws = eqx.nn.Sequential([Draws()])
    for module in (Draws(), draws):
        with pytest.raises(Exception, match=r"without random numbers.*from_equinox\(model, key="):
            from_equinox(module)(x)
    given = from_equinox(draws, key=jax.random.key(0))
    assert given.features is None
    assert jnp.isfinite(given(x)).all()
    with pytest.raises(Exception, match="wrap it in from_batched"):
        from_equinox(Batched(eqx.nn.Linear(DIM, CLASSES, key=jax.random.key(0))))(x)
    forgets, held = eqx.nn.make_with_state(
        lambda: Forgets(eqx.nn.BatchNorm(DIM, "batch", mode="batch"))
    )()
    adapted = from_equinox(forgets, held)
    with pytest.raises(TypeError, match=r"must return \(logits, state\)"):
        adapted.apply(adapted.params, x)
