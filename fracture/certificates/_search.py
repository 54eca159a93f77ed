"""The largest radius that is certified, by trying radii."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

from ..norms import loop_init, positive

TOLERANCE = 1e-5  # of the radius that a method can certify at all, relative


class _Tried(NamedTuple):
    """The search between two of its radii."""

    tried: Array
    low: Array  # certified
    high: Array  # the smallest radius that was tried in vain
    radius: Array  # to try next
    left: Array  # the last radius that was certified, and its smallest margin, in [-1, 1]
    right: Array  # the last one that was not
    inside: Array  # whether the last one of all was certified
    state: PyTree
    margins: Array  # within `low`


def search(
    evaluate: Callable[[Array, PyTree], tuple[Array, Array, Array, PyTree]],
    margin: Array,
    first: Array,
    most: Array,
    state: PyTree,
    rounds: int,
) -> tuple[Array, Array, Array, PyTree]:
    """The largest radius that is certified.

    Whatever radius is tried, the smaller of it and of the distance to the boundary of what was
    found there is certified. The smallest margin falls as the radius grows; the chord through two
    of its values leads, with Illinois' halving, to where it vanishes in a few steps.

    Parameters
    ----------
    evaluate
        `evaluate(radius, state) -> distance, smallest, margins, state`: how far the boundary is,
        the smallest margin on the ball, and all margins on the smaller one within that distance.
    margin
        The smallest one at radius 0.
    first, most
        The first radius to try, and the largest.
    state
        Handed from one to the next.
    rounds
        How many are tried at most.

    Returns
    -------
    radius, margins, count, state
        The radius, the margins within it, how many radii were tried, and what the last one left.
    """

    def bounded(smallest):
        # Between -1 and 1, with the same root: far out margins grow beyond all measure.
        share = smallest / positive(jnp.abs(smallest) + jnp.abs(margin))
        return jnp.where(jnp.isfinite(share), share, -1).astype(first.dtype)

    def going(at):
        return (at.tried < rounds) & (at.low < most) & ~(at.high <= at.low * (1 + TOLERANCE))

    def step(at):
        distance, smallest, margins, state = evaluate(at.radius, at.state)
        distance = jnp.where(distance >= 0, distance, 0)  # NaN certifies nothing
        inside = distance >= at.radius
        certified = jnp.minimum(distance, at.radius)
        best = jnp.where(certified > at.low, margins, at.margins)
        low = jnp.maximum(at.low, certified)
        high = jnp.where(inside, at.high, jnp.minimum(at.high, at.radius))
        here = jnp.stack([at.radius, bounded(smallest)])
        # A side that stays for the second time counts for half.
        stays = jnp.where(inside == at.inside, 0.5, 1).astype(here.dtype)
        weak = jnp.stack([jnp.ones_like(stays), stays])
        left = jnp.where(inside, here, at.left * weak)
        right = jnp.where(inside, at.right * weak, here)
        chord = left[0] + (right[0] - left[0]) * left[1] / (left[1] - right[1])
        # Just below, so that what is tried last is certified.
        chord = chord * (1 - TOLERANCE / 2)
        good = (chord > low) & (chord < high)
        middle = jnp.where(low > 0, (low + high) / 2, high / 8)
        grown = jnp.minimum(jnp.maximum(distance, 1.25 * at.radius), 4 * at.radius)
        following = jnp.where(high < jnp.inf, jnp.where(good, chord, middle), grown)
        following = jnp.minimum(following, most)
        return _Tried(at.tried + 1, low, high, following, left, right, inside, state, best)

    dtype = first.dtype
    zero, inf = jnp.zeros((), dtype), jnp.full((), jnp.inf, dtype)
    margins = jax.eval_shape(evaluate, first, state)[2]
    start = _Tried(
        tried=jnp.zeros((), jnp.int32),
        low=zero,
        high=inf,
        radius=first,
        left=jnp.stack([zero, bounded(margin)]),
        right=jnp.stack([inf, -inf]),
        inside=jnp.ones((), bool),
        state=state,
        margins=jnp.full(margins.shape, -jnp.inf, margins.dtype),
    )
    last = jax.lax.while_loop(going, step, loop_init(start, first + most + margin))
    return last.low, last.margins, last.tried, last.state
