"""The nearest point of another class: the optimal radius for a finite set of labelled points."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from .._checks import as_labels, check_counts
from .._linalg import matmul
from .._typing import Labels, Order
from ..norms import check_order, norm, power_near

_NUM_CANDIDATES = 4  # their distances are computed again by subtraction


class NearestNeighbour(NamedTuple):
    """Nearest reference of another class, for each query.

    Attributes
    ----------
    radius
        Half the distance to it; inf where there is none, nan for a bad query.
    index
        Its number among the references; -1 where there is none.
    """

    radius: Float[Array, " n"]
    index: Int[Array, " n"]  # type: ignore[assignment]


def nearest_neighbour(
    queries: ArrayLike,
    query_labels: Labels,
    references: ArrayLike,
    reference_labels: Labels,
    *,
    ord: Order = 2,
    chunk_size: int = 4096,
) -> NearestNeighbour:
    r"""Half the distance from each query to the nearest reference of another class.

    So far the nearest-neighbour classifier keeps its answer at a point of the reference set, and
    no classifier that is right on all references tolerates more at both ends of a nearest pair:
    the optimal radius when the references are all that can occur. With a sample of them it is an
    upper bound that falls as references are added (`nearest_neighbour_by_count`).

    For `ord=2`, candidates are chosen by $\|q\|^2 - 2 q^\top r + \|r\|^2$, in full precision and
    after centring, less what its rounding can add, and the distances of the best four are computed
    again by subtraction. Where that does not prove that the nearest reference is among them, as
    far from the origin or where one reference dwarfs the others, the query is compared with all
    references by subtraction: right there, too, and slower. No result depends on other queries.

    Parameters
    ----------
    queries, references
        Points, shapes `(n, ...)` and `(m, ...)`, of one floating dtype. References may be a NumPy
        array; they are read in chunks, and copied once if they are not on the device yet.
    query_labels, reference_labels
        Integer classes, shapes `(n,)` and `(m,)`.
    ord
        Order of the distance: 1, 2 or `jnp.inf`.
    chunk_size
        References compared at once; memory grows by `chunk_size` times (n + size of a point).

    Returns
    -------
    neighbour
        `radius` `(n,)`, in units of the inputs, and `index` `(n,)` into the references: inf and -1
        where no reference has another class. A query that is not finite has radius nan and index
        -1; a reference that is not finite is never the nearest.

    Raises
    ------
    ValueError
        If shapes disagree, there are no references, or an option is out of range.
    TypeError
        If the points are not floating of one dtype or the labels not integers.

    References
    ----------
    Gao et al. (2024), arXiv:2406.16200, Section 3 (the minimum-distance classifier); Yang et al.
    (2020), "A closer look at accuracy vs. robustness", arXiv:2003.02460, Section 3; Higham, Mary
    (2019), "A new approach to probabilistic rounding error analysis", SIAM J. Sci. Comput. 41(5).

    Examples
    --------
    The reference of the query's own class does not count, however near:

    >>> import jax.numpy as jnp
    >>> from fracture.optimal import nearest_neighbour
    >>> references, labels = jnp.array([[0.5], [3.0], [-8.0]]), jnp.array([0, 1, 1])
    >>> near = nearest_neighbour(jnp.array([[0.0]]), jnp.array([0]), references, labels)
    >>> print(f"radius {near.radius[0]:.2f}, reference {near.index[0]}")
    radius 1.50, reference 1
    """
    query_labels, reference_labels = _check(queries, query_labels, references, reference_labels)
    ord = check_order(ord)
    check_counts(chunk_size=chunk_size)
    total = np.shape(references)[0]
    return _search(
        *(queries, query_labels, references, reference_labels),
        *(jnp.zeros((), jnp.int32), jnp.full((), total, jnp.int32)),
        ord=float(ord),
        chunk_size=min(chunk_size, total),
    )


def nearest_neighbour_by_count(
    queries: ArrayLike,
    query_labels: Labels,
    references: ArrayLike,
    reference_labels: Labels,
    counts: Sequence[int],
    *,
    ord: Order = 2,
    chunk_size: int = 4096,
) -> NearestNeighbour:
    """`nearest_neighbour` among the first 1,000, 2,000, … references: how the bound falls.

    Every reference is compared once, whatever the number of counts.

    Parameters
    ----------
    queries, query_labels, references, reference_labels, ord, chunk_size
        As for `nearest_neighbour`.
    counts
        Increasing numbers of references, from 1 to the number there is.

    Returns
    -------
    neighbour
        `radius` and `index` of shape `(len(counts), n)`.

    Raises
    ------
    ValueError, TypeError
        As for `nearest_neighbour`, and if `counts` does not increase or is out of range.
    """
    query_labels, reference_labels = _check(queries, query_labels, references, reference_labels)
    total, starts = np.shape(references)[0], (0, *counts[:-1])
    if not counts or counts[-1] > total or any(b <= a for a, b in zip(starts, counts, strict=True)):
        raise ValueError(f"counts must increase from 1 to at most {total}, got {tuple(counts)}.")
    ord = check_order(ord)
    check_counts(chunk_size=chunk_size)
    references = jnp.asarray(references)
    # One program for all: chunks reach beyond the smaller parts, but no more than they must.
    smallest = min(stop - start for start, stop in zip(starts, counts, strict=True))
    search = partial(_search, ord=float(ord), chunk_size=min(chunk_size, max(smallest, 256), total))
    found: list[NearestNeighbour] = []
    for start, stop in zip(starts, counts, strict=True):
        radius, index = search(
            *(queries, query_labels, references, reference_labels), np.int32(start), np.int32(stop)
        )
        if found:
            closer = ~(found[-1].radius <= radius)  # a bad query stays nan
            radius = jnp.where(closer, radius, found[-1].radius)
            index = jnp.where(closer, index, found[-1].index)
        found.append(NearestNeighbour(radius, index))
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *found)


def _check(
    queries: ArrayLike,
    query_labels: Labels,
    references: ArrayLike,
    reference_labels: Labels,
) -> tuple[Array, Array]:
    """Raise unless they fit together; returns the labels."""
    query_labels, reference_labels = as_labels(query_labels), as_labels(reference_labels)
    shape, reference_shape = np.shape(queries), np.shape(references)
    if len(shape) < 2 or len(reference_shape) < 2 or shape[1:] != reference_shape[1:]:
        raise ValueError(
            f"queries (n, ...) and references (m, ...) must agree, got {shape}, {reference_shape}."
        )
    if query_labels.shape != shape[:1] or reference_labels.shape != reference_shape[:1]:
        raise ValueError(
            f"labels must have shapes {shape[:1]} and {reference_shape[:1]}, got "
            f"{query_labels.shape} and {reference_labels.shape}."
        )
    if 0 in reference_shape:
        raise ValueError(f"references are empty: shape {reference_shape}.")
    dtype, reference_dtype = jnp.result_type(queries), jnp.result_type(references)
    if dtype != reference_dtype or not jnp.issubdtype(dtype, jnp.floating):
        raise TypeError(
            f"queries and references must share a floating dtype, got {dtype}, {reference_dtype}."
        )
    wide = np.promote_types(query_labels.dtype, reference_labels.dtype)
    return query_labels.astype(wide), reference_labels.astype(wide)


@partial(jax.jit, static_argnames=("ord", "chunk_size"))
def _search(
    queries: jax.Array,
    query_labels: jax.Array,
    references: jax.Array,
    reference_labels: jax.Array,
    first: jax.Array,
    stop: jax.Array,
    *,
    ord: float,
    chunk_size: int,
) -> NearestNeighbour:
    """The nearest neighbours among the references from `first` up to `stop`."""
    num, total = queries.shape[0], references.shape[0]
    # Half precision is for storage: distances are sums of thousands of terms.
    dtype = queries.dtype if queries.dtype.itemsize >= 4 else jnp.dtype(jnp.float32)
    ends = queries.reshape(num, -1).astype(dtype)
    # Which one is the nearest has no derivative; how far it is has one.
    points, searched = jax.lax.stop_gradient((ends, references))
    usable = jnp.isfinite(points).all(axis=1)
    num_chunks = (stop - first + chunk_size - 1) // chunk_size

    def chunk_at(step: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Number of its first reference, and the chunk; the last overlaps the one before."""
        start = jnp.minimum(first + step * chunk_size, total - chunk_size)
        chunk = jax.lax.dynamic_slice_in_dim(searched, start, chunk_size)
        return start, chunk.reshape(chunk_size, -1).astype(dtype)

    # A common offset and scale, so that squares neither cancel more than they must nor overflow.
    # The scale is found chunk by chunk: XLA would copy all references to look for it at once.
    enlarge = lambda step, scale: jnp.maximum(scale, _largest(chunk_at(step)[1]))
    scale = jax.lax.fori_loop(0, num_chunks, enlarge, _largest(points))
    inverse = power_near(scale)[1]
    centre = (_finite(points) * inverse).mean(axis=0, keepdims=True)
    centred = points * inverse - centre
    # Each of three sums of d terms is off by sqrt(d) roundings, and by far less than 8 sqrt(d).
    dim, info = points.shape[1], jnp.finfo(dtype)
    rounding = (min(dim, 8 * dim**0.5) + 16) * float(info.eps)
    lost = 8 * dim * float(info.tiny)  # to underflow

    def halves(chunk: jax.Array, query: jax.Array) -> jax.Array:
        """Half the distance of a query from each of a few references, by subtraction."""
        share = jnp.where(scale > 1, 0.5, 1).astype(dtype)  # where the difference may overflow
        half = lambda r: norm(r * share - query * share, ord) * (0.5 / share)
        return jnp.where(jnp.isfinite(chunk).all(axis=1), jax.vmap(half)(chunk), jnp.inf)

    def bounds(chunk: jax.Array) -> jax.Array:
        """A lower bound that grows with the distance, shape (n, chunk)."""
        if ord != 2:
            return jax.lax.map(lambda query: halves(chunk, query), points)
        other = chunk * inverse - centre
        cross = matmul(centred, other.T)
        squares = jnp.sum(centred * centred, axis=1)[:, None] + jnp.sum(other * other, axis=1)[None]
        bound = (1 - rounding) * squares - 2 * cross - lost
        return jnp.where(jnp.isfinite(chunk).all(axis=1)[None], bound, jnp.inf)

    def compare(step: jax.Array, best: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        start, chunk = chunk_at(step)
        index = start + jnp.arange(chunk_size, dtype=jnp.int32)
        new = others(step, index, query_labels)
        bound = jnp.concatenate([best[0], jnp.where(new, bounds(chunk), jnp.inf)], axis=1)
        index = jnp.concatenate([best[1], jnp.broadcast_to(index, (num, chunk_size))], axis=1)
        negative, place = jax.lax.top_k(-bound, _NUM_CANDIDATES)
        return -negative, jnp.take_along_axis(index, place, axis=1)

    def others(step: jax.Array, index: jax.Array, labels: jax.Array) -> jax.Array:
        """Which of a chunk are new and of another class than the labels, shape (n, chunk)."""
        chunk_labels = jax.lax.dynamic_slice_in_dim(reference_labels, index[0], chunk_size)
        new = (index >= first + step * chunk_size) & (index < stop)
        return (chunk_labels[None] != labels[:, None]) & new[None]

    def subtract(query: jax.Array, label: jax.Array) -> jax.Array:
        """The nearest reference of another class, all of them compared by subtraction."""

        def closer(step, best):
            start, chunk = chunk_at(step)
            index = start + jnp.arange(chunk_size, dtype=jnp.int32)
            distance = jnp.where(others(step, index, label[None])[0], halves(chunk, query), jnp.inf)
            place = jnp.argmin(distance)
            better = distance[place] < best[0]
            return jnp.where(better, distance[place], best[0]), jnp.where(
                better, index[place], best[1]
            )

        none = jnp.full((), jnp.inf, dtype), jnp.full((), -1, jnp.int32)
        return jax.lax.fori_loop(0, num_chunks, closer, none)[1]

    none = (
        jnp.full((num, _NUM_CANDIDATES), jnp.inf, dtype),
        jnp.full((num, _NUM_CANDIDATES), -1, jnp.int32),
    )
    bound, candidates = jax.lax.fori_loop(0, num_chunks, compare, none)
    chosen = searched[candidates].reshape(num, _NUM_CANDIDATES, dim).astype(dtype)
    radii = jax.vmap(halves)(chosen, points)
    radii = jnp.where(jnp.isfinite(bound), radii, jnp.inf)
    winner = jnp.argmin(radii, axis=1)[:, None]
    index = jnp.take_along_axis(candidates, winner, axis=1)[:, 0]
    if ord == 2:
        square = (2 * radii.min(axis=1) * inverse) ** 2
        # No reference left out is nearer than the bound of the last candidate.
        certain = (1 + rounding) * square + lost <= bound[:, -1]
        certain |= ~usable

        def settle(carry):
            certain, index = carry
            one = jnp.argmin(certain)  # the first that is not certain
            found = subtract(points[one], query_labels[one])
            return certain.at[one].set(True), index.at[one].set(found)

        unsettled = lambda carry: ~carry[0].all()
        _, index = jax.lax.while_loop(unsettled, settle, (certain, index))

    nearest = references[index].reshape(num, dim).astype(dtype)
    radius = jax.vmap(lambda r, q: halves(r[None], q)[0])(nearest, ends)
    radius = jnp.where(index >= 0, radius, jnp.inf)
    index = jnp.where(jnp.isfinite(radius), index, -1)
    return NearestNeighbour(jnp.where(usable, radius, jnp.nan).astype(queries.dtype), index)


def _finite(x: jax.Array) -> jax.Array:
    return jnp.where(jnp.isfinite(x), x, 0)


def _largest(x: jax.Array) -> jax.Array:
    return jnp.max(jnp.abs(_finite(x)), initial=0)
