"""Many different networks: each is trained by a recipe that is drawn at random."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from ... import data, models
from ..._typing import Key
from ...training import Fit, fit

NUM_CLASSES = 10
# Where each is drawn, evenly on a logarithmic scale or on a linear one from 0.
RECIPE = {
    "learning rate": (1e-3, 1e-2),
    "initial scale": (0.3, 3.0),
    "share of steps": (0.1, 1.0),
    "weight decay": (1e-2, 3.0),
    "random labels": (0.0, 0.5),
    "input noise": (0.0, 1.0),  # over the standard deviation of all inputs
}

Items = tuple[Array, Array]  # inputs, one a row, and labels


def digits(dim: int, num: int) -> Items:
    """The first digits, at a resolution of so many pixels in all."""
    inputs, labels = data.digits(math.isqrt(dim))
    return inputs[:num].reshape(num, -1), labels[:num]


def clusters(key: Key, dim: int, num: int) -> Items:
    """Gaussian clusters, two a class, that overlap a little."""
    task = data.gaussian_mixture(
        key,
        dim,
        num,
        num_classes=NUM_CLASSES,
        clusters_per_class=2,
        radius=4.0,
        dtype="float32",
    )
    return task.inputs, task.labels


def spiked(key: Key, dim: int, num: int) -> Items:
    """Gaussian classes that share one direction of large variance."""
    task = data.spiked_covariance(key, dim, num, num_classes=NUM_CLASSES, dtype="float32")
    return task.inputs, task.labels


SYNTHETIC: dict[str, Callable[[Key, int, int], Items]] = {"clusters": clusters, "spiked": spiked}


def draw_recipe(key: Key) -> Array:
    """A value of each ingredient."""
    low, high = jnp.asarray(list(RECIPE.values()), jnp.float32).T
    at = jax.random.uniform(key, low.shape, low.dtype)
    base = jnp.where(low > 0, low, 1)
    return jnp.where(low > 0, base * (high / base) ** at, high * at)


def train(
    key: Key,
    network: models.Network,
    recipe: Array,
    inputs: Array,
    labels: Array,
    *,
    steps: int,
    batch_size: int,
) -> Fit:
    """Minimise the cross-entropy by AdamW, as the recipe says."""
    key_init, key_fit, key_labels, key_noise = jax.random.split(key, 4)
    rate, scale, share, decay, wrong, noise = recipe
    jitter = noise * jnp.std(inputs) * jax.random.normal(key_noise, inputs.shape, inputs.dtype)
    stop = share * steps
    return fit(
        key_fit,
        network.apply,
        _scaled(network.init(key_init), scale),
        inputs + jitter,
        random_labels(key_labels, labels, wrong),
        loss="cross_entropy",
        steps=steps,
        batch_size=batch_size,
        optimizer=optax.adamw(lambda step: jnp.where(step < stop, rate, 0), weight_decay=decay),
    )


def random_labels(key: Key, labels: Array, share: Array) -> Array:
    """Labels of which a share is drawn anew."""
    key_which, key_label = jax.random.split(key)
    drawn = jax.random.randint(key_label, labels.shape, 0, NUM_CLASSES, labels.dtype)
    anew = jax.random.uniform(key_which, labels.shape, share.dtype) < share
    return jnp.where(anew, drawn, labels)


def _scaled(params: Any, scale: Array) -> Any:
    """Weights times a scale, biases as they are."""
    return jax.tree.map(lambda leaf: scale * leaf if leaf.ndim >= 2 else leaf, params)
