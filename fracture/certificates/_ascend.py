"""Gradient ascent that keeps the best: any multipliers give a bound, the best give the tightest."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

FAST, SLOW = 0.9, 0.999  # memory of the mean and of the mean square of the gradients


def ascend(
    value: Callable[[PyTree], Array],
    start: PyTree,
    steps: int,
    *,
    rate: float = 0.1,
    decay: float = 0.98,
) -> PyTree:
    """Where a function was largest in so many steps of Adam, the start among them.

    Parameters
    ----------
    value
        A scalar function of a tree of arrays, differentiable almost everywhere.
    start
        Where to begin.
    steps
        Gradients.
    rate, decay
        The first step's length in each entry, and how much shorter each further one is.
    """

    def step(carry, at):
        here, mean, square, best, most = carry
        now, grad = jax.value_and_grad(value)(here)
        grad = jax.tree.map(lambda g: jnp.where(jnp.isfinite(g), g, 0), grad)
        better = now > most
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), here, best)
        most = jnp.where(better, now, most)
        mean = jax.tree.map(lambda m, g: FAST * m + (1 - FAST) * g, mean, grad)
        square = jax.tree.map(lambda s, g: SLOW * s + (1 - SLOW) * g**2, square, grad)
        time = (at + 1).astype(now.dtype)
        length = rate * decay ** at.astype(now.dtype) / (1 - FAST**time)

        def move(p, m, s):
            root = jnp.sqrt(s / (1 - SLOW**time))
            return p + length * m / jnp.where(root > 0, root, 1)

        return (jax.tree.map(move, here, mean, square), mean, square, best, most), None

    zeros = jax.tree.map(jnp.zeros_like, start)
    now = value(start)
    carry = start, zeros, zeros, start, now
    if steps == 0:
        return start
    (here, _, _, best, most), _ = jax.lax.scan(step, carry, jnp.arange(steps))
    last = value(here) > most
    return jax.tree.map(lambda new, old: jnp.where(last, new, old), here, best)
