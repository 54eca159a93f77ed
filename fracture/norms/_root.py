"""Searches among the floating-point numbers: no tolerance, at any scale, exact in the last bit.

Non-negative numbers are ordered like the integers with the same bits, so that what lies in the
middle of two of them is found by integers, and as many halvings as a number has bits suffice.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

_Bracket = tuple[Array, Array, Array, Array]  # steps made, left end, where to look next, right end


def first(
    enough: Callable[[Array], Bool[Array, "*shape"]],
    low: Float[Array, "*shape"],
    high: Float[Array, "*shape"],
) -> Float[Array, "*shape"]:
    """Smallest number from `low` ≥ 0 to `high` where `enough`, entry by entry; `high` if none.

    By bisection, with as many evaluations of the monotone function `enough` as numbers have bits.
    """

    def halve(_: Array, bracket: tuple[Array, Array]) -> tuple[Array, Array]:
        left, right = bracket
        middle = left + (right - left) // 2
        there = enough(_number(middle, low.dtype))
        return jnp.where(there, left, middle + 1), jnp.where(there, middle, right)

    bracket = _bits(low), _bits(high)
    return _number(jax.lax.fori_loop(0, 8 * low.dtype.itemsize, halve, bracket)[1], low.dtype)


def guarded_newton(
    measure: Callable[[Array], tuple[Bool[Array, ""], Float[Array, ""]]],
    least: Float[Array, ""],
    start: Float[Array, ""],
    most: Float[Array, ""],
) -> Float[Array, ""]:
    """Smallest number from `least` ≥ 0 to `most` where there is enough; `most` if there is none.

    Newton's method on a monotone, piecewise smooth function, within a bracket that halves where a
    step leaves it, and every eighth time. It ends where a step stays where it is: on a
    piecewise-linear function after finitely many.

    Parameters
    ----------
    measure
        `measure(t)` says whether `t` is enough, and where the piece that t is on has its root.
    least, start, most
        Where to search, and where to begin; `most` may be inf.
    """

    def unsettled(carry: _Bracket) -> Array:
        _, left, t, right = carry
        return (left < t) & (t < right)

    def step(carry: _Bracket) -> _Bracket:
        count, left, t, right = carry
        enough, root = measure(t)
        left, right = jnp.where(enough, left, t), jnp.where(enough, t, right)
        inside = (left < root) & (root < right) & ((count % 8 != 7) | (right == jnp.inf))
        following = jnp.where(inside, root, _between(left, right))
        settled = (root == t) | (enough & (t == least))
        return count + 1, left, jnp.where(settled, t, following), right

    left = jnp.where(start > least, least, -1)
    return jax.lax.while_loop(unsettled, step, (jnp.int32(0), left, start, most))[2]


def below(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """The number before `x`; 0 before 0."""
    return _number(jnp.maximum(_bits(x) - 1, 0), x.dtype)


def _between(left: Array, right: Array) -> Array:
    """Middle of the numbers from `left` ≥ 0 to `right`; `right` if they are neighbours."""
    low, high = _bits(left), _bits(right)
    return _number(low + (high - low + 1) // 2, left.dtype)


def _bits(x: Array) -> Array:
    return jax.lax.bitcast_convert_type(x, f"int{8 * x.dtype.itemsize}")


def _number(bits: Array, dtype: jnp.dtype) -> Array:
    return jax.lax.bitcast_convert_type(bits, dtype)


def loop_init(tree: PyTree, *sources: Array) -> PyTree:
    """The carry `tree`, varying over the mesh axes that the scalars `sources` vary over.

    Inside `jax.shard_map` a loop that starts from constants is rejected if its body makes them
    depend on sharded data.
    """
    pivot = jnp.any(jnp.stack([jnp.isnan(source) for source in sources]))
    return jax.tree.map(lambda leaf: jnp.where(pivot, leaf, leaf), tree)
