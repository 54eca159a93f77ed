"""Flax Linen modules."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checks import CLASSES, activation, assert_close, check, features, inputs

from fracture.adapters import from_batched, from_linen


class Net(nn.Module):
    batched: bool = False

    @nn.compact
    def __call__(self, x, train=True):
        if self.batched:
            x = x.reshape(x.shape[0], -1)
        dense = nn.Dense(x.shape[-1], name="dense")
        x = nn.BatchNorm(use_running_average=not train, name="norm")(activation(dense(dense(x))))
        return nn.Dense(CLASSES, name="head")(nn.Dropout(0.5, deterministic=not train)(x))


def variables(net):
    made = net.init({"params": jax.random.key(0), "dropout": jax.random.key(1)}, inputs())
    made["batch_stats"]["norm"]["mean"] = jnp.linspace(-1, 1, 6)
    return made


@pytest.mark.fast
@pytest.mark.parametrize("batched", [False, True])
def test_same_as_the_module(batched):
    net = Net(batched)
    held = variables(net)
    adapted = from_linen(net, held, train=False)
    adapted = from_batched(adapted) if batched else adapted
    xs = inputs().reshape(-1, 2, 3) if batched else inputs()
    own = lambda xs: net.apply(held, xs, train=False)
    check(adapted, xs, own, attacked=not batched)

    _, captured = net.apply(held, xs, train=False, capture_intermediates=True, mutable=True)
    outputs = captured["intermediates"]
    first, second = outputs["dense"]["__call__"]
    (norm,), (head,) = outputs["norm"]["__call__"], outputs["head"]["__call__"]
    wanted = {"dense": first, "dense:1": second, "norm": norm, "Dropout_0": norm, "head": head}
    assert_close(features(adapted, xs), {**wanted, "logits": own(xs)})


def test_module_gives_layers():
    dense = nn.Dense(CLASSES)
    adapted = from_linen(dense, dense.init(jax.random.key(0), inputs()))
    x = inputs()[0]
    layer = adapted.module(adapted.params)
    np.testing.assert_allclose(layer(x), adapted.apply(adapted.params, x), rtol=1e-6)


def test_wrong_use():
    net, x = Net(), inputs()[0]
    held = variables(net)
    params = held["params"]
    with pytest.raises(TypeError, match=r"wants a flax\.linen\.Module, got function"):
        from_linen(lambda x: x, held)
    with pytest.raises(ValueError, match=r"must hold all collections.*\['norm'|got \['dense'"):
        from_linen(net, params)

    missing = from_linen(net, {"params": params}, train=False)
    with pytest.raises(ValueError, match=r"lacks a collection.*batch_stats"):
        missing.apply(missing.params, x)

    training = from_linen(net, held, train=True)
    for function in (training.apply, training.features):
        with pytest.raises(ValueError, match=r"training mode.*train=False"):
            function(training.params, x)
    draws = nn.Dropout(0.5, deterministic=False)
    with pytest.raises(ValueError, match=r"draws random numbers.*train=False"):
        from_linen(draws, {"params": {}}).apply({"params": {}}, x)

    batched = from_linen(Net(batched=True), held, train=False)
    with pytest.raises(Exception, match="wrap it in from_batched"):
        batched.apply(batched.params, jnp.ones((2, 3)))
