"""A function of one variable on an interval as chords, each with how far the function is from it.

Chords and errors are all that bounds know of an activation, whichever it is: two lines around it,
or the least value of it plus any quadratic. Of a piecewise-linear function they are exact; of a
smooth one there are 64, closer where it curves more, and the gap between the best lines on the two
sides grows by less than 1 %.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._scalar import Expr, enclose, evaluate, kinks, rounding

NUM_CHORDS = 64
ULPS = 16  # rounding of the values, in units of eps times their sizes
_PASSES = 2  # of moving points to where the function curves
_CUTS = 12  # lines tried on the way to the best one: mostly two to five are


class Pieces(NamedTuple):
    """Chords from point to point, entry by entry of an array.

    Attributes
    ----------
    points
        In ascending order, from the lower end of the interval to the upper one.
    values
        At the points.
    above, below
        How far the function can be above and below each chord.
    size
        What rounding is measured by.
    steepness
        The largest size of a slope.
    """

    points: Float[Array, "n+1 *shape"]
    values: Float[Array, "n+1 *shape"]
    above: Float[Array, "n *shape"]
    below: Float[Array, "n *shape"]
    size: Float[Array, "*shape"]
    steepness: Float[Array, "*shape"]

    @property
    def low(self) -> Array:
        """A lower bound of the values."""
        ends = jnp.minimum(self.values[:-1], self.values[1:])
        return jnp.min(ends - self.below, axis=0)

    @property
    def high(self) -> Array:
        """An upper bound of the values."""
        ends = jnp.maximum(self.values[:-1], self.values[1:])
        return jnp.max(ends + self.above, axis=0)

    @property
    def rounding(self) -> Array:
        """How far a value can be from what is computed, at most."""
        return jnp.max(jnp.minimum(self.above, self.below), axis=0)


Supports = tuple[tuple[Array, Array], tuple[Array, Array]]


class Lines(NamedTuple):
    """One line below a function and one above it."""

    low_slope: Array
    low: Array  # intercept
    high_slope: Array
    high: Array


def chords(expr: Expr, low: Array, high: Array) -> Pieces:
    """The function that an expression is, on [low, high]."""
    places, forms = kinks(expr)
    places = [jnp.broadcast_to(at, low.shape) for at in places]
    inside = [jnp.clip(at, low, high) for at in places]
    if forms is not None:
        points = jnp.sort(jnp.stack([low, *inside, high]), axis=0)
        values = jax.vmap(lambda x: evaluate(expr, x))(points)
        size = jnp.max(jnp.abs(values), axis=0)
        edge = jnp.maximum(jnp.abs(low), jnp.abs(high))
        steepness = jnp.zeros_like(low)
        for slope, intercept in forms:
            size = jnp.maximum(size, jnp.abs(slope) * edge + jnp.abs(intercept))
            steepness = jnp.maximum(steepness, jnp.abs(slope))
        error = jax.vmap(lambda a, b: rounding(expr, a, b))(points[:-1], points[1:])
        error = error + _rounding(size)[None]  # of where the kinks are, too
        jumps = _jumps(expr, points, values, steepness, size)
        error = error + jumps
        steepness = jnp.where(jnp.any(jumps > 0, axis=0), jnp.inf, steepness)
        return Pieces(points, values, error, error, size, steepness)

    # Kinks are where they are up to rounding: each that can be inside is kept in a cell of its own.
    around = []
    for kink, at in zip(places, inside, strict=True):
        aside = jnp.where(jnp.abs(kink - at) <= _aside(at), _aside(at), 0)
        around.append((jnp.maximum(at - aside, low), jnp.minimum(at + aside, high)))
    points = _spread(expr, low, high, [end for ends in around for end in ends])
    values = jax.vmap(lambda x: evaluate(expr, x))(points)
    size = jnp.max(jnp.abs(values), axis=0)
    distance = lambda a, b: _distance(expr, a, b)
    above, below, steepness = jax.vmap(distance)(points[:-1], points[1:])
    error = jax.vmap(lambda a, b: rounding(expr, a, b))(points[:-1], points[1:])
    error = error + _rounding(size)[None]
    steepness = _steepest(points, values, steepness, error, around)
    return Pieces(points, values, above + error, below + error, size, steepness)


def _steepest(
    points: Array, values: Array, steepness: Array, error: Array, around: list[tuple[Array, Array]]
) -> Array:
    """The largest size of a slope; the cell around a kink does not count if nothing jumps in it.

    What the function moves by in that cell is rounding.
    """
    start, stop = points[:-1], points[1:]
    kink = jnp.zeros(start.shape, bool)
    for first, last in around:
        kink |= (start >= first[None]) & (stop <= last[None])
    most = jnp.max(jnp.where(kink, 0, steepness), axis=0)
    change = jnp.abs(jnp.diff(values, axis=0)) - most[None] * (stop - start) * (1 + 1e-3)
    jumped = jnp.sum(jnp.where(kink, jnp.maximum(change, 0), 0), axis=0)
    rounding = jnp.max(error, axis=0)
    edge = jnp.maximum(jnp.abs(points[0]), jnp.abs(points[-1]))
    # Slopes are rounded like values over the variable, which is all where they vanish.
    rounded = 4 * rounding / jnp.where(edge > 0, edge, 1)
    return jnp.where(jumped <= 2 * rounding, most, jnp.max(steepness, axis=0)) + rounded


def _jumps(expr: Expr, points: Array, values: Array, steepness: Array, size: Array) -> Array:
    """How far a piecewise-linear function jumps at the ends of its pieces, 0 where it does not."""
    aside = _aside(points)
    at = jax.vmap(lambda x: evaluate(expr, x))
    change = jnp.maximum(jnp.abs(at(points - aside) - values), jnp.abs(at(points + aside) - values))
    steady = 2 * steepness[None] * aside + _rounding(size)[None]
    jump = jnp.where(change > steady, change, 0)
    return jnp.maximum(jump[:-1], jump[1:])


def _aside(points: Array) -> Array:
    """How far from a point its neighbours are taken."""
    return ULPS * jnp.finfo(points.dtype).eps * jnp.abs(points) + jnp.finfo(points.dtype).tiny


def _rounding(size: Array) -> Array:
    return ULPS * jnp.finfo(size.dtype).eps * size + jnp.finfo(size.dtype).tiny


def _spread(expr: Expr, low: Array, high: Array, inside: list[Array]) -> Array:
    """Points that are closer where the function curves more."""
    half = NUM_CHORDS // 2
    column = lambda numbers: numbers.reshape(-1, *[1] * low.ndim)
    share = column(jnp.arange(half + 1, dtype=low.dtype) / half)
    low_, high_ = low[None], high[None]  # beside the points
    even = low_ + (high_ - low_) * share
    # Activations bend near 0, however wide the interval is.
    first, last = low_ / (1 + jnp.abs(low_)), high_ / (1 + jnp.abs(high_))
    bent = first + (last - first) * share
    near = bent / (1 - jnp.abs(bent))
    fixed = [at[None] for at in inside]
    start = jnp.concatenate([even, jnp.clip(near[1:], low_, high_), *fixed])
    wanted = column(jnp.arange(NUM_CHORDS + 1, dtype=low.dtype) / NUM_CHORDS)
    flat = lambda a: a.reshape(len(a), -1)

    def closer(_, points):
        points = jnp.sort(points, axis=0)
        distance = jax.vmap(lambda a, b: _distance(expr, a, b))
        above, below, _ = distance(points[:-1], points[1:])
        # As long as curvature is the same, the root is in proportion to the width of a cell.
        bend = jnp.maximum(above, below)
        bend = jnp.sqrt(jnp.where(bend < jnp.inf, jnp.maximum(bend, 0), 0))
        # A share of them evenly: nothing is left uncovered where curvature is not known.
        even_share = 0.1 * jnp.mean(bend, axis=0, keepdims=True)
        total = jnp.cumsum(bend + even_share + jnp.finfo(low.dtype).tiny, axis=0)
        total = jnp.concatenate([jnp.zeros_like(total[:1]), total])
        parts = [flat(each) for each in (total[-1:] * wanted, total, points)]
        moved = jax.vmap(jnp.interp, in_axes=1, out_axes=1)(*parts).reshape(-1, *low.shape)
        moved = jnp.clip(moved, low_, high_)
        return jnp.concatenate([low_, moved[1:-1], high_, *fixed])

    # In the first cells curvature is only known roughly where it changes fast.
    return jnp.sort(jax.lax.fori_loop(0, _PASSES, closer, start), axis=0)


def _distance(expr: Expr, a: Array, b: Array) -> tuple[Array, Array, Array]:
    """How far a function can be above and below its chord between two points; how steep it is.

    With curvature in [p, q] at most −p h²/8 above and q h²/8 below; with slopes in [p, q], at most
    (q − s)(s − p) h/(q − p) on both sides, s being that of the chord.
    """
    jet = enclose(expr, a, b)
    width = b - a
    square = width**2 / 8 * (1 + 1e-3)
    smooth = jnp.maximum(-jet.curve[0], 0) * square, jnp.maximum(jet.curve[1], 0) * square
    steep = (jet.slope[1] - jet.slope[0]) * width / 4 * (1 + 1e-3)
    most = jet.value[1] - jet.value[0]  # both, the function and its chord, are in there
    steep = jnp.minimum(jnp.where(jnp.isnan(steep), jnp.inf, steep), most)
    known = lambda error: jnp.where(jnp.isnan(error), jnp.inf, error)
    wide = width > 0
    above, below = (jnp.where(wide, jnp.minimum(known(one), steep), 0) for one in smooth)
    slope = jnp.maximum(jnp.abs(jet.slope[0]), jnp.abs(jet.slope[1]))
    return above, below, jnp.where(wide, known(slope) * (1 + 1e-3), 0)


def lines(pieces: Pieces) -> Lines:
    """The lines below and above that are closest to the function at the middle of the interval.

    They support its convex and its concave envelope there: of ReLU, the chord above and, below, 0
    or the identity, whichever leaves the smaller area.
    """
    beside = [(1, 1)] + [(0, 0)] * (pieces.below.ndim - 1)
    below, above = jnp.pad(pieces.below, beside), jnp.pad(pieces.above, beside)
    low = pieces.values - jnp.maximum(below[:-1], below[1:])
    high = -pieces.values - jnp.maximum(above[:-1], above[1:])
    both = jax.vmap(lambda values: _support(pieces.points, values))(jnp.stack([low, high]))
    low, high = jnp.where(jnp.isfinite(both), both, 0)
    high = -high
    return Lines(low, offset(pieces, low), high, -offset(_flipped(pieces), -high))


def _flipped(pieces: Pieces) -> Pieces:
    return pieces._replace(values=-pieces.values, above=pieces.below, below=pieces.above)


def offset(pieces: Pieces, slope: Array) -> Array:
    """The largest b with slope·x + b at most the function, whatever the slope is."""
    ends = pieces.values - slope[None] * pieces.points
    least = jnp.minimum(ends[:-1], ends[1:]) - pieces.below
    edge = jnp.maximum(jnp.abs(pieces.points[0]), jnp.abs(pieces.points[-1]))
    return jnp.min(least, axis=0) - _rounding(jnp.abs(slope) * edge)


def _support(points: Array, values: Array) -> Array:
    """Slope of the convex envelope of points at the middle of their range, by cutting planes."""
    middle = (points[0] + points[-1]) / 2

    def slope_of(left, right):
        width = right[0] - left[0]
        return jnp.where(width > 0, (right[1] - left[1]) / jnp.where(width > 0, width, 1), 0)

    def cut(_, pair):
        left, right = pair
        slope = slope_of(left, right)
        at = jnp.argmin(values - slope[None] * points, axis=0)[None]
        pick = lambda of: jnp.take_along_axis(of, at, axis=0)[0]
        x, y = pick(points), pick(values)
        lower = y - slope * x < left[1] - slope * left[0]
        to_left, to_right = lower & (x < middle), lower & (x >= middle)
        replace = lambda where, new, old: tuple(
            jnp.where(where, n, o) for n, o in zip(new, old, strict=True)
        )
        return replace(to_left, (x, y), left), replace(to_right, (x, y), right)

    ends = (points[0], values[0]), (points[-1], values[-1])
    count = min(_CUTS, len(points) - 2)
    return slope_of(*jax.lax.fori_loop(0, count, cut, ends)) if count else slope_of(*ends)


def supports(pieces: Pieces) -> Supports:
    """The least and the largest slope of lines that support f from below, and from above.

    Those of its convex and of its concave envelope at the ends of the interval. A line with another
    slope meets the function at an end alone, and one of these is closer to it on all of it. Of a
    point, 0. The chords stand for the function: what is added to them at jumps does not count.
    """

    def steepest(end, others, pick, none):
        run = pieces.points[end][None] - pieces.points[others]
        rise = pieces.values[end][None] - pieces.values[others]
        slope = pick(jnp.where(run == 0, none, rise / jnp.where(run == 0, 1, run)), axis=0)
        return jnp.where(jnp.isfinite(slope), slope, 0)

    least, most = (jnp.min, jnp.inf), (jnp.max, -jnp.inf)
    first, last = (0, slice(1, None)), (-1, slice(-1))
    below = steepest(*first, *least), steepest(*last, *most)
    return below, (steepest(*last, *least), steepest(*first, *most))


def supporting(ends: Supports, scale: Array, slope: Array) -> Array:
    """The nearest slope of a line that supports f: from below, or from above where scale < 0."""
    low, high = (jnp.where(scale > 0, a, b) for a, b in zip(*ends, strict=True))
    return jnp.clip(slope, low, high)


def rises(pieces: Pieces) -> Array:
    """The slope of each piece; of an empty one, 0."""
    width = jnp.diff(pieces.points, axis=0)
    return jnp.diff(pieces.values, axis=0) / jnp.where(width > 0, width, 1)


def least(pieces: Pieces, scale: Array, slope: Array, weight: Array, center: Array) -> Array:
    """The least of scale·f(x) − slope·x + weight (x − center)²/2 on the interval.

    Parameters
    ----------
    pieces
        Of f.
    scale, slope, weight, center
        Of the shape of an entry; the weight not negative.
    """
    plain = slope
    scale, slope, weight, center = (
        jnp.broadcast_to(v, plain.shape)[None] for v in (scale, slope, weight, center)
    )
    start, stop = pieces.points[:-1], pieces.points[1:]
    rise = rises(pieces)
    tilt = scale * rise - slope
    small = jnp.finfo(tilt.dtype).tiny ** 0.5
    # By the envelope theorem it does not count how it moves: without a weight, it jumps.
    x = jax.lax.stop_gradient(jnp.clip(center - tilt / jnp.maximum(weight, small), start, stop))
    chord = scale * pieces.values[:-1] + scale * rise * (x - start)
    value = chord - slope * x + weight * (x - center) ** 2 / 2
    error = jnp.where(scale >= 0, scale * pieces.below, -scale * pieces.above)
    edge = jnp.maximum(jnp.abs(pieces.points[0]), jnp.abs(pieces.points[-1]))
    ends = jnp.abs(pieces.points[0] - center[0]), jnp.abs(pieces.points[-1] - center[0])
    # Of the quadratic, as a term of a sum over all entries.
    bent = (plain.size / 2 + 8) * jnp.finfo(plain.dtype).eps * weight[0] * jnp.maximum(*ends) ** 2
    return jnp.min(value - error, axis=0) - _rounding(jnp.abs(plain) * edge) - bent
