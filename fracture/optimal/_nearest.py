"""The nearest point of another class: the optimal radius for a finite set of labelled points."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from .._checks import as_labels
from .._typing import Labels, Order
from ..norms import check_order, norm

_NUM_CANDIDATES = 4  # their distances are computed again by subtraction


class NearestNeighbour(NamedTuple):
    """Nearest reference of another class, for each query."""

    radius: Float[Array, " n"]  # half the distance; inf where there is none, nan for a bad query
    index: Int[Array, " n"]  # type: ignore[assignment]  # of the reference; -1: there is none


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

    At a point of the reference set this is the exact radius of the nearest-neighbour classifier,
    the optimal one when the references are all that can occur. With a sample of the references it
    is an upper bound that falls as references are added (`nearest_neighbour_by_count`).

    For `ord=2`, candidates are chosen by $\|q\|^2 - 2 q^\top r + \|r\|^2$, in full precision and
    after centring, and the distances of the best four are computed again by subtraction. The
    radius does not suffer from cancellation, unless more than four references of other classes lie
    within the rounding of that formula, about $\sqrt\epsilon$ of the data's scale, of the query.

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
    (2020), "A closer look at accuracy vs. robustness", arXiv:2003.02460, Section 3.
    """
    query_labels, reference_labels = _check(queries, query_labels, references, reference_labels)
    ord = check_order(ord)
    if chunk_size < 1:
        raise ValueError(f"chunk_size must be at least 1, got {chunk_size}.")
    size = min(chunk_size, np.shape(references)[0])
    return _search(
        queries, query_labels, references, reference_labels, ord=float(ord), chunk_size=size
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
    references = references if isinstance(references, np.ndarray) else jnp.asarray(references)
    found: list[NearestNeighbour] = []
    for start, stop in zip(starts, counts, strict=True):
        radius, index = nearest_neighbour(
            queries,
            query_labels,
            references[start:stop],
            reference_labels[start:stop],
            ord=ord,
            chunk_size=chunk_size,
        )
        index = jnp.where(index >= 0, index + start, -1)
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
    *,
    ord: float,
    chunk_size: int,
) -> NearestNeighbour:
    num, total = queries.shape[0], references.shape[0]
    # Half precision is for storage: distances are sums of thousands of terms.
    dtype = queries.dtype if queries.dtype.itemsize >= 4 else jnp.dtype(jnp.float32)
    points = queries.reshape(num, -1).astype(dtype)
    usable = jnp.isfinite(points).all(axis=1)
    num_chunks = -(-total // chunk_size)

    def chunk_at(step: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Number of its first reference, and the chunk; the last overlaps the one before."""
        start = jnp.minimum(step.astype(jnp.int32) * chunk_size, total - chunk_size)
        chunk = jax.lax.dynamic_slice_in_dim(references, start, chunk_size)
        return start, chunk.reshape(chunk_size, -1).astype(dtype)

    # A common offset and scale, so that squares neither cancel more than they must nor overflow.
    # The scale is found chunk by chunk: XLA would copy all references to look for it at once.
    centre = _finite(points).mean(axis=0, keepdims=True)
    enlarge = lambda step, scale: jnp.maximum(scale, _largest(chunk_at(step)[1]))
    scale = jax.lax.fori_loop(0, num_chunks if ord == 2 else 0, enlarge, _largest(points))
    scale = jnp.where(scale > 0, scale, 1)
    centred = (points - centre) / scale

    def scores(chunk: jax.Array) -> jax.Array:
        """Monotone in the distance, shape (n, chunk)."""
        if ord != 2:
            distance = jax.vmap(lambda r, q: norm(r - q, ord), (0, None))
            return jax.lax.map(lambda q: distance(chunk, q), points)
        other = (chunk - centre) / scale
        cross = jnp.matmul(centred, other.T, precision="highest")
        squares = jnp.sum(centred * centred, axis=1)[:, None] + jnp.sum(other * other, axis=1)[None]
        return squares - 2 * cross

    def compare(step: jax.Array, best: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        start, chunk = chunk_at(step)
        labels = jax.lax.dynamic_slice_in_dim(reference_labels, start, chunk_size)
        index = start + jnp.arange(chunk_size, dtype=jnp.int32)
        score = scores(chunk)
        new = labels[None] != query_labels[:, None]
        new &= (index >= step * chunk_size)[None] & jnp.isfinite(score)
        score = jnp.concatenate([best[0], jnp.where(new, score, jnp.inf)], axis=1)
        index = jnp.concatenate([best[1], jnp.broadcast_to(index, (num, chunk_size))], axis=1)
        negative, place = jax.lax.top_k(-score, _NUM_CANDIDATES)
        return -negative, jnp.take_along_axis(index, place, axis=1)

    none = (
        jnp.full((num, _NUM_CANDIDATES), jnp.inf, dtype),
        jnp.full((num, _NUM_CANDIDATES), -1, jnp.int32),
    )
    score, index = jax.lax.fori_loop(0, num_chunks, compare, none)

    candidates = references[index].reshape(num, _NUM_CANDIDATES, -1).astype(dtype)
    distance = jax.vmap(jax.vmap(lambda r, q: norm(r - q, ord), (0, None)))(candidates, points)
    distance = jnp.where(jnp.isfinite(score), distance, jnp.inf)
    winner = jnp.argmin(distance, axis=1)[:, None]
    radius = jnp.take_along_axis(distance, winner, axis=1)[:, 0] / 2
    index = jnp.take_along_axis(index, winner, axis=1)[:, 0]
    index = jnp.where(jnp.isfinite(radius), index, -1)
    return NearestNeighbour(jnp.where(usable, radius, jnp.nan).astype(queries.dtype), index)


def _finite(x: jax.Array) -> jax.Array:
    return jnp.where(jnp.isfinite(x), x, 0)


def _largest(x: jax.Array) -> jax.Array:
    return jnp.max(jnp.abs(_finite(x)), initial=0)
