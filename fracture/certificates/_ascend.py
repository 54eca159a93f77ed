"""Gradient ascent that keeps the best: any multipliers give a bound, the best give the tightest."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, PyTree

LENGTH, DECAY = 0.1, 0.98  # of the first step in each entry, and of the next one over it
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
    value: Callable[[PyTree], tuple[Array, PyTree]],
    ascent: Ascent,
    steps: int,
    best: tuple[Array, PyTree],
    lengths: PyTree = LENGTH,
    project: Callable[[PyTree], PyTree] = lambda here: here,
) -> tuple[tuple[Array, PyTree], Ascent]:
    """So many steps of Adam towards a maximum.

    Parameters
    ----------
    value
        A scalar function of a tree of arrays, differentiable almost everywhere, and what is to be
        kept of where it is largest.
    ascent
        Where to begin.
    steps
        Values and gradients; the last step is for those who go on. Without any, nothing is traced.
    best
        The largest value so far, and what was kept there.
    lengths
        Of the first step, in each entry: a float for all, or for each leaf of the tree.
    project
        Back to where multipliers may be. Where a function is flat beyond, no gradient leads back.

    Returns
    -------
    best
        The largest value, and what was kept there; what was given where none is larger.
    ascent
        Where to go on.
    """
    if not steps:
        return best, ascent
    if isinstance(lengths, float):
        lengths = jax.tree.map(lambda _: lengths, ascent.here)

    def step(carry, _):
        (here, mean, square, time), (most, best) = carry
        (now, kept), grad = jax.value_and_grad(value, has_aux=True)(here)
        better = now > most
        best = jax.tree.map(lambda new, old: jnp.where(better, new, old), kept, best)
        most = jnp.where(better, now, most)
        grad = jax.tree.map(lambda g: jnp.where(jnp.isfinite(g), g, 0), grad)
        mean = jax.tree.map(lambda m, g: FAST * m + (1 - FAST) * g, mean, grad)
        square = jax.tree.map(lambda s, g: SLOW * s + (1 - SLOW) * g**2, square, grad)
        passed = time.astype(now.dtype)
        decay = DECAY**passed / (1 - FAST ** (passed + 1))

        def move(length, p, m, s):
            root = jnp.sqrt(s / (1 - SLOW ** (passed + 1)))
            return p + length * decay * m / jnp.where(root > 0, root, 1)

        here = project(jax.tree.map(move, lengths, here, mean, square))
        return (Ascent(here, mean, square, time + 1), (most, best)), None

    ascent = ascent._replace(here=project(ascent.here))
    (ascent, best), _ = jax.lax.scan(step, (ascent, best), length=steps)
    return best, ascent
