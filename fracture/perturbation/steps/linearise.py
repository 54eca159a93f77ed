"""The boundaries with several classes, linearised at one point, and the nearest of them."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..._checks import check_counts
from ..._problem import Problem
from ...logits import as_logits


class Nearest(NamedTuple):
    """The nearest of several linearised boundaries."""

    delta: Array  # to there, (d,)
    distance: Array
    rival: Array


class Linearisation(NamedTuple):
    """What the boundaries linearised at a point look like from there."""

    nearest: Nearest
    classes: Array  # (c,) int32, by decreasing logit
    distances: Array  # (c,); inf where out of reach
    finite: Array  # bool: all gradients are

    def closest(self, count: int) -> Array:
        """The `count` classes, or all if there are fewer, whose boundaries are nearest."""
        return self.classes[jax.lax.top_k(-self.distances, min(count, self.classes.size))[1]]


def linearise(problem: Problem, num_classes: int, point: Array | None = None) -> Linearisation:
    """Distances to the linearised boundaries with the classes of the largest logits.

    One gradient a class, one in memory at a time.

    Parameters
    ----------
    problem
        The label, the target and the bounds.
    num_classes
        At most so many classes; at least 1.
    point
        Where to linearise, and from where distances are measured: shape `(d,)`, as landed on.
        None for x, whose gradients are taken close to it where it has none.

    Returns
    -------
    A `Linearisation`.

    Raises
    ------
    ValueError
        If `num_classes` is no integer of at least 1.
    """
    base, origin = problem.base, problem.origin
    if point is not None:
        base, origin = point, point.astype(problem.center.dtype)
    logits, pull = jax.vjp(lambda z: as_logits(problem.logits_fn(z)), base)
    every = jnp.arange(problem.num_classes, dtype=jnp.int32)

    def grad(rival):
        ahead = (every == problem.label).astype(logits.dtype)
        return pull(ahead - (every == rival).astype(logits.dtype))[0]

    return among(problem, logits, grad, origin, num_classes, problem.start.slack)


def off_a_tie(excess: Array, slack: Array | float) -> Array:
    """`excess`, but `slack` where it is no farther from 0: a search has to leave a tie."""
    return jnp.where(jnp.abs(excess) <= slack, slack, excess)


def among(
    problem: Problem,
    logits: Array,
    gradient: Callable[[Array], Array],
    origin: Array,
    num_classes: int,
    slack: Array | float = 0.0,
) -> Linearisation:
    """Distances to linear boundaries, given by logits and the gradients of their differences.

    Parameters
    ----------
    problem
        The label, the target and the bounds.
    logits
        Shape `(K,)`, at `origin`.
    gradient
        `gradient(rival)` of the label's logit minus the rival's: shape `(d,)`.
    origin
        From where distances are measured: shape `(d,)`, in the working dtype.
    num_classes
        At most so many classes, those of the largest logits; at least 1.
    slack
        As of `off_a_tie`.

    Returns
    -------
    A `Linearisation`.

    Raises
    ------
    ValueError
        If `num_classes` is no integer of at least 1.
    """
    dtype = problem.center.dtype
    classes = rivals(problem, logits, num_classes)

    def one(rival):
        grad = gradient(rival)
        excess = (logits[problem.label] - logits[rival]).astype(dtype)
        excess = off_a_tie(excess, slack)
        move, distance = problem.step(origin, excess, grad.astype(dtype))
        distance = jnp.where(jnp.isfinite(excess), distance, jnp.inf)
        return move, distance, jnp.all(jnp.isfinite(grad))

    def closer(nearest, rival):
        delta, distance, finite = one(rival)
        candidate = Nearest(delta, distance, rival)
        better = (distance < nearest.distance) | (nearest.rival < 0)
        return jax.tree.map(partial(jnp.where, better), candidate, nearest), (distance, finite)

    none = Nearest(
        jnp.zeros_like(origin), jnp.full((), jnp.inf, dtype), jnp.full((), -1, jnp.int32)
    )
    nearest, (distances, finite) = jax.lax.scan(closer, problem.init(none), classes)
    return Linearisation(nearest, classes, distances, jnp.all(finite))


def rivals(problem: Problem, logits: Array, num_classes: int) -> Array:
    """The classes with the largest logits but the label; the target alone where there is one.

    Parameters
    ----------
    problem
        The label and the target.
    logits
        Shape `(K,)`.
    num_classes
        At most so many.

    Returns
    -------
    int32, shape `(c,)`, by decreasing logit.

    Raises
    ------
    ValueError
        If `num_classes` is no integer of at least 1.
    """
    check_counts(num_classes=num_classes)
    if problem.targeted:
        return problem.target[None]
    others = jnp.arange(problem.num_classes - 1, dtype=jnp.int32)
    others += (others >= problem.label).astype(jnp.int32)
    return others[jax.lax.top_k(logits[others], min(num_classes, others.size))[1]]
