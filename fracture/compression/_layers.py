"""Layer by layer: the part of a displacement that the rest of the network still reads."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from .._typing import LogitsFn
from ._alignment import contrast
from ._arrays import as_float, widest
from ._dimension import effective_rank
from ._jacobian import map_rows
from ._margin import logits_of
from ._projection import Projection, project_and_spectrum


class LayerCompression(NamedTuple):
    r"""One entry per layer, the input first; $h_l$ the features that enter stage l.

    Attributes
    ----------
    ratio
        ‖P Δh_l‖ / ‖Δh_l‖, P on the row space of ∂(logits)/∂h_l.
    rank
        Dimension of that row space; -1 where something is not finite.
    dim
        Number of features.
    effective_rank
        Effective rank of the Jacobian of the logit differences.
    null_ratio
        Root mean square of the ratio for a random subspace.
    """

    ratio: Float[Array, " layers"]
    rank: Int[Array, " layers"]
    dim: Int[Array, " layers"]
    effective_rank: Float[Array, " layers"]
    null_ratio: Float[Array, " layers"]


def layer_compression(
    stages: Sequence[LogitsFn],
    x: ArrayLike,
    x_other: ArrayLike,
    *,
    rtol: float | None = None,
    chunk_size: int | None = None,
) -> LayerCompression:
    r"""Compression ratio of each layer, for the displacement between two inputs.

    The network is given as its stages, $h_0 = x$, $h_{l+1} = \mathrm{stage}_l(h_l)$, the last
    output being the logits. With $\Delta h_l = h_l(x') - h_l(x)$ and $J_l$ the Jacobian at `x`
    of the logits, without the shift that they share, with respect to $h_l$,
    $\rho_l = \|P_{\mathrm{row}(J_l)} \Delta h_l\|_2 / \|\Delta h_l\|_2$ says where on the way
    the displacement is lost. One backward pass gives all layers; at no time are there more than
    two Jacobians in memory.

    Parameters
    ----------
    stages
        Functions of one array that returns one array, as many as layers; a stage may be any
        piece of the network: a layer, a residual block.
    x, x_other
        Two inputs of the same shape and dtype.
    rtol
        Rank tolerance, as in `project`.
    chunk_size
        Rows of a Jacobian pulled back together, as in `jacobian`.

    Returns
    -------
    LayerCompression
        Arrays with one entry per stage, for the features that enter it.

    Raises
    ------
    TypeError
        If `x`, `x_other` or features are not floating-point arrays.
    ValueError
        If there are no stages, the inputs differ in shape, or an option is out of its range.
    """
    h, h_other = as_pair(x, x_other)
    stages = ending_in(contrast, stages)

    with jax.default_matmul_precision("float32"):
        pullbacks, displacements = [], []
        for index, stage in enumerate(stages):
            h = as_float(h, f"the input of stage {index}")
            displacements.append(h_other - h)
            h, pullback = jax.vjp(stage, h)
            h_other = stage(h_other)
            pullbacks.append(pullback)

        rows = jnp.eye(h.size, dtype=h.dtype)
        projections: list[Projection] = []
        spreads: list[Array] = []
        dims: list[int] = []
        for pullback, delta in zip(reversed(pullbacks), reversed(displacements), strict=True):
            rows = map_rows(partial(_pull, pullback), rows, chunk_size)
            projection, s = project_and_spectrum(rows.reshape(len(rows), -1), delta.ravel(), rtol)
            projections.insert(0, projection)
            spreads.insert(0, effective_rank(s))
            dims.insert(0, delta.size)

    return LayerCompression(
        ratio=stack([p.ratio for p in projections]),
        rank=stack([p.rank for p in projections]),
        dim=jnp.array(dims, jnp.int32),
        effective_rank=stack(spreads),
        null_ratio=stack([p.null_ratio for p in projections]),
    )


def as_pair(x: ArrayLike, x_other: ArrayLike) -> tuple[Array, Array]:
    """Two inputs as floating-point arrays, of the same shape and dtype."""
    h, h_other = as_float(x, "x"), as_float(x_other, "x_other")
    if h.shape != h_other.shape or h.dtype != h_other.dtype:
        raise ValueError(f"x {h.dtype}{h.shape} and x_other {h_other.dtype}{h_other.shape} differ.")
    return h, h_other


def ending_in(read: Callable[[Array], Array], stages: Sequence[LogitsFn]) -> list[LogitsFn]:
    """The stages, the last of which returns `read(logits)`."""
    if not stages:
        raise ValueError("stages is empty: a network has at least one.")
    last = stages[-1]
    return [*stages[:-1], lambda h: read(logits_of(last, h))]


def stack(values: Sequence[Array]) -> Array:
    """One array of scalars, in the widest of their dtypes."""
    dtype = widest(*[value.dtype for value in values])
    return jnp.stack([value.astype(dtype) for value in values])


def _pull(pullback: Callable[[Array], tuple[Array]], row: Array) -> Array:
    return pullback(row)[0]
