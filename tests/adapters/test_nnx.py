"""Flax NNX modules, and what all adapters share."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from checks import CLASSES, DIM, activation, assert_close, check, features, inputs
from flax import nnx

from fracture.adapters import from_batched, from_nnx


class Net(nnx.Module):
    """In training mode, as it is made, with statistics that are not the initial ones."""

    def __init__(self, *, batched=False, first=None):
        rngs = nnx.Rngs(0)
        self.blocks = nnx.List([nnx.Linear(DIM, 8, rngs=rngs), nnx.Linear(8, 8, rngs=rngs)])
        self.norm = nnx.BatchNorm(8, rngs=rngs)
        self.norm.mean[...] = jnp.linspace(-1, 1, 8)
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.tail = nnx.Sequential(activation, nnx.Linear(8, CLASSES, rngs=rngs))
        self.first = first
        self.batched = batched

    def __call__(self, x, scale=1.0):
        if self.batched:
            x = x.reshape(x.shape[0], -1)
        for block in self.blocks:
            x = activation(block(x))
        if self.first:
            x = self.first(self, x)
        return scale * self.tail(self.dropout(self.norm(x)))


def evaluated(module):
    copy = nnx.clone(module)
    copy.eval()
    return copy


@pytest.mark.fast
@pytest.mark.parametrize("batched", [False, True])
def test_same_as_the_module(batched):
    module = Net(batched=batched)
    before = jax.tree.map(jnp.array, nnx.to_pure_dict(nnx.state(module, nnx.Not(nnx.RngState))))
    adapted = from_batched(from_nnx(module)) if batched else from_nnx(module)
    xs = inputs()
    if batched:
        xs = xs.reshape(-1, 2, 3)
    check(adapted, xs, evaluated(module), attacked=not batched)

    own = evaluated(module)
    hidden = [activation(own.blocks[0](xs.reshape(-1, DIM)))]
    normed = own.norm(activation(own.blocks[1](hidden[0])))
    wanted = {
        "blocks/0": own.blocks[0](xs.reshape(-1, DIM)),
        "blocks/1": own.blocks[1](hidden[0]),
        "norm": normed,
        "dropout": normed,
        "tail": own(xs),
        "tail/layers/1": own(xs),
        "logits": own(xs),
    }
    assert_close(features(adapted, xs), wanted)

    assert not module.norm.use_running_average
    assert not module.dropout.deterministic
    after = nnx.to_pure_dict(nnx.state(module, nnx.Not(nnx.RngState)))
    assert jax.tree.all(jax.tree.map(lambda a, b: (a == b).all(), before, after))


def test_options_module_and_new_parameters():
    module, x = Net(), inputs()[0]
    adapted = from_nnx(module, scale=2.0)
    np.testing.assert_allclose(
        adapted.apply(adapted.params, x), 2 * evaluated(module)(x), rtol=1e-5
    )
    assert adapted.module(adapted.params).norm.use_running_average
    old = adapted.params
    module.blocks[0].kernel[...] *= 3  # training
    new = from_nnx(module, scale=2.0).params
    assert not jnp.allclose(adapted.apply(old, x), adapted.apply(new, x))
    np.testing.assert_allclose(adapted.apply(new, x), 2 * evaluated(module)(x), rtol=1e-5)


def test_follows_float64():
    with jax.enable_x64(True):
        layer = nnx.Linear(DIM, CLASSES, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
        adapted = from_nnx(layer)
        x = jnp.ones(DIM, jnp.float64)
        assert adapted.apply(adapted.params, x).dtype == jnp.float64


UPDATES = lambda module, x: module.norm(x, use_running_average=False)
DRAWS = lambda module, x: x * module.dropout.rngs.uniform()


@pytest.mark.parametrize(("first", "variable"), [(UPDATES, "norm/mean"), (DRAWS, "rngs/count")])
def test_training_mode_that_stays_on(first, variable):
    adapted = from_nnx(Net(first=first))
    for function in (adapted.apply, adapted.features):
        with pytest.raises(ValueError, match=f"training mode.*{variable}.*train=False"):
            jax.eval_shape(function, adapted.params, inputs()[0])


def test_wrong_use():
    with pytest.raises(TypeError, match=r"wants an nnx\.Module, got function"):
        from_nnx(lambda x: x)
    batched = from_nnx(Net(batched=True))
    image = jnp.ones((2, 3))
    with pytest.raises(Exception, match=r"one input of shape \(2, 3\).*wrap it in from_batched"):
        batched.apply(batched.params, image)
    single = from_nnx(Net())
    with pytest.raises(
        ValueError, match=r"shape \(5, 3\) for one input of shape \(5, 6\).*wrap it"
    ):
        single.apply(single.params, inputs())
    with pytest.raises(ValueError, match=r"\(3,\) for a batch of one input.*no from_batched"):
        from_batched(lambda params, x: x.mean(0)[:3])(None, inputs()[0])
    with pytest.raises(TypeError, match="returned tuple; wanted one array"):
        from_batched(lambda params, x: (x, x))(None, inputs()[0])


def test_batched_function():
    weight = jax.random.normal(jax.random.key(0), (DIM, CLASSES))
    apply = from_batched(lambda weight, batch: batch.reshape(len(batch), -1) @ weight)
    check_like = jax.vmap(apply, (None, 0))(weight, inputs())
    np.testing.assert_allclose(check_like, inputs() @ weight, rtol=1e-5)
    assert apply(weight[:, :1], inputs()[0]).shape == (1,)
