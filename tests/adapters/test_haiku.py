"""Functions transformed by Haiku."""

import jax
import pytest
from checks import CLASSES, activation, assert_close, check, features, inputs

from fracture.adapters import from_batched, from_haiku

hk = pytest.importorskip("haiku")


def net(x, is_training=True):
    linear = hk.Linear(6, name="linear")
    x = activation(linear(linear(x)))
    x = hk.BatchNorm(True, True, 0.9, name="norm")(x[None] if x.ndim == 1 else x, is_training)
    x = hk.dropout(hk.next_rng_key(), 0.5, x) if is_training else x
    x = hk.Linear(CLASSES, name="head")(x)
    return x


def single(x, is_training=True):
    return net(x, is_training)[0]


@pytest.mark.fast
def test_same_as_the_function():
    transformed = hk.transform_with_state(net)
    params, state = transformed.init(jax.random.key(0), inputs())
    _, state = transformed.apply(params, state, jax.random.key(1), inputs())  # training
    adapted = from_batched(from_haiku(transformed, params, state, is_training=False))
    own = lambda xs: transformed.apply(params, state, None, xs, is_training=False)[0]
    check(adapted, inputs(), own)

    weights = params["linear"]
    first = inputs() @ weights["w"] + weights["b"]
    second = first @ weights["w"] + weights["b"]
    got = features(adapted, inputs())
    assert got["norm"].shape == first.shape
    wanted = {"linear": first, "linear:1": second, "head": own(inputs()), "logits": own(inputs())}
    assert_close(got, {**wanted, "norm": got["norm"]})


@pytest.mark.parametrize("without_rng", [False, True])
def test_without_state(without_rng):
    transformed = hk.transform(lambda x: hk.Linear(CLASSES)(x))
    params = transformed.init(jax.random.key(0), inputs())
    if without_rng:
        transformed = hk.without_apply_rng(transformed)
    adapted = from_haiku(transformed, params)
    weights = params["linear"]
    got = jax.vmap(adapted.apply, (None, 0))(adapted.params, inputs())
    assert_close({"logits": got}, {"logits": inputs() @ weights["w"] + weights["b"]})


def test_wrong_use():
    with pytest.raises(TypeError, match=r"what hk\.transform.*returned, got function"):
        from_haiku(net, {})
    transformed = hk.transform_with_state(single)
    params, state = transformed.init(jax.random.key(0), inputs()[0])
    with pytest.raises(ValueError, match=r"state is missing: from_haiku\(transformed, params, st"):
        from_haiku(transformed, params)
    with pytest.raises(ValueError, match="a state was given, but"):
        from_haiku(hk.transform(lambda x: x), {}, state)

    training = from_haiku(transformed, params, state)
    with pytest.raises(ValueError, match=r"draws random numbers.*is_training=False"):
        training.apply(training.params, inputs()[0])
    updates = hk.transform_with_state(lambda x: hk.BatchNorm(True, True, 0.9)(x[None], True)[0])
    adapted = from_haiku(updates, *updates.init(None, inputs()[0]))
    with pytest.raises(ValueError, match=r"training mode.*is_training=False"):
        adapted.apply(adapted.params, inputs()[0])

    batched = from_haiku(hk.transform_with_state(net), params, state, is_training=False)
    with pytest.raises(ValueError, match="wrap it in from_batched"):
        batched.apply(batched.params, inputs()[0])
