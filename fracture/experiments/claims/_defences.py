"""What networks are trained to minimise in place of the plain loss, to make them robust."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..._typing import Apply
from ...compression import contrast, margin_compression
from ...norms import norm, positive
from ...perturbation import radius
from ...training import cross_entropy

Objective = Callable[[Any, Array, Array], Array]
_FEW = 16  # of a batch, where a search takes many gradients


def adversarial(
    apply: Apply, size: Array, params: Any, xs: Array, ys: Array, *, steps: int
) -> Array:
    """Mean loss after so many steps up its gradient, in the ball of a size and in [0, 1].

    One step is FGSM for ℓ2, more are PGD with steps of 2.5 times the radius over their number.
    """

    def loss(x, y):
        return cross_entropy(apply(params, x), y)

    def attack(x, y):
        def step(delta, _):
            gradient = jax.grad(loss)(x + delta, y)
            longer = delta + min(1.0, 2.5 / steps) * size * gradient / positive(norm(gradient))
            shorter = longer * jnp.minimum(1, size / positive(norm(longer)))
            return jnp.clip(x + shorter, 0, 1) - x, None

        return x + jax.lax.scan(step, jnp.zeros_like(x), None, length=steps)[0]

    points = jax.lax.stop_gradient(jax.vmap(attack)(xs, ys))
    return jnp.mean(jax.vmap(loss)(points, ys))


def small_jacobian(apply: Apply, weight: Array, params: Any, xs: Array, ys: Array) -> Array:
    """Mean loss, and the mean square of the Jacobian of the logit differences."""
    rows = jax.jacrev(lambda x: contrast(apply(params, x)))
    squares = jax.vmap(lambda x: jnp.sum(rows(x) ** 2))(xs)
    return _mean_loss(apply, params, xs, ys) + weight * jnp.mean(squares)


def large_radius(apply: Apply, weight: Array, params: Any, xs: Array, ys: Array) -> Array:
    """Mean loss, less the differentiable radius of a few inputs, which counts up to 1."""
    found = partial(radius, partial(apply, params), bounds=(0.0, 1.0), solver="deepfool", steps=3)
    radii = jax.vmap(lambda x, y: found(x, y))(xs[:_FEW], ys[:_FEW])
    return _mean_loss(apply, params, xs, ys) - weight * jnp.mean(jnp.minimum(radii, 1))


def little_compression(apply: Apply, weight: Array, params: Any, xs: Array, ys: Array) -> Array:
    """Mean loss, less ρ_net towards the nearest input of the batch that is of another class."""
    rows = xs.reshape(len(xs), -1)
    apart = jnp.sum((rows[:, None] - rows[None]) ** 2, axis=-1)
    nearest = jnp.argmin(jnp.where(ys[:, None] == ys[None], jnp.inf, apart), axis=1)
    read = partial(margin_compression, partial(apply, params))
    ratios = jax.vmap(lambda x, y, delta, other: read(x, y, delta, other=other))(
        xs, ys, xs[nearest] - xs, ys[nearest]
    )
    # Of a batch of one class there is no other; NaN there.
    return _mean_loss(apply, params, xs, ys) - weight * jnp.nanmean(ratios)


def orthogonal(apply: Apply, weight: Array, params: Any, xs: Array, ys: Array) -> Array:
    """Mean loss, and how far the weights of each layer are from orthonormal rows or columns."""

    def away(kernel):
        narrow = kernel if kernel.shape[0] >= kernel.shape[1] else kernel.T
        gram = jnp.matmul(narrow.T, narrow, precision="highest")
        return jnp.sum((gram - jnp.eye(len(gram), dtype=gram.dtype)) ** 2)

    kernels = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim == 2]
    return _mean_loss(apply, params, xs, ys) + weight * sum(map(away, kernels))


def plain(apply: Apply, weight: Array, params: Any, xs: Array, ys: Array) -> Array:
    """Mean loss; what is done to robustness is done to the labels."""
    return _mean_loss(apply, params, xs, ys)


def _mean_loss(apply, params, xs, ys):
    return jnp.mean(jax.vmap(lambda x, y: cross_entropy(apply(params, x), y))(xs, ys))


DEFENCES: dict[str, tuple[Callable[..., Array], tuple[float, ...]]] = {
    "FGSM": (partial(adversarial, steps=1), (0.0, 0.2, 0.4, 0.8)),
    "PGD": (partial(adversarial, steps=5), (0.0, 0.2, 0.4, 0.8)),
    "Jacobian": (small_jacobian, (0.0, 1e-4, 1e-3, 1e-2)),
    "radius": (large_radius, (0.0, 0.3, 1.0, 3.0)),
    "compression": (little_compression, (0.0, 0.3, 1.0, 3.0)),
    "orthogonal": (orthogonal, (0.0, 1e-4, 1e-3, 1e-2)),
    "labels": (plain, (0, 1, 2, 3)),
}
"""The objective of each, `f(apply, strength, params, xs, ys)`, and strengths; the first is none."""
