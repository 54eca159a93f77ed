"""A larger certified radius, by Shor's relaxation of the classes that stand in its way."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from .._problem import Problem
from ..norms import loop_init
from ._bounds import Known, lowest
from ._domain import Domain
from ._methods import Budget
from ._outputs import distance, outputs, seeds_of
from ._result import wanted
from ._shor import Link, best_quadratic

AT_ONCE = 3  # classes whose bounds are ascended at one radius
FARTHER = 1.5  # the first radius, over the one that is certified already


class _Reached(NamedTuple):
    """By class."""

    radius: Float[Array, " k"]  # certified
    margin: Float[Array, " k"]  # the least value of its bound on the ball of that radius
    aim: Float[Array, " k"]  # about the radius that could be; inf where none was tried


def raised(
    problem: Problem,
    known: Known,
    links: Sequence[Link],
    domain: Domain,
    budget: Budget,
    margins: Float[Array, " k"],
    choices: PyTree,
    most: Float[Array, ""],
) -> tuple[Array, Array]:
    """The certified radius of all classes, and the margins there.

    A bound on a ball of radius r that vanishes at a distance d certifies the smaller of the two.
    Since d falls about as fast as r grows, half their sum is near the largest radius that this
    class can be certified for, and the smallest of these is what all classes need. Each round tries
    that one, and ascends the bounds of those classes that have got least far.

    Parameters
    ----------
    problem
        From `pose`.
    known, links
        From `fixed` and `chain`.
    domain
        On whose ball the answer is certified already.
    budget
        What is spent.
    margins
        The margins there.
    choices
        Those of the linear bounds, to go on from.
    most
        The largest radius to try.
    """
    seeds, asked = seeds_of(problem), wanted(problem)
    count = min(AT_ONCE, problem.num_classes - 1)
    start = _Reached(
        jnp.broadcast_to(domain.radius, margins.shape), margins, jnp.full_like(margins, jnp.inf)
    )
    of_asked = lambda values: jnp.where(asked, values, jnp.inf)

    def linear(radius, choices):
        within = domain._replace(radius=radius)
        return within, *outputs(known, within, seeds, budget, choices)

    def ascended(within, relaxed, seed, row, before):
        return best_quadratic(
            known, links, relaxed, within, seed, row, before, budget.quadratic_steps
        )

    def noted(reached, within, rows):
        far = jax.vmap(lambda row: distance(within, row))(rows)
        far = jnp.where(far >= 0, far, 0)  # NaN certifies nothing
        radius = jnp.minimum(far, within.radius)
        margin = jax.vmap(lambda row, own: lowest(within._replace(radius=own), row))(rows, radius)
        better = radius > reached.radius
        keep = lambda new, old: jnp.where(better, new, old)
        new = _Reached(keep(radius, reached.radius), keep(margin, reached.margin), reached.aim)
        return new, (within.radius + far) / 2

    def step(_, carry):
        reached, choices, multipliers = carry
        aim = jnp.min(of_asked(reached.aim))
        aim = jnp.where(aim < jnp.inf, aim, FARTHER * domain.radius)
        within, rows, relaxed, choices = linear(jnp.minimum(aim, most), choices)
        reached, _ = noted(reached, within, rows)
        last = jax.lax.top_k(-of_asked(reached.radius), count)[1]
        pick = lambda tree: jax.tree.map(lambda leaf: leaf[last], tree)
        put = lambda tree, new: jax.tree.map(lambda leaf, own: leaf.at[last].set(own), tree, new)
        one = functools.partial(ascended, within, relaxed)
        made, after = jax.vmap(one)(seeds[last], pick(rows), pick(multipliers))
        new, aim = noted(pick(reached), within, made)
        return put(reached, new._replace(aim=aim)), choices, put(multipliers, after)

    def first():
        within, rows, relaxed, _ = linear(domain.radius, choices)
        one = lambda seed, row: ascended(within, relaxed, seed, row, None)
        return jax.vmap(one)(seeds, rows)[1]

    shapes = jax.eval_shape(first)
    none = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)  # no steps yet
    carry = loop_init((start, choices, none), domain.radius)
    reached, *_ = jax.lax.fori_loop(0, budget.quadratic_rounds, step, carry)
    radius = jnp.min(of_asked(reached.radius))
    # Of the others it may be unknown what they do on that ball.
    unknown = seeds.any(axis=1) & (reached.radius < radius)
    return radius, jnp.where(unknown, -jnp.inf, reached.margin)
