r"""Norms of perturbations, their duals, and exact projections.

Every function treats an array of any shape as one vector and keeps its dtype (half precision is
computed in float32). Vectors are scaled by a power of two near their largest entry before anything
is squared, so no scale of the data under- or overflows. Subnormal numbers count as zero on CPUs,
where XLA flushes them (entries below 1.2e-38 in float32, 2.2e-308 in float64).
"""

from functools import partial
from math import isinf
from numbers import Real

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree

from ._typing import Bounds, Order

__all__ = [
    "dual_order",
    "halfspace_step",
    "norm",
    "project_ball",
    "project_box",
    "project_halfspace_box",
    "steepest",
]


def dual_order(ord: Order) -> float:
    """Order q of the dual norm, 1/ord + 1/q = 1.

    Raises
    ------
    ValueError
        If `ord` is below 1 or not a number.
    """
    ord = as_number(ord)
    if not isinstance(ord, Real) or not ord >= 1:
        raise ValueError(f"ord must be a number of at least 1, or inf; got {ord!r}.")
    ord = float(ord)
    if ord == 1:
        return float("inf")
    return 1.0 if isinf(ord) else ord / (ord - 1)


def norm(x: ArrayLike, ord: Order = 2) -> Float[Array, ""]:
    """The l_ord norm of all entries of `x`, with derivative 0 at x = 0.

    Parameters
    ----------
    x
        Array of any shape, one vector.
    ord
        At least 1, or inf.

    Raises
    ------
    ValueError
        If `ord` is below 1.
    """
    dual_order(ord)
    x = jnp.asarray(x)
    return _norm(at_least_float32(x), ord).astype(x.dtype)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _norm(x: Array, ord: Order) -> Array:
    ord = as_number(ord)
    size = jnp.abs(x)
    if ord == 1:
        return jnp.sum(size)
    largest = jnp.max(size, initial=0)
    if isinf(ord):
        return largest
    scale, inverse = power_near(largest)
    scaled = size * inverse
    if ord == 2:
        length = jnp.sqrt(jnp.sum(scaled**2))
    else:  # no power of the largest may over- or underflow: divide by what is left of it
        rest = positive(largest * inverse)
        length = rest * jnp.sum((scaled / rest) ** ord) ** (1 / ord)
    return jnp.where((largest > 0) & (largest < jnp.inf), scale * length, largest)


