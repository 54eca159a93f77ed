"""Gradient ascent that keeps the best: any multipliers give a bound, the best give the tightest."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree

RATE, DECAY = 0.1, 0.98  # the first step's length in each entry, and the next one's over it
FAST, SLOW = 0.9, 0.999  # memory of the mean and of the mean square of the gradients


class Ascent(NamedTuple):
    """Where an ascent is, and goes on from: on the next problem too, if it is like this one."""

    here: PyTree
    mean: PyTree  # of the gradients
    square: PyTree  # of their squares
    time: Int[Array, ""]  # steps made


def begin(start: PyTree) -> Ascent:
    """Before the first step."""
    zeros = jax.tree.map(jnp.zeros_like, start)
    return Ascent(start, zeros, zeros, jnp.zeros((), jnp.int32))


def resume(before: Ascent | None, start: PyTree) -> Ascent:
    """On from an ascent that has made steps; from `start` where there is none."""
    fresh = begin(start)
    if before is None:
        return fresh
    return jax.tree.map(lambda p, q: jnp.where(before.time > 0, p, q), before, fresh)


def ascend(
    value: Callable[[PyTree], Array],
    ascent: Ascent,
    steps: int,
    project: Callable[[PyTree], PyTree] = lambda here: here,
) -> tuple[PyTree, Ascent]:
    """So many steps of Adam towards a maximum.

    Parameters
    ----------
    value
        A scalar function of a tree of arrays, differentiable almost everywhere.
    ascent
        Where to begin.
    steps
        Gradients.
    project
        Back to where multipliers may be. A function that is flat beyond would be left there for
        ever: no gradient leads back.

    Returns
    -------
    best
        Where the function was largest, the start among them.
    ascent
        Where to go on.
    """

    def step(carry, _):
        (here, mean, square, time), best, most = carry
        now, grad = jax.value_and_grad(value)(here)
        best, most = _larger(now, here, most, best)
        grad = jax.tree.map(lambda g: jnp.where(jnp.isfinite(g), g, 0), grad)
        mean = jax.tree.map(lambda m, g: FAST * m + (1 - FAST) * g, mean, grad)
        square = jax.tree.map(lambda s, g: SLOW * s + (1 - SLOW) * g**2, square, grad)
        passed = time.astype(now.dtype)
        length = RATE * DECAY**passed / (1 - FAST ** (passed + 1))

        def move(p, m, s):
            root = jnp.sqrt(s / (1 - SLOW ** (passed + 1)))
            return p + length * m / jnp.where(root > 0, root, 1)

        here = project(jax.tree.map(move, here, mean, square))
        return (Ascent(here, mean, square, time + 1), best, most), None

    ascent = ascent._replace(here=project(ascent.here))
    most = jnp.full_like(jax.eval_shape(value, ascent.here), -jnp.inf)
    (ascent, best, most), _ = jax.lax.scan(step, (ascent, ascent.here, most), length=steps)
    best, _ = _larger(value(ascent.here), ascent.here, most, best)
    return best, ascent


def _larger(now: Array, here: PyTree, most: Array, best: PyTree) -> tuple[PyTree, Array]:
    better = now > most
    best = jax.tree.map(lambda new, old: jnp.where(better, new, old), here, best)
    return best, jnp.where(better, now, most)
