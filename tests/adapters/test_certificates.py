"""Networks of every framework are certified: below what is found, and not far below."""

import jax
import jax.numpy as jnp
import pytest
from checks import CLASSES, DIM, inputs
from flax import linen, nnx

from fracture.adapters import (
    from_batched,
    from_equinox,
    from_haiku,
    from_keras,
    from_linen,
    from_nnx,
)
from fracture.certificates import CertificateStatus, certify
from fracture.perturbation import solve


def bracketed(network, share):
    """Certified radii of a few inputs are at least a share of those that are found."""
    xs = inputs()[:3]
    labels = jax.vmap(network)(xs).argmax(1)
    certified = solve(network, xs, labels, solver=certify, method="crown")
    found = solve(network, xs, labels, solver="ddn", steps=50)
    assert (certified.status == CertificateStatus.CERTIFIED).all()
    assert (certified.radius <= found.norm).all()
    assert (certified.radius >= share * found.norm).all()


def test_nnx():
    rngs = nnx.Rngs(0)
    norm = nnx.BatchNorm(8, rngs=rngs)
    norm.mean[...] = jnp.linspace(-1, 1, 8)
    layers = nnx.Linear(DIM, 8, rngs=rngs), norm, nnx.relu, nnx.Dropout(0.5, rngs=rngs)
    bracketed(from_nnx(nnx.Sequential(*layers, nnx.Linear(8, CLASSES, rngs=rngs))), 0.3)


def test_linen():
    class Net(linen.Module):
        @linen.compact
        def __call__(self, x):
            x = linen.silu(linen.Conv(3, (2, 2))(x.reshape(-1, 2, 3, 1)))
            x = linen.avg_pool(x, (2, 2), padding="SAME")
            return linen.Dense(CLASSES)(x.reshape(len(x), -1))

    held = Net().init(jax.random.key(0), inputs())
    bracketed(from_batched(from_linen(Net(), held)), 0.3)


def test_equinox():
    eqx = pytest.importorskip("equinox")
    keys = jax.random.split(jax.random.key(0), 2)
    layers = [
        eqx.nn.Linear(DIM, 8, key=keys[0]),
        eqx.nn.LayerNorm(8),
        eqx.nn.Linear(8, CLASSES, key=keys[1]),
    ]
    bracketed(from_equinox(eqx.nn.Sequential(layers)), 0.3)


def test_haiku():
    hk = pytest.importorskip("haiku")

    def net(x):
        x = hk.Linear(8)(x)
        return hk.Linear(CLASSES)(x + jax.nn.gelu(hk.Linear(8)(x)))

    transformed = hk.without_apply_rng(hk.transform(net))
    bracketed(from_haiku(transformed, transformed.init(jax.random.key(0), inputs()[0])), 0.3)


def test_keras():
    keras = pytest.importorskip("keras")
    with jax.default_prng_impl("threefry2x32"):  # Keras has seeds of its size
        keras.utils.set_random_seed(0)
        layers = keras.layers
        stack = [
            keras.Input((DIM,)),
            layers.Reshape((2, 3, 1)),
            layers.Conv2D(3, 2, padding="same", activation="leaky_relu"),
            layers.MaxPooling2D((1, 2)),
            layers.Flatten(),
            layers.Dense(CLASSES),
        ]
        bracketed(from_keras(keras.Sequential(stack)), 0.3)
