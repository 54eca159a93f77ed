"""A certified radius by Shor's relaxation, of those classes that stand in its way."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._problem import Problem
from ..norms import loop_init
from ._bounds import Known, Linear
from ._domain import Domain
from ._methods import Budget
from ._outputs import boundary, margins_on, outputs, seeds_of, unbegun
from ._result import wanted
from ._shor import Link, best_quadratic

AT_ONCE = 3  # classes whose bounds are ascended at one radius
TOWARDS = 0.4  # of the way from a radius to where the bound on its ball vanishes


class _Reached(NamedTuple):
    """By class."""

    radius: Float[Array, " k"]  # certified
    rows: Linear  # its bound, which holds on the ball of that radius
    aim: Float[Array, " k"]  # the radius to try; inf where none was tried


def by_classes(
    problem: Problem,
    known: Known,
    room: tuple[Array, Array] | None,
    links: Sequence[Link],
    budget: Budget,
    first: Float[Array, ""],
    most: Float[Array, ""],
) -> tuple[Array, Array, Array]:
    """The certified radius, the margins there, and how many radii were tried.

    A bound on a ball of radius r that vanishes at a distance d certifies the smaller of the two. As
    r grows d falls, once to a few times as fast; so a part of the way from r to d is the radius to
    try for that class, and the smallest of these the one that all classes need. Each round tries
    it, and ascends the bounds of those classes that have got least far. What was certified of a
    class at one radius holds at all others.

    Parameters
    ----------
    problem
        From `pose`.
    known, room
        From `prepare`.
    links
        From `chain`.
    budget
        What is spent.
    first, most
        The first radius to try, and the largest.
    """
    seeds, asked = seeds_of(problem), wanted(problem)
    count = min(AT_ONCE, problem.num_classes - 1)
    zeros = jnp.zeros(problem.num_classes, first.dtype)
    nothing = Linear(
        jnp.zeros((problem.num_classes, problem.x.size), first.dtype),
        jnp.where(seeds.any(axis=1), -jnp.inf, zeros),
    )
    start = _Reached(zeros, nothing, zeros + jnp.inf)
    of_asked = lambda values: jnp.where(asked, values, jnp.inf)

    def linear(radius, budget, choices):
        within = Domain(known.center[0], radius, problem.ord, room)
        return within, *outputs(known, within, seeds, budget, choices)

    def ascended(within, relaxed, budget, seed, row, before):
        return best_quadratic(
            known, links, relaxed, within, seed, row, before, budget.quadratic_steps
        )

    def noted(reached, within, rows):
        far = jax.vmap(lambda row: boundary(within, row)[1])(rows)
        far = jnp.where(far >= 0, far, 0)  # NaN certifies nothing
        radius = jnp.minimum(far, within.radius)
        better = radius > reached.radius
        keep = lambda up, new, old: jax.tree.map(functools.partial(jnp.where, up), new, old)
        rows, radius = jax.vmap(keep)(better, (rows, radius), (reached.rows, reached.radius))
        aim = jnp.minimum(within.radius + TOWARDS * (far - within.radius), 4 * within.radius)
        aim = jnp.where(far > 0, aim, within.radius / 4)
        # What is certified already is not tried again, whatever came of this radius.
        failed = within.radius > radius
        middle = jnp.where(failed, (radius + within.radius) / 2, 1.25 * radius)
        return _Reached(radius, rows, reached.aim), jnp.where(aim > radius, aim, middle)

    def step(_, carry):
        reached, choices, multipliers = carry
        aim = jnp.min(of_asked(reached.aim))
        aim = jnp.where(aim < jnp.inf, aim, first)
        within, rows, relaxed, choices = linear(jnp.minimum(aim, most), budget, choices)
        reached, _ = noted(reached, within, rows)
        last = jax.lax.top_k(-of_asked(reached.radius), count)[1]
        pick = lambda tree: jax.tree.map(lambda leaf: leaf[last], tree)
        put = lambda tree, new: jax.tree.map(lambda leaf, own: leaf.at[last].set(own), tree, new)
        one = functools.partial(ascended, within, relaxed, budget)
        made, after = jax.vmap(one)(seeds[last], pick(rows), pick(multipliers))
        new, aim = noted(pick(reached), within, made)
        return put(reached, new._replace(aim=aim)), choices, put(multipliers, after)

    def fresh():
        none = unbegun(budget)
        within, rows, relaxed, choices = linear(first, none, None)
        one = lambda seed, row: ascended(within, relaxed, none, seed, row, None)
        return choices, jax.vmap(one)(seeds, rows)[1]

    # Nothing has made steps yet.
    none = jax.tree.map(jnp.zeros_like, jax.eval_shape(fresh))
    carry = loop_init((start, *none), first)
    reached, *_ = jax.lax.fori_loop(0, budget.rounds, step, carry)
    radius = jnp.min(of_asked(reached.radius))
    # Of the others it may be unknown what they do on that ball.
    unknown = seeds.any(axis=1) & (reached.radius < radius)
    within = Domain(known.center[0], radius, problem.ord, room)
    margins = jnp.where(unknown, -jnp.inf, margins_on(within, reached.rows))
    return radius, margins, jnp.full((), budget.rounds, jnp.int32)
