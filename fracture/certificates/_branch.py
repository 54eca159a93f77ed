"""The smallest perturbation itself, by branch and bound on the signs of activations.

The domain is taken apart: in each part, what an activation is applied to lies on one side of its
kink, for some activations. On a part any multipliers give a linear function that is at most the
margin (a step's interval, cut at the kink, is all that `substitute` has to know: the multipliers
are those of β-CROWN), so no adversarial point of the part is nearer than the half-space where that
function is not positive. The part of the smallest bound is split, over and over, until the
smallest bound meets the smallest perturbation that is known.

References
----------
Wang et al. (2021), "Beta-CROWN", arXiv:2103.06624. Bunel et al. (2020), "Branch and bound for
piecewise linear neural network verification", arXiv:1909.06588.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, jaxpr_as_fun
from jaxtyping import Array, Bool, Float, Int

from .._problem import Problem
from ..norms import dual_order, loop_init, norm, positive
from ._ascend import LENGTH, ascend, begin
from ._bounds import (
    Choice,
    Known,
    Relaxation,
    closest,
    every_row,
    lowest,
    relax,
    substitute,
    to_input,
    unit_of,
)
from ._domain import Domain
from ._graph import Node
from ._outputs import boundary
from ._pieces import Pieces, chords, lines, rises, supporting, supports
from ._polyhedron import nearest_point
from ._scalar import evaluate, kinks

_FIRST_WEIGHT = 0.3  # of a ball, in its natural units
_FIRST_SHARE = -1.2  # logarithm of how much of a margin is added to an entry, in its units
_SHARE_LENGTH = 0.3  # of the first step of that
_TOGETHER = 64  # entries that are bounded at once where margins are not positive


MOST_ENTRIES = 256  # of an input for which parts without kinks are solved exactly

INSIDE = 2e-6  # of the radius: how far from its ends the nearest point of a part is looked for


class Effort(NamedTuple):
    """What is spent."""

    rounds: int  # each splits `batch` parts
    batch: int
    pool: int  # parts that are remembered at most
    steps: int  # of ascent, for each part
    first_steps: int  # for the ranges of hidden layers on the whole domain
    confined_steps: int  # for those at its adversarial points, where leaves are not exact
    narrow: bool  # bound hidden layers anew in each part
    tolerance: (
        float  # relative: a part whose bound is as close to the smallest perturbation is done
    )


EFFORTS = {
    "low": Effort(20, 16, 512, 15, 0, 0, True, 5e-5),
    "medium": Effort(100, 16, 2048, 15, 20, 6, True, 5e-5),
    "high": Effort(400, 64, 8192, 15, 40, 12, True, 5e-5),
}


class Branched(NamedTuple):
    """What branch and bound knows in the end.

    Attributes
    ----------
    radius
        No perturbation is smaller, in exact arithmetic of the network as it is.
    norm, delta
        The smallest perturbation that was found on the way, verified; inf and 0 where there is
        none that is smaller than the one that was given.
    num_parts
        Parts that were bounded.
    closed
        No part is left whose bound is below the smallest perturbation, within the tolerance.
    """

    radius: Float[Array, ""]
    norm: Float[Array, ""]
    delta: Float[Array, " d"]
    num_parts: Int[Array, ""]
    closed: Bool[Array, ""]


class _Part(NamedTuple):
    """Points at which what activations are applied to lies in intervals; a batch has an axis."""

    alive: Array
    bound: Array  # no point of it gets the other class's answer nearer
    rival: Array  # that class
    low: Array  # of everything that an activation is applied to, one vector
    high: Array
    free: tuple[dict[int, Choice], Array]  # multipliers, and the logarithm of that of the margin
    split: Array  # which entry is best cut
    cut: Array  # where


def branch(
    problem: Problem,
    known: Known,
    room: tuple[Array, Array] | None,
    seeds: Float[Array, "k k"],
    wanted: Bool[Array, " k"],
    most: Float[Array, ""],
    effort: Effort,
    *,
    decide: bool = False,
    more: Callable[[Int[Array, ""]], Bool[Array, ""]] = lambda count: jnp.ones((), bool),
) -> Branched:
    """The largest radius, `most` at the most, within which there is no adversarial point.

    Parameters
    ----------
    problem, known, room
        From `prepare`.
    seeds, wanted
        Coefficients of the margins, and of which.
    most
        The norm of a perturbation that is known, or any radius that is asked about; finite.
    effort
        What is spent.
    decide
        Stop at the first perturbation that is found within `most`.
    more
        Whether to make another round, of how many were made; it may look at a clock by
        `jax.pure_callback`.

    Notes
    -----
    `vmap` runs one input after the other: in lockstep each would wait for the slowest, and solve
    what is only to be solved in a few parts in all of them.
    """
    run = lambda: _branch(problem, known, room, seeds, wanted, most, effort, decide, more)
    closed, shape = jax.make_jaxpr(run, return_shape=True)()
    one = jax.custom_batching.sequential_vmap(
        lambda consts: jaxpr_as_fun(ClosedJaxpr(closed.jaxpr, consts))()
    )
    return jax.tree.unflatten(jax.tree.structure(shape), one(closed.consts))


def _branch(
    problem: Problem,
    known: Known,
    room: tuple[Array, Array] | None,
    seeds: Array,
    wanted: Array,
    most: Array,
    effort: Effort,
    decide: bool,
    more: Callable[[Array], Array],
) -> Branched:
    nodes, x = known.nodes, known.center[0]
    last, dtype = len(nodes) - 1, problem.center.dtype
    domain = Domain(x, most, problem.ord, room)
    relaxed, _ = relax(known, domain, steps=effort.first_steps or None)
    places = [at for at, node in enumerate(nodes) if node.kind == "scalar"]
    root = _flat(places, {at: _ends(relaxed, at) for at in places})
    slack = 0 if decide else effort.tolerance
    pieced = all(kinks(nodes[at].expr)[1] is not None for at in places)
    affine = all(node.kind != "product" for node in nodes)
    exact = pieced and affine and problem.ord in (2, jnp.inf) and x.size <= MOST_ENTRIES
    width = max(effort.batch, -(-len(seeds) // 2))

    def first(seed):
        choices = closest(nodes, relaxed, last, seed)
        weight = 0.0 if problem.ord == jnp.inf else _FIRST_WEIGHT
        choices = {
            at: Choice(c.slope, jnp.full_like(c.log_weight, weight), jnp.zeros_like(c.slope))
            for at, c in choices.items()
        }
        units = {}

        def measured(at):
            def of(c):
                units[at] = positive(jnp.max(jnp.abs(c)))
                return choices[at]._replace(log_weight=jnp.full((), -jnp.inf, dtype))

            return of

        substitute(nodes, relaxed, last, seed, x, {at: measured(at) for at in choices})
        return choices, units

    choices, units = jax.vmap(first)(seeds)
    slopes = {at: rises(relaxed.pieces[at]) for at in choices}
    inf = jnp.full((), jnp.inf, dtype)
    roots = jax.tree.map(lambda v: jnp.broadcast_to(v, (len(seeds), *v.shape)), root)
    floor = inf  # what parts that are done leave behind
    # Leaves that are solved exactly rest on kinks alone: of other ranges it is known that they hold
    # in the whole domain.
    if effort.confined_steps and not exact:

        def confined(given):
            seed, asked = given
            steps = effort.confined_steps
            bound = lambda here, at: _where_adversarial(known, here, domain, at, seed, steps)
            run = lambda: _tightened(nodes, relaxed, places, root, bound)[1:]
            return jax.lax.cond(asked, run, lambda: (*root, jnp.zeros((), bool)))

        plain = jax.vmap(lambda seed: substitute(nodes, relaxed, last, seed, x))(seeds)
        near = jax.vmap(lambda row: boundary(domain, row)[1])(plain)
        done = wanted & (near >= most * (1 - slack))
        floor = _smallest(near, done)
        *roots, empty = jax.lax.map(confined, (seeds, wanted & ~done))
        wanted = wanted & ~done & ~empty

    def function(part: _Part, here: Relaxation):
        """The linear function of multipliers, and where coefficients and slopes are left."""
        unit = {at: each[part.rival] for at, each in units.items()}
        seen: dict[int, tuple[Array, Array]] = {}

        def choose(at, free):
            def of(c):
                made = _chosen(nodes[at], here.pieces[at], c, free, unit[at])
                seen[at] = c, c * made.slope + made.shift
                return made

            return of

        def row(free):
            own = seeds[part.rival] * jnp.exp(jnp.minimum(free[1], 0))
            chosen = {at: choose(at, each) for at, each in free[0].items()}
            return substitute(nodes, here, last, own, x, chosen)

        return row, unit, seen

    def within(part: _Part):
        """Where multipliers are of use; in balls, slopes are of use wherever they are."""
        low, high = _views(nodes, places, part.low), _views(nodes, places, part.high)

        def project(free):
            made = {}
            for at, choice in free[0].items():
                slope = jnp.clip(choice.slope, slopes[at].min(axis=0), slopes[at].max(axis=0))
                shift = _useful(nodes[at], low[at], high[at], choice.shift)
                made[at] = choice._replace(slope=slope, shift=shift)
            return made, free[1]

        return project if problem.ord == jnp.inf and pieced else (lambda free: free)

    def bounded(part: _Part) -> tuple[_Part, Array, Array]:
        """The part with a better bound, its nearest point, and what a split of it is worth."""
        if effort.narrow:
            here, low, high, empty = _narrowed(known, relaxed, domain, places, part)
        else:
            here, low, high, empty = _cut(nodes, relaxed, places, part)
        row, _, seen = function(part, here)

        def value(free):
            linear = row(free)
            delta, far = boundary(domain, linear)
            size = positive(norm(linear.slope, dual_order(domain.ord)))
            # By the envelope theorem only the function at the nearest point counts.
            near = (linear.constant + jnp.sum(linear.slope * jax.lax.stop_gradient(delta))) / size
            far = jnp.where(linear.constant > 0, jnp.minimum(far, 2 * most), near)
            return near + jax.lax.stop_gradient(far - near)

        nothing = jnp.full_like(most, -jnp.inf), jax.tree.map(jnp.zeros_like, part.free)
        (_, free), _ = ascend(
            lambda free: (value(free), free),
            begin(part.free),
            effort.steps + 1,
            nothing,
            project=within(part),
        )
        delta, far = boundary(domain, row(free))
        far = jnp.where(empty, jnp.inf, jnp.where(far >= 0, far, 0))
        split, cut, worth = _promising(nodes, places, seen, low, high)
        bound = jnp.maximum(part.bound, far)
        made = _Part(part.alive, bound, part.rival, low, high, free, split, cut)
        return made, delta, worth

    def polished(part: _Part) -> tuple[Array, Array]:
        """The bound of a part in which the network is affine, exactly; and its nearest point."""
        here, *_ = _cut(nodes, relaxed, places, part)
        row, unit, _ = function(part, here)
        low, high = _views(nodes, places, part.low), _views(nodes, places, part.high)
        seed = seeds[part.rival]
        slopes = {at: _slope(here.pieces[at]) for at in places}

        def affine(delta):
            """What activations are applied to, and the margin."""
            found: list[Array] = []
            inputs: list[Array] = []
            for at, node in enumerate(nodes):
                given = [found[parent] for parent in node.parents]
                if node.kind == "scalar":
                    inputs.append(given[0].ravel())
                    found.append(here.pieces[at].values[0] + slopes[at] * (given[0] - low[at]))
                else:
                    found.append(node.apply(*given) if node.parents else x + delta)
            return jnp.concatenate(inputs), jnp.sum(seed * found[-1])

        zero = jnp.zeros_like(x)
        inputs, margin = affine(zero)
        rows, grad = jax.jacfwd(affine)(zero)
        sides = [_sides(nodes[at], low[at], high[at]) for at in places]
        below, above = (jnp.concatenate([side[i].ravel() for side in sides]) for i in (0, 1))
        # Rows of norm 1, in units of the radius.
        rows = jnp.concatenate([-rows, rows, grad[None]])
        limits = jnp.concatenate([inputs - part.low, part.high - inputs, -margin[None]])
        used = jnp.concatenate([below, above, jnp.ones(1, bool)])
        sizes = positive(jax.vmap(lambda r: norm(r, dual_order(problem.ord)))(rows))
        rows = jnp.where(used[:, None], rows / sizes[:, None], 0)
        limits = jnp.where(used, limits / (sizes * most), 1)
        # Not the cube around the ball: its multipliers would be none of the bound's.
        free_room = jnp.full_like(x, -jnp.inf), jnp.full_like(x, jnp.inf)
        ends = [end / most for end in (free_room if room is None else room)]
        # A little inside, so that the point is adversarial; the multipliers are hardly different.
        delta, many = nearest_point(rows, limits - INSIDE, ends[0], ends[1], domain.ord)
        many = jnp.where(used, many / sizes, 0)
        # The margin's multiplier is 1, or the largest of the others is.
        many = many / positive(jnp.maximum(many[-1], jnp.max(many) * 1e-3))
        size = part.low.size
        shifts = _views(nodes, places, many[size : 2 * size] - many[:size])
        free = {
            at: Choice(slopes[at], jnp.zeros((), dtype), shifts[at] / unit[at]) for at in places
        }
        linear = row((free, jnp.log(positive(many[-1]))))
        _, far = boundary(domain, linear)
        far = jnp.where(far >= 0, far, 0)
        return jnp.maximum(part.bound, far), delta * most

    def attempt(delta):
        """The norm of a perturbation there or a little farther, inf if both are none."""
        farther = jnp.full_like(most, 1 + effort.tolerance / 4)
        if decide:
            farther = jnp.maximum(most * (1 - 1e-6) / positive(problem.size(delta)), 1)

        def one(scale):
            moved, point = problem.land(problem.origin + delta * scale)
            size = jnp.where(problem.read(point).crossed, problem.size(moved), jnp.inf)
            return size, moved.astype(dtype)

        sizes, moved = jax.vmap(one)(jnp.stack([jnp.ones_like(most), farther]))
        at = jnp.argmin(sizes)
        return sizes[at], moved[at]

    def going(carry):
        count, pool, pending, _, upper, *_ = carry
        left = jnp.any(pool.alive) | jnp.any(pending.alive)
        done = decide & (upper <= most)
        return (count < effort.rounds) & left & ~done & more(count)

    def step(carry):
        count, pool, pending, floor, upper, delta, parts = carry
        parts = parts + jnp.sum(pending.alive, dtype=jnp.int32)
        pending, nearest, worth = jax.vmap(bounded)(pending)
        if exact:
            goal = jnp.minimum(upper, most) * (1 - slack)
            due = pending.alive & (pending.bound < goal) & (worth <= 0)
            polish = lambda one: jax.lax.cond(one[0], polished, lambda p: (p.bound, one[2]), one[1])
            bound, nearest = jax.lax.map(polish, (due, pending, nearest))
            pending = pending._replace(bound=bound)
        sizes, moved = jax.vmap(attempt)(nearest)
        sizes = jnp.where(pending.alive, sizes, jnp.inf)
        at = jnp.argmin(sizes)
        delta = jnp.where(sizes[at] < upper, moved[at], delta)
        upper = jnp.minimum(upper, sizes[at])
        goal = jnp.minimum(upper, most) * (1 - slack)
        # Done, or out of splits: what is not kept leaves its bound behind.
        keep = pending.alive & (pending.bound < goal) & (worth > 0)
        floor = jnp.minimum(floor, _smallest(pending.bound, pending.alive & ~keep))
        open_ = pool.bound < goal
        floor = jnp.minimum(floor, _smallest(pool.bound, pool.alive & ~open_))
        pool = pool._replace(alive=pool.alive & open_)
        order = jnp.argsort(jnp.where(pool.alive, pool.bound, jnp.inf))
        taken = order[-2 * width :]
        floor = jnp.minimum(floor, _smallest(pool.bound[taken], pool.alive[taken]))
        pending = pending._replace(alive=keep)
        pool = jax.tree.map(lambda of, new: of.at[taken].set(new), pool, pending)
        # The next to be split.
        order = jnp.argsort(jnp.where(pool.alive, pool.bound, jnp.inf))[:width]
        chosen = jax.tree.map(lambda of: of[order], pool)
        pool = pool._replace(alive=pool.alive.at[order].set(False))
        pending = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), *_halves(chosen))
        return count + 1, pool, pending, floor, upper, delta, parts

    def filled(size, alive):
        rival = jnp.arange(size, dtype=jnp.int32) % len(seeds)
        return _Part(
            alive=alive,
            bound=jnp.zeros(size, dtype),
            rival=rival,
            low=roots[0][rival],
            high=roots[1][rival],
            free=(jax.tree.map(lambda v: v[rival], choices), jnp.zeros(size, dtype)),
            split=jnp.zeros(size, jnp.int32),
            cut=jnp.zeros(size, dtype),
        )

    start = jnp.zeros(2 * width, bool).at[: len(seeds)].set(wanted)
    carry = (
        jnp.zeros((), jnp.int32),
        filled(max(effort.pool, 2 * width), jnp.zeros(max(effort.pool, 2 * width), bool)),
        filled(2 * width, start),
        floor,
        inf,
        jnp.zeros(x.size, dtype),
        jnp.zeros((), jnp.int32),
    )
    carry = loop_init(carry, most + jnp.sum(x))
    _, pool, pending, floor, upper, delta, parts = jax.lax.while_loop(going, step, carry)
    left = jnp.minimum(_smallest(pool.bound, pool.alive), _smallest(pending.bound, pending.alive))
    radius = jnp.minimum(jnp.minimum(floor, left), most)
    goal = jnp.minimum(upper, most) * (1 - effort.tolerance)
    return Branched(radius, upper, delta, parts, radius >= goal)


def _smallest(bounds: Array, which: Array) -> Array:
    return jnp.min(jnp.where(which, bounds, jnp.inf))


def _ends(relaxed: Relaxation, place: int) -> tuple[Array, Array]:
    pieces = relaxed.pieces[place]
    assert pieces is not None  # of an elementwise step
    return pieces.points[0], pieces.points[-1]


def _flat(places: list[int], ends: dict[int, tuple[Array, Array]]) -> tuple[Array, Array]:
    low, high = (jnp.concatenate([ends[at][i].ravel() for at in places]) for i in (0, 1))
    return low, high


def _views(nodes, places: list[int], flat: Array) -> dict[int, Array]:
    """The entries of each elementwise step, in its shape."""
    made, start = {}, 0
    for at in places:
        made[at] = flat[start : start + nodes[at].size].reshape(nodes[at].shape)
        start += nodes[at].size
    return made


def _cut(nodes, relaxed: Relaxation, places: list[int], part: _Part):
    """What is known on a part, ranges apart from those that were cut being as before."""
    low, high = _views(nodes, places, part.low), _views(nodes, places, part.high)
    pieces = dict(relaxed.pieces)
    for at in places:
        pieces[at] = chords(nodes[at].expr, low[at], high[at])
    return relaxed._replace(pieces=pieces), part.low, part.high, jnp.zeros((), bool)


def _narrowed(known: Known, relaxed: Relaxation, domain: Domain, places: list[int], part: _Part):
    """The same, hidden layers bounded anew; and whether there is no point left."""
    nodes, x = known.nodes, known.center[0]
    bounds: dict[int, Array] = {}

    def bound(here: Relaxation, at: int) -> Array | None:
        parent = nodes[at].parents[0]
        if parent == 0 or parent in known.rows:
            return None
        if parent not in bounds:
            matrix, then = known.matrices.get(parent), partial(lowest, domain)
            bounds[parent] = every_row(nodes, here, parent, x, matrix, then)
        return bounds[parent]

    return _tightened(nodes, relaxed, places, (part.low, part.high), bound)


def _tightened(
    nodes,
    relaxed: Relaxation,
    places: list[int],
    ends: tuple[Array, Array],
    bound: Callable[[Relaxation, int], Array | None],
) -> tuple[Relaxation, Array, Array, Array]:
    """What is known once ranges were bounded anew, one step after the other; whether none is left.

    `bound` has what is known so far; of what an activation is applied to, and of its negative.
    """
    low, high = (_views(nodes, places, end) for end in ends)
    here = relaxed._replace(pieces=dict(relaxed.pieces), lines=dict(relaxed.lines))
    empty = jnp.zeros((), bool)
    for at in places:
        found = bound(here, at)
        if found is not None:
            below, above = found.reshape(2, *nodes[at].shape)
            low[at], high[at] = jnp.maximum(low[at], below), jnp.minimum(high[at], -above)
            empty |= jnp.any(low[at] > high[at])
            high[at] = jnp.maximum(low[at], high[at])
        pieces = chords(nodes[at].expr, low[at], high[at])
        here.pieces[at], here.lines[at] = pieces, lines(pieces)
    return here, *_flat(places, {at: (low[at], high[at]) for at in places}), empty


def _where_adversarial(
    known: Known, here: Relaxation, domain: Domain, at: int, seed: Array, steps: int
) -> Array:
    """Bounds of what an activation is applied to, and of its negative: leading axis 2.

    Where the margin is not positive an entry is at least itself plus any positive multiple of the
    margin; of these sums bounds go through the layers above, too.

    References
    ----------
    Kotha et al. (2023), "Provably bounding neural network preimages", arXiv:2302.01404.
    """
    nodes, x, last = known.nodes, known.center[0], len(known.nodes) - 1
    (parent,) = nodes[at].parents
    size = lambda row: norm(row.slope, dual_order(domain.ord))
    margin = positive(size(substitute(nodes, here, last, seed, x)))
    start = {place: c.slope for place, c in closest(nodes, here, last, seed).items()}
    zero = jnp.zeros((), x.dtype)

    def choose(place, slope):
        free = Choice(slope, zero, jnp.zeros_like(slope))
        return lambda c: _chosen(nodes[place], here.pieces[place], c, free, zero)

    def one(sign, entry):
        unit = sign * unit_of(nodes[parent], entry, x.dtype)
        own = substitute(nodes, here, parent, unit, x)
        most = size(own) / margin

        def value(free):
            slopes, log_share = free
            both = {last: most * jnp.exp(log_share) * seed, parent: unit}
            chosen = {place: choose(place, slope) for place, slope in slopes.items()}
            return lowest(domain, to_input(nodes, here, both, x, zero, zero, chosen)), ()

        lengths = jax.tree.map(lambda _: LENGTH, start), _SHARE_LENGTH
        first = begin((start, jnp.full_like(zero, _FIRST_SHARE)))
        (best, _), _ = ascend(value, first, steps, (lowest(domain, own), ()), lengths)
        return best

    return _every_unstable(one, here.pieces[at])


def _every_unstable(one: Callable[[Array, Array], Array], pieces: Pieces) -> Array:
    """What is asked of each entry and of its negative; -inf where activations are affine anyway."""
    affine = _is_affine(pieces).ravel()
    count, dtype = affine.size, pieces.points.dtype
    order = jnp.argsort(jnp.concatenate([affine, affine]))
    order = jnp.pad(order, (0, -2 * count % _TOGETHER), mode="edge").reshape(-1, _TOGETHER)

    def some(places):
        signs = jnp.where(places < count, 1, -1).astype(dtype)
        run = lambda _: jax.vmap(one)(signs, places % count)
        nothing = lambda _: jnp.full(_TOGETHER, -jnp.inf, dtype)
        return jax.lax.cond(jnp.all(affine[places % count]), nothing, run, None)

    found = jax.lax.map(some, order)
    return jnp.full(2 * count, -jnp.inf, dtype).at[order.ravel()].max(found.ravel())


def _chosen(node: Node, pieces: Pieces, c: Array, free: Choice, unit: Array) -> Choice:
    """What is free made the best choice of its kind, so that no ascent has to find a kink exactly.

    Without a ball's weight the best slope of a function of one kink, times c, is that of its chord
    where it is concave or linear; where it is convex, one of those in between. A shift is of use
    where the interval was cut.
    """
    weight = jnp.maximum(free.log_weight, 0)
    log_weight = jnp.log(jnp.maximum(weight, jnp.finfo(weight.dtype).tiny))
    log_weight = jnp.where(weight > 0, log_weight, -jnp.inf)
    assert free.shift is not None
    slope, shift = free.slope, free.shift * unit
    where, forms = kinks(node.expr)
    if forms is not None and len(where) == 1:
        low, _, high = pieces.points
        slope = jnp.where(weight > 0, slope, supporting(supports(pieces), c, slope))
        shift = jnp.where(weight > 0, shift, _useful(node, low, high, shift))
    return Choice(slope, log_weight, shift)


def _is_affine(pieces: Pieces) -> Array:
    """Whether all of an interval is one piece."""
    return jnp.sum(jnp.diff(pieces.points, axis=0) > 0, axis=0) <= 1


def _useful(node: Node, low: Array, high: Array, shift: Array) -> Array:
    """The part of a shift that is of use on an interval."""
    below, above = _sides(node, low, high)
    useful = jnp.where(below, jnp.minimum(shift, 0), 0)
    return jnp.where(above, jnp.maximum(shift, 0), useful)


def _slope(pieces: Pieces) -> Array:
    """Of the chord of the whole interval; of an empty one, anything."""
    width = pieces.points[-1] - pieces.points[0]
    return (pieces.values[-1] - pieces.values[0]) / jnp.where(width > 0, width, 1)


def _sides(node: Node, low: Array, high: Array) -> tuple[Array, Array]:
    """Whether an interval ends at a kink below, and above: where it was cut."""
    where, _ = kinks(node.expr)
    is_kink = lambda end: sum(
        (end == jnp.asarray(kink, end.dtype) for kink in where), jnp.zeros_like(end, bool)
    )
    return is_kink(low), is_kink(high)


def _promising(nodes, places, seen, low, high) -> tuple[Array, Array, Array]:
    """Which entry is best split, where, and what for.

    An entry is worth as much as the function of it that was bounded is above its bound at the place
    where it would be cut: of ReLU, the height of the chord over the kink.
    """
    low, high = _views(nodes, places, low), _views(nodes, places, high)
    cuts, worths = [], []
    for at in places:
        node = nodes[at]
        where, forms = kinks(node.expr)
        middle = (low[at] + high[at]) / 2
        best, off = middle, jnp.full_like(middle, jnp.inf)
        for kink in where:
            kink = jnp.broadcast_to(jnp.asarray(kink, middle.dtype), middle.shape)
            inside = (kink > low[at]) & (kink < high[at]) & (jnp.abs(kink - middle) < off)
            best = jnp.where(inside, kink, best)
            off = jnp.where(inside, jnp.abs(kink - middle), off)
        can = (off < jnp.inf) if forms is not None else high[at] > low[at]
        if at in seen:
            c, slope = seen[at]
            line = lambda v, c=c, slope=slope, node=node: c * evaluate(node.expr, v) - slope * v
            worth = line(best) - jnp.minimum(line(low[at]), line(high[at]))
        else:
            worth = jnp.zeros_like(middle)
        tiny = jnp.finfo(middle.dtype).tiny
        worths.append(jnp.where(can, jnp.maximum(worth, tiny), 0).ravel())
        cuts.append(best.ravel())
    worth, cut = jnp.concatenate(worths), jnp.concatenate(cuts)
    split = jnp.argmax(worth).astype(jnp.int32)
    return split, cut[split], worth[split]


def _halves(parts: _Part) -> tuple[_Part, _Part]:
    """Both sides of the cut of each part."""
    one = jnp.arange(len(parts.split))
    below = parts._replace(high=parts.high.at[one, parts.split].set(parts.cut))
    above = parts._replace(low=parts.low.at[one, parts.split].set(parts.cut))
    return below, above
