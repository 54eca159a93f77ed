"""Bounds of every step of a network on a domain: intervals, and linear ones by substitution.

Substitution (CROWN) goes backwards: a linear function of a layer is bounded below by one of the
layer before, each activation replaced by a line below it where its coefficient is positive and by
one above it where it is negative, until it is a linear function of the input, whose minimum over
the domain is known.

References
----------
Zhang et al. (2018), "Efficient neural network robustness certification with general activation
functions", arXiv:1811.00866. Xu et al. (2020), arXiv:2002.12920.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import isinf
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..batching import in_chunks
from ..norms import norm
from ._ascend import LENGTH, Ascent, ascend, resume
from ._domain import Domain, least, spread
from ._graph import Node, values
from ._lipschitz import gains, reach
from ._pieces import (
    Lines,
    Pieces,
    Supports,
    chords,
    least as least_of_pieces,
    lines,
    supporting,
    supports,
)

AT_ONCE = 2**20  # numbers of one step, in all rows that are substituted at once
KEPT = 2**26  # numbers of all matrices that are computed once, for all inputs and radii
_FIRST_WEIGHT = -1.0  # logarithm of the weight that a ball starts with, in its natural units


class Linear(NamedTuple):
    """<slope, δ> + constant: a lower bound of something, δ being the displacement of the input."""

    slope: Float[Array, " d"]
    constant: Float[Array, ""]  # rounding is taken off already


class Ball(NamedTuple):
    """What an activation is applied to lies in an l2 ball, beside its interval."""

    center: Array
    radius: Array  # a scalar


class Relaxation(NamedTuple):
    """What is known of a network on a domain; local to one trace.

    By step, where it is of use.
    """

    sizes: list[Array]  # the sum of the sizes of all terms of a value: what rounding is measured by
    pieces: dict[int, Pieces]  # of elementwise steps
    lines: dict[int, Lines]
    balls: dict[int, Ball]  # of what elementwise steps are applied to
    products: dict[int, tuple[Array, Array, Array, Array]]  # middles and half widths of factors


class Choice(NamedTuple):
    """How one elementwise step f is bounded: c f(x) ≥ g x + offset, whatever is chosen.

    With g = c slope + shift and λ = exp(log_weight) ‖c‖/ρ the offset is, of the interval and of the
    ball of radius ρ, −λρ²/2 + Σ min (c f(x) − g x + λ (x − center)²/2). It is concave in (c, g, λ):
    these are multipliers of a dual problem.
    """

    slope: Array
    log_weight: Array  # a scalar; -inf for the interval alone
    shift: Array | None = None  # where c vanishes and g shall not


class Matrix(NamedTuple):
    """An affine step, row by row: all of its entries in terms of its parents."""

    parts: tuple[Array, ...]  # for each parent: entries, then its shape
    start: Float[Array, " n"]  # where all parents are 0


class Known(NamedTuple):
    """What does not depend on the radius."""

    nodes: list[Node]
    center: list[Array]  # values at the input
    rows: dict[int, Linear]  # steps that are affine in the input, exactly
    terms: dict[int, int]  # how many roundings the slopes of these have, at most
    matrices: dict[int, Matrix]  # of other affine steps whose range has to be known
    gains: list[tuple[Array, ...]]  # of affine steps, for each parent: at least its l2 norm


def fixed(nodes: Sequence[Node], x: Array) -> Known:
    """The values at an input, and the affine functions of it that activations are applied to."""
    nodes = list(nodes)
    center = values(nodes, x)
    affine = {0}
    for at, node in enumerate(nodes):
        if node.kind == "affine" and affine.issuperset(node.parents):
            affine.add(at)
    sizes: list[Array] = []
    for at, node in enumerate(nodes):
        inputs = [sizes[parent] for parent in node.parents]
        known = at in affine and node.parents
        sizes.append(node.magnitude(*inputs) if known else jnp.abs(center[at]))
    exact = Relaxation(sizes, {}, {}, {}, {})
    rows, matrices, room = {}, {}, KEPT
    for at in sorted(_activated(nodes)):
        node = nodes[at]
        needed = node.size * (x.size if at in affine else _width(nodes, at))
        if needed > room or not (at in affine or node.kind == "affine"):
            continue
        room -= needed
        if at in affine:
            rows[at] = every_row(nodes, exact, at, center[0])
        else:
            matrices[at] = _matrix(nodes, at)
    terms = {at: sum(nodes[p].terms + 8 for p in affine if p <= at) for at in rows}
    return Known(nodes, center, rows, terms, matrices, gains(nodes))


def _width(nodes: Sequence[Node], at: int) -> int:
    """The most numbers that a step, or one that it rests on, has."""
    return max(node.size for node in nodes[: at + 1])


def _matrix(nodes: Sequence[Node], at: int) -> Matrix:
    node = nodes[at]
    zeros = [jnp.zeros(nodes[p].shape, nodes[p].dtype) for p in node.parents]
    start, pullback = jax.vjp(node.apply, *zeros)
    one = lambda entry: pullback(unit_of(node, entry, start.dtype))
    return Matrix(in_chunks(one, jnp.arange(node.size), _chunk(nodes, at)), start.ravel())


def unit_of(node: Node, entry: Array, dtype: Any) -> Array:
    """1 at one entry of a step."""
    return (jnp.arange(node.size) == entry).astype(dtype).reshape(node.shape)


def _even(count: int, most: int) -> int | None:
    """The size of the fewest chunks of at most so many; None where one is enough."""
    return None if count <= most else -(-count // -(-count // most))


def _chunk(nodes: Sequence[Node], at: int) -> int | None:
    """Of how many entries of a step rows are substituted at once; None for all."""
    most = max(1, AT_ONCE // _width(nodes, at))
    return _even(nodes[at].size, most)


def _activated(nodes: Sequence[Node]) -> set[int]:
    """Steps whose range has to be known: what activations and products are of."""
    return {p for node in nodes if node.kind in ("scalar", "product") for p in node.parents}


def every_row(
    nodes: Sequence[Node],
    relaxed: Relaxation,
    at: int,
    x: Array,
    matrix: Matrix | None = None,
    then: Callable[[Linear], PyTree] = lambda row: row,
) -> PyTree:
    """A lower bound of each entry of a step, and of its negative: leading axis 2, then entries.

    Parameters
    ----------
    nodes, relaxed, at, x
        As of `substitute`.
    matrix
        Of the step, where it is known: the first step back is made already.
    then
        What is wanted of each bound. Of wide steps not all of them exist at the same time.
    """
    node, eps = nodes[at], jnp.finfo(x.dtype).eps

    def one(sign, given):
        entry, size, known = given
        if known is None:
            seed = sign * unit_of(node, entry, x.dtype)
            return then(substitute(nodes, relaxed, at, seed, x))
        coefficients: dict[int, Array] = {}
        pass_on(coefficients, node, [sign * part for part in known.parts])
        lost = eps * node.roundings * size
        return then(to_input(nodes, relaxed, coefficients, x, sign * known.start, lost))

    given = jnp.arange(node.size), relaxed.sizes[at].ravel(), matrix
    every = lambda sign: in_chunks(partial(one, sign), given, _chunk(nodes, at))
    return jax.vmap(every)(jnp.array([1, -1], x.dtype))


def every_row_ascended(
    nodes: Sequence[Node],
    relaxed: Relaxation,
    at: int,
    x: Array,
    domain: Domain,
    before: Ascent | None,
    steps: int,
) -> tuple[Linear, Ascent]:
    """`every_row` with the best choices that are found for each, and where to go on from."""
    node = nodes[at]

    def one(sign, given):
        entry, before = given
        seed = sign * unit_of(node, entry, x.dtype)
        return best_linear(nodes, relaxed, at, seed, x, domain, before, steps)

    def every(sign, before):
        given = jnp.arange(node.size), before
        return in_chunks(partial(one, sign), given, _chunk(nodes, at))

    return jax.vmap(every)(jnp.array([1, -1], x.dtype), before)


def best_linear(
    nodes: Sequence[Node],
    relaxed: Relaxation,
    at: int,
    seed: Array,
    x: Array,
    domain: Domain,
    before: Ascent | None,
    steps: int,
) -> tuple[Linear, Ascent]:
    """The best of `substitute`: with the closest lines, and with choices that are improved.

    Parameters
    ----------
    nodes, relaxed, at, seed, x
        As of `substitute`.
    domain
        The bound that is largest there is the best.
    before
        The ascent of choices to go on from, perhaps on another domain; none, or one without steps,
        for the closest lines.
    steps
        Of ascent.

    Returns
    -------
    linear, ascent
        The bound, and from where to go on.
    """
    row = lambda given: substitute(nodes, relaxed, at, seed, x, given)
    ascent = resume(before, weighted(nodes, relaxed, at, seed, domain))
    plain = row(None)
    if not isinf(domain.ord):
        return improved(row, domain, ascent, steps, plain)

    # Boxes are all: a line that does not support the function is beaten, on the whole interval, by
    # one that does.
    ends = {place: supports(relaxed.pieces[place]) for place in ascent.here}

    def supported(given):
        choose = lambda place, choice, c: choice._replace(
            slope=supporting(ends[place], c, choice.slope)
        )
        return row({place: partial(choose, place, choice) for place, choice in given.items()})

    project = partial(_within_supports, ends)
    return improved(supported, domain, ascent, steps, plain, project=project)


def improved(
    row: Callable[[PyTree], Linear],
    domain: Domain,
    ascent: Ascent,
    steps: int,
    plain: Linear,
    lengths: PyTree = LENGTH,
    project: Callable[[PyTree], PyTree] = lambda here: here,
) -> tuple[Linear, Ascent]:
    """The better of a bound, and of one whose multipliers are improved; and where to go on from."""

    def value(given):
        made = row(given)
        return lowest(domain, made), made

    known = lowest(domain, plain), plain
    (_, best), ascent = ascend(value, ascent, steps, known, lengths, project)
    return best, ascent


def lowest(domain: Domain, row: Linear) -> Array:
    """The least value of a linear bound on a domain."""
    return row.constant + least(domain, row.slope)


def _every_lowest(domain: Domain, rows: Linear) -> Array:
    """The least value of each of the rows of `every_row`."""
    chunk = _even(rows.constant.shape[1], max(1, AT_ONCE // domain.x.size))
    return jax.vmap(lambda part: in_chunks(partial(lowest, domain), part, chunk))(rows)


def weighted(
    nodes: Sequence[Node], relaxed: Relaxation, at: int, seed: Array, domain: Domain
) -> dict[int, Choice]:
    """The closest lines, and a weight for each ball, but in l∞, where boxes are all."""
    first = -jnp.inf if isinf(domain.ord) else _FIRST_WEIGHT
    return {
        place: choice._replace(log_weight=jnp.full_like(choice.log_weight, first))
        for place, choice in closest(nodes, relaxed, at, seed).items()
    }


def substitute(
    nodes: Sequence[Node],
    relaxed: Relaxation,
    at: int,
    seed: Array,
    x: Array,
    choices: Mapping[int, Choice | Callable[[Array], Choice]] | None = None,
) -> Linear:
    """A linear lower bound of <seed, value of a step>.

    Parameters
    ----------
    nodes, relaxed
        The network, and what is known of the steps before this one.
    at
        The step.
    seed
        Coefficients, in its shape.
    x
        The input that displacements are from.
    choices
        By step, or made of the step's coefficient; None for the lines that are closest.
    """
    zero = jnp.zeros((), x.dtype)
    return to_input(nodes, relaxed, {at: seed}, x, zero, zero, choices)


def to_input(
    nodes: Sequence[Node],
    relaxed: Relaxation,
    coefficients: dict[int, Array],
    x: Array,
    constant: Array,
    rounding: Array,
    choices: Mapping[int, Choice | Callable[[Array], Choice]] | None = None,
) -> Linear:
    """The sum of linear functions of several steps, and of a constant, as one of the input.

    Parameters
    ----------
    nodes, relaxed, x, choices
        As of `substitute`.
    coefficients
        By step, in its shape; used up.
    constant, rounding
        What is added, and what is taken off in the end.
    """
    eps = jnp.finfo(x.dtype).eps
    for place in range(max(coefficients), -1, -1):
        if place not in coefficients:
            continue
        c, node = coefficients.pop(place), nodes[place]
        # Sums of products of rounded numbers, in whatever order: of each, so many roundings.
        rounding += eps * node.roundings * jnp.sum(jnp.abs(c) * relaxed.sizes[place])
        if place == 0:
            constant += jnp.sum(c * x)
            slope = c.ravel()
            break
        if choices is not None and place in choices:
            choice = choices[place]
            choice = choice(c) if callable(choice) else choice
            moved, added = _through_choice(relaxed, place, c, choice)
        else:
            moved, added = _THROUGH[node.kind](node, relaxed, place, c)
        constant += added
        pass_on(coefficients, node, moved)
    else:
        slope = jnp.zeros(x.size, x.dtype)
    return Linear(slope, constant - rounding)


def pass_on(coefficients: dict[int, Array], node: Node, moved: Sequence[Array]) -> None:
    """Add what a step gives to its parents to their coefficients."""
    for parent, given in zip(node.parents, moved, strict=True):
        coefficients[parent] = coefficients[parent] + given if parent in coefficients else given


def _through_affine(node, relaxed, place, c):
    zeros = [jnp.zeros_like(relaxed.sizes[p]) for p in node.parents]
    start, pullback = jax.vjp(node.apply, *zeros)
    return pullback(c.astype(start.dtype)), jnp.sum(c * start)


def _through_scalar(node, relaxed, place, c):
    line = relaxed.lines[place]
    up = c > 0
    slope = jnp.where(up, line.low_slope, line.high_slope)
    return (c * slope,), jnp.sum(c * jnp.where(up, line.low, line.high))


def _through_choice(relaxed, place, c, choice):
    pieces, ball = relaxed.pieces[place], relaxed.balls[place]
    slope = c * choice.slope
    if choice.shift is not None:
        slope = slope + choice.shift
    # An infinite ball says nothing, and has no weight.
    useful = (ball.radius > 0) & (ball.radius < jnp.inf)
    radius = jnp.where(useful, ball.radius, 1)
    weight = jnp.where(useful, jnp.exp(choice.log_weight) * norm(c) / radius, 0)
    added = jnp.sum(least_of_pieces(pieces, c, slope, weight, ball.center))
    added -= weight * radius**2 / 2
    return (slope,), added


def _within_supports(ends: Mapping[int, Supports], choices: dict[int, Choice]) -> dict[int, Choice]:
    """The nearest choices whose slopes may support the function, on one side or the other."""

    def nearest(place, choice):
        slopes = jnp.stack(jax.tree.leaves(ends[place]))
        slope = jnp.clip(choice.slope, jnp.min(slopes, axis=0), jnp.max(slopes, axis=0))
        return choice._replace(slope=slope)

    return {place: nearest(place, choice) for place, choice in choices.items()}


def closest(nodes: Sequence[Node], relaxed: Relaxation, at: int, seed: Array) -> dict[int, Choice]:
    """The choices that `substitute` makes where it is given none, which use no balls."""
    made: dict[int, Choice] = {}
    coefficients = {at: seed}
    for place in range(at, 0, -1):
        if place not in coefficients:
            continue
        c, node = coefficients.pop(place), nodes[place]
        if node.kind == "scalar":
            line = relaxed.lines[place]
            slope = jnp.where(c > 0, line.low_slope, line.high_slope)
            none = jnp.full((), -jnp.inf, c.dtype)
            made[place] = Choice(slope, none)
        moved, _ = _THROUGH[node.kind](node, relaxed, place, c)
        pass_on(coefficients, node, moved)
    return made


def _through_product(node, relaxed, place, c):
    """(a − a_0)(b − b_0), a_0 and b_0 the middles, is at most the product of half the widths."""
    a, b, wide_a, wide_b = relaxed.products[place]
    middle, pullback = jax.vjp(node.apply, a, b)
    rest = jnp.sum(jnp.abs(c) * node.apply(wide_a, wide_b))
    return pullback(c), -jnp.sum(c * middle) - rest


_THROUGH: dict[str, Callable] = {
    "affine": _through_affine,
    "scalar": _through_scalar,
    "product": _through_product,
}


def relax(
    known: Known,
    domain: Domain,
    *,
    substituted: bool = True,
    hidden: Mapping[int, Ascent] | None = None,
    steps: int | None = None,
) -> tuple[Relaxation, dict[int, Ascent]]:
    """Everything that is needed to bound the outputs on a domain.

    Parameters
    ----------
    known
        From `fixed`.
    domain
        Around the same input.
    substituted
        Bound what activations are applied to by substitution too, not by intervals alone: tight,
        at the cost of a pass for each of them.
    hidden
        The ascents of choices for these to go on from, by step; None to begin.
    steps
        Of ascent; None for the closest lines, of which nothing goes on.

    Returns
    -------
    relaxed
        What is known.
    hidden
        Where to go on from, with two leading axes: lower and upper bounds, entries.
    """
    nodes, x = known.nodes, known.center[0]
    eps = jnp.finfo(x.dtype).eps
    made: dict[int, Ascent] = {}
    wanted = _activated(nodes)
    relaxed = Relaxation([], {}, {}, {}, {})
    ranges: list[tuple[Array, Array]] = []
    reaches: list[Array] = []  # upper bounds of the l2 distance from the value at the input
    for at, node in enumerate(nodes):
        low, high, size = _interval(node, ranges, domain, x)
        if node.kind == "scalar":
            (parent,) = node.parents
            pieces = chords(node.expr, *ranges[parent])
            low, high = pieces.low, pieces.high
            size = pieces.size + jnp.maximum(jnp.abs(low), jnp.abs(high))
            relaxed.pieces[at], relaxed.lines[at] = pieces, lines(pieces)
            relaxed.balls[at] = Ball(known.center[parent], reaches[parent])
        if node.kind == "product":
            relaxed.products[at] = _middles(node, ranges)
        relaxed.sizes.append(size)
        if at in wanted and at > 0 and (substituted or at in known.rows):
            rows = known.rows.get(at)
            if rows is None and steps is not None:
                before = None if hidden is None else hidden[at]
                rows, made[at] = every_row_ascended(nodes, relaxed, at, x, domain, before, steps)
            bound = (
                every_row(nodes, relaxed, at, x, known.matrices.get(at), partial(lowest, domain))
                if rows is None
                else _every_lowest(domain, rows)
            )
            bound = bound.reshape(2, *node.shape)
            # Slopes that were found without a domain were rounded as if there were none.
            bound = bound - eps * known.terms.get(at, 0) * size[None]
            low, high = jnp.maximum(low, bound[0]), jnp.minimum(high, -bound[1])
            # Two sound bounds may miss each other by rounding alone.
            high = jnp.maximum(low, high)
        ranges.append((low, high))
        inside = jnp.sqrt(
            jnp.sum(jnp.maximum(high - known.center[at], known.center[at] - low) ** 2)
        )
        inside = inside * (1 + (node.size + 8) * eps)
        # From the value as it was computed, whose rounding adds to what a step is moved by.
        moved = reach(known, relaxed.pieces, domain, reaches, at)
        if node.kind == "scalar":
            moved = moved + 2 * norm(relaxed.pieces[at].rounding)
        else:
            moved = moved + (node.terms + 8) * eps / 2 * (norm(size) if at else 0)
        reaches.append(jnp.minimum(inside, moved))
    return relaxed, made


def _interval(node, ranges, domain, x):
    """Lowest and highest values by interval arithmetic, and the sizes of their terms."""
    if node.kind == "input":
        low, high = (x + end.reshape(x.shape) for end in spread(domain))
        size = jnp.maximum(jnp.abs(low), jnp.abs(high))
        lost = 2 * jnp.finfo(x.dtype).eps * size  # of these sums, and of how far the box is
        return low - lost, high + lost, size + lost
    if node.kind == "scalar":
        return None, None, None  # its chords know
    inner = [ranges[p] for p in node.parents]
    sizes = [jnp.maximum(jnp.abs(low), jnp.abs(high)) for low, high in inner]
    size = node.magnitude(*sizes)
    middles = [(low + high) / 2 for low, high in inner]
    widths = [(high - low) / 2 for low, high in inner]
    middle = node.apply(*middles)
    if node.kind == "product":
        a, b = (jnp.abs(m) for m in middles)
        wide = node.apply(a, widths[1]) + node.apply(widths[0], b) + node.apply(*widths)
    else:
        zeros = [jnp.zeros_like(width) for width in widths]
        wide = node.magnitude(*widths) - node.magnitude(*zeros)
    wide = wide + (node.terms + 8) * jnp.finfo(x.dtype).eps * size
    return middle - wide, middle + wide, size


def _middles(node, ranges):
    (low_a, high_a), (low_b, high_b) = (ranges[p] for p in node.parents)
    a, b = (low_a + high_a) / 2, (low_b + high_b) / 2
    eps = 4 * jnp.finfo(a.dtype).eps
    wide_a = (high_a - low_a) / 2 + eps * jnp.maximum(jnp.abs(low_a), jnp.abs(high_a))
    wide_b = (high_b - low_b) / 2 + eps * jnp.maximum(jnp.abs(low_b), jnp.abs(high_b))
    return a, b, wide_a, wide_b