@_norm.defjvp
def _norm_jvp(ord: Order, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    # By hand, since products with the scale would underflow on the way; and 0 at 0.
    (x,), (x_dot,) = primals, tangents
    return _norm(x, ord), jnp.sum(steepest(x, dual_order(ord)) * x_dot)


def steepest(g: ArrayLike, ord: Order = 2) -> Float[Array, "*shape"]:
    """The v with l_ord norm 1 that maximises <g, v>, whose value is the dual norm of `g`.

    Zero where `g` is zero. For ord 1 the first of the largest entries takes all.

    Raises
    ------
    ValueError
        If `ord` is below 1.
    """
    q, ord = dual_order(ord), as_number(ord)
    g = jnp.asarray(g)
    wide = at_least_float32(g)
    if isinf(ord):
        return jnp.sign(g)
    size = jnp.abs(wide)
    if ord == 1:
        first = jnp.arange(g.size) == jnp.argmax(size.ravel())
        return jnp.where(first.reshape(g.shape), jnp.sign(g), 0)
    largest = jnp.max(size, initial=0)
    if ord == 2:
        v = wide * power_near(largest)[1]
        return (v / positive(jnp.sqrt(jnp.sum(v * v)))).astype(g.dtype)
    v = jnp.sign(wide) * over_largest(size, largest) ** (q - 1)
    return (v / positive(_norm(v, ord))).astype(g.dtype)


def project_box(x: ArrayLike, bounds: Bounds | None) -> Float[Array, "*shape"]:
    """Nearest point of the box, in every norm; `x` itself where `bounds` is None.

    Raises
    ------
    ValueError
        If a bound does not broadcast against `x`, or bounds that are not traced are out of order.
    """
    x = jnp.asarray(x)
    if bounds is None:
        return x
    lower, upper = broadcast_bounds(bounds, x)
    return jnp.clip(x, lower, upper)


def broadcast_bounds(bounds: Bounds, x: Array | jax.ShapeDtypeStruct) -> tuple[Array, Array]:
    """Both bounds as arrays of the shape and dtype of `x`."""
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise ValueError(f"bounds must be a pair (lower, upper), got {bounds!r}.")
    try:
        lower, upper = (jnp.broadcast_to(jnp.asarray(b, x.dtype), x.shape) for b in bounds)
    except ValueError as error:
        shapes = [jnp.shape(b) for b in bounds]
        raise ValueError(
            f"bounds must broadcast to the input's shape {x.shape}, got shapes {shapes}."
        ) from error
    if not traced(bounds) and not np.all(np.asarray(bounds[0]) <= np.asarray(bounds[1])):
        raise ValueError(f"the lower bound must not exceed the upper one, got {bounds}.")
    return lower, upper


def project_ball(x: ArrayLike, radius: ArrayLike, ord: Order = 2) -> Float[Array, "*shape"]:
    r"""Nearest point to `x` in l2 of the ball {v : ‖v‖_ord ≤ radius}.

    For ord 1, soft thresholding at the level where the norm is `radius`. The level is the root of
    a convex piecewise-linear function; Newton's method from the left reaches it exactly after
    finitely many steps.

    Parameters
    ----------
    x
        Array of any shape.
    radius
        Scalar; NaN comes back where it is negative (an empty ball) or NaN.
    ord
        1, 2 or inf.

    Raises
    ------
    ValueError
        For any other `ord`.

    References
    ----------
    Michelot (1986), "A finite algorithm for finding the projection of a point onto the canonical
    simplex of R^n". Condat (2016), "Fast projection onto the simplex and the l1 ball".
    """
    ord = check_order(ord)
    x = jnp.asarray(x)
    wide = at_least_float32(x)
    radius = jnp.asarray(radius, wide.dtype)
    if isinf(ord):
        inside = jnp.clip(wide, -radius, radius)
    elif ord == 2:
        scale, inverse = power_near(jnp.max(jnp.abs(wide), initial=0))
        scaled = wide * inverse
        length = jnp.sqrt(jnp.sum(scaled * scaled))
        inside = jnp.where(scale * length > radius, radius / positive(length) * scaled, wide)
    else:
        inside = _soft_threshold(wide, radius)
    return jnp.where(radius >= 0, inside, jnp.nan).astype(x.dtype)


def _soft_threshold(x: Array, radius: Array) -> Array:
    scale, inverse = power_near(jnp.max(jnp.abs(x), initial=0))
    size, radius = jnp.abs(x) * inverse, radius * inverse

    def newton(level):
        above = size > level
        total = jnp.sum(jnp.where(above, size, 0)) - radius
        return total / jnp.maximum(jnp.sum(above, dtype=x.dtype), 1)

    def rises(carry):
        level, following = carry
        return following > level

    def advance(carry):
        _, level = carry
        return level, newton(level)

    zero = jnp.zeros((), x.dtype)
    init = loop_init((zero - 1, zero), radius + jnp.sum(size))
    level = jax.lax.while_loop(rises, advance, init)[0]
    return jnp.sign(x) * jnp.maximum(size - level, 0) * scale


def project_halfspace_box(
    x: ArrayLike,
    weight: ArrayLike,
    offset: ArrayLike,
    *,
    bounds: Bounds | None = None,
    ord: Order = 2,
) -> tuple[Float[Array, "*shape"], Float[Array, ""]]:
    r"""Smallest move of `x` into {z : ⟨weight, z⟩ + offset ≤ 0} and the box, in l_ord.

    Parameters
    ----------
    x
        Array of any shape, inside the box or not.
    weight, offset
        Normal of the half-space, of the shape of `x`, and a scalar.
    bounds
        `(lower, upper)`, scalars or arrays that broadcast against `x`; None for no box.
    ord
        1, 2 or inf; without a box any order of at least 1.

    Returns
    -------
    delta, distance
        The move and its norm. Where half-space and box do not meet, `distance` is inf and `delta`
        goes as far as the box allows.

    Raises
    ------
    ValueError
        For another `ord`, for a weight of another shape, for bounds that do not broadcast.
    """
    x = jnp.asarray(x)
    wide, weight = at_least_float32(x), jnp.asarray(weight)
    if weight.shape != x.shape:
        raise ValueError(f"weight must have the shape of x, {x.shape}; got {weight.shape}.")
    weight = weight.astype(wide.dtype)
    inverse = power_near(jnp.max(jnp.abs(weight), initial=0))[1]
    weight = weight * inverse
    excess = jnp.sum(weight * wide) + jnp.asarray(offset, wide.dtype) * inverse
    room = None
    if bounds is not None:
        lower, upper = broadcast_bounds(bounds, wide)
        room = lower - wide, upper - wide
    delta, distance = halfspace_step(excess, weight, room=room, ord=ord)
    return delta.astype(x.dtype), distance.astype(x.dtype)


def halfspace_step(
    excess: Float[Array, ""],
    weight: Float[Array, "*shape"],
    *,
    room: tuple[Array, Array] | None = None,
    ord: Order = 2,
) -> tuple[Float[Array, "*shape"], Float[Array, ""]]:
    r"""Smallest δ with excess + ⟨weight, δ⟩ ≤ 0 and room[0] ≤ δ ≤ room[1].

    What `project_halfspace_box` does once `x` is the origin. A solver that knows the value
    `excess` of the linearised margin loses no digits by subtracting ⟨weight, x⟩ again.

    Without `room`, δ = −(excess / ‖weight‖_*) · `steepest(weight)`. With it, and with
    s = −sign(weight) δ and a = |weight|: for l2 s = clip(λa) and for l∞ s = clip(λ), λ the root of
    a piecewise-linear function, exact after finitely many Newton steps; for l1 the coordinates
    with the largest weights are used up first, as in a fractional knapsack.

    Returns
    -------
    delta, distance
        As of `project_halfspace_box`.
    """
    dual_order(ord)
    ord = as_number(ord)
    size = jnp.abs(weight)
    largest = jnp.max(size, initial=0)
    inverse = power_near(largest)[1]
    gain, need = size * inverse, excess * inverse
    if room is None:
        posed = (largest > 0) & (need < jnp.inf)
        length = jnp.where(posed, jnp.maximum(need, 0) / positive(_norm(gain, dual_order(ord))), 0)
        delta = -length * steepest(weight, ord)
        return delta, jnp.where(posed | (excess <= 0), _norm(delta, ord), jnp.inf)

    check_order(ord)
    # Coordinates with weight zero do not help: they only go where the box forces them.
    up = weight < 0
    low = jnp.where(up, room[0], -room[1])
    high = jnp.where(up, room[1], -room[0])
    useful = gain > 0
    reach = jnp.sum(jnp.where(useful, gain * jnp.where(useful, high, 0), 0))
    feasible = (reach >= need) & jnp.all(low <= high)
    # An empty problem is replaced by one that ends at once; its answer is not used.
    target = jnp.where(feasible, need, -jnp.inf)
    if ord == 1:
        s = _knapsack(target, gain, low, high)
    else:
        rate = gain if ord == 2 else jnp.where(useful, jnp.ones_like(gain), 0)
        s = jnp.clip(_level(target, gain, rate, low, high) * rate, low, high)
    farthest = jnp.where(useful & (high < jnp.inf), high, jnp.clip(0, low, high))
    s = jnp.where(feasible, s, farthest)
    delta = jnp.where(up, s, -s)
    return delta, jnp.where(feasible, _norm(delta, ord), jnp.inf)


def _level(need: Array, gain: Array, rate: Array, low: Array, high: Array) -> Array:
    """Smallest λ ≥ 0 with ⟨gain, clip(λ rate, low, high)⟩ ≥ need, which must exist.

    Newton on a piecewise-linear function. When 0 lies between `low` and `high` the function is
    concave: Newton from the left never overshoots and ends after finitely many steps. In general
    a bracket guards it.
    """

    def newton(level):
        s = level * rate
        free = (s >= low) & (s < high) & (rate > 0)
        fixed = jnp.sum(jnp.where(free, 0, gain * jnp.clip(s, low, high)))
        slope = jnp.sum(jnp.where(free, gain * rate, 0))
        # The root depends on the set `free` alone: an unchanged set repeats it to the last bit.
        return fixed + slope * level >= need, (need - fixed) / slope

    def unsettled(carry):
        _, left, level, right = carry
        return (left < level) & (level < right)

    def step(carry):
        count, left, level, right = carry
        enough, root = newton(level)
        left, right = jnp.where(enough, left, level), jnp.where(enough, level, right)
        inside = (left < root) & (root < right) & ((count % 8 != 7) | (right == jnp.inf))
        following = jnp.where(inside, root, _between(left, right))
        settled = (root == level) | (enough & (level == 0))
        return count + 1, left, jnp.where(settled, level, following), right

    zero = jnp.zeros((), gain.dtype)
    init = loop_init(
        (jnp.int32(0), zero - 1, zero, zero + jnp.inf), need + jnp.sum(low + high + gain)
    )
    level = jax.lax.while_loop(unsettled, step, init)[2]
    return jnp.minimum(level, jnp.finfo(gain.dtype).max)


def _knapsack(need: Array, gain: Array, low: Array, high: Array) -> Array:
    """Smallest sum of |s| with ⟨gain, s⟩ ≥ need: fill in the order of decreasing gain.

    The gain of the coordinate that is filled in part is found by bisection over the floating-point
    numbers themselves, so it is exact and nothing is sorted.
    """
    forced = jnp.clip(0, low, high)
    capacity = high - forced
    need = need - jnp.sum(gain * forced)
    mass = jnp.where(gain > 0, gain * jnp.where(gain > 0, capacity, 0), 0)

    def halve(_, bracket):
        reached, missed = bracket
        middle = _between(reached, missed)
        enough = jnp.sum(jnp.where(gain >= middle, mass, 0)) >= need
        return jnp.where(enough, middle, reached), jnp.where(enough, missed, middle)

    zero = jnp.zeros((), gain.dtype)
    bits = 8 * gain.dtype.itemsize
    init = loop_init((zero, zero + 8), need + jnp.sum(mass))
    pivot = jax.lax.fori_loop(0, bits, halve, init)[0]
    left = need - jnp.sum(jnp.where(gain > pivot, mass, 0))
    left = left / positive(pivot)  # what the coordinates at the pivot still have to do
    tied = jnp.where(gain == pivot, jnp.minimum(capacity, left), 0)
    share = jnp.clip(left / positive(jnp.sum(tied)), 0, 1)
    filled = jnp.where(gain > pivot, high, forced + tied * share)  # `high` itself, not rounded
    return jnp.where(need > 0, filled, forced)


def _between(left: Array, right: Array) -> Array:
    """Middle of the floating-point numbers from `left` ≥ 0 to `right`; `right` if adjacent."""
    bits = jnp.int32 if left.dtype == jnp.float32 else jnp.int64
    low, high = (jax.lax.bitcast_convert_type(v, bits) for v in (left, right))
    return jax.lax.bitcast_convert_type(low + (high - low + 1) // 2, left.dtype)


def loop_init(tree: PyTree, *sources: Array) -> PyTree:
    """The carry `tree`, varying over the mesh axes that the scalars `sources` vary over.

    Inside `jax.shard_map` a loop that starts from constants is rejected if its body makes them
    depend on sharded data.
    """
    pivot = jnp.any(jnp.stack([jnp.isnan(source) for source in sources]))
    return jax.tree.map(lambda leaf: jnp.where(pivot, leaf, leaf), tree)


def at_least_float32(x: Array) -> Array:
    """Half precision as float32, other floating dtypes as they are."""
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"wanted an array of a floating dtype, got {x.dtype}.")
    return x.astype(jnp.float32) if x.dtype.itemsize < 4 else x


def power_near(x: Array) -> tuple[Array, Array]:
    """A power of two within a factor 4 of x > 0, and its inverse: normal numbers, both.

    To divide by: XLA makes of a division by a scalar a multiplication by its reciprocal, which it
    flushes to zero for numbers above the inverse of the smallest normal one.
    """
    info = jnp.finfo(x.dtype)
    near = jnp.clip(jax.lax.stop_gradient(x), 4 * info.tiny, info.max / 4)
    power = jax.lax.reduce_precision(near, exponent_bits=info.nexp, mantissa_bits=0)
    return power, 1 / power


def over_largest(x: Array, largest: Array) -> Array:
    """`x` in units of its largest entry; 0 where that is 0."""
    inverse = power_near(largest)[1]
    return x * inverse / positive(largest * inverse)


def positive(x: Array) -> Array:
    """`x`, or 1 where it is not positive: a divisor."""
    return jnp.where(x > 0, x, 1)


def traced(*trees: PyTree) -> bool:
    """Whether any leaf has no value yet."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(trees))


def as_number(ord: Order) -> int | float:
    """The order as a Python number, whose dtype does not promote that of a vector."""
    if ord == "inf":
        return float(ord)
    return ord.item() if isinstance(ord, np.generic) else ord


def check_order(ord: Order) -> int | float:
    """1, 2 or inf as a Python number; a ValueError for any other order."""
    ord = as_number(ord)
    if isinstance(ord, bool) or not isinstance(ord, Real) or ord not in (1, 2, float("inf")):
        raise ValueError(f"ord must be 1, 2 or inf, got {ord!r}.")
    return float("inf") if isinf(ord) else int(ord)
