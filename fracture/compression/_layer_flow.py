"""Layer by layer: what has arrived from the input, and what the next layer discards of it."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from .._linalg import matmul
from .._typing import LogitsFn
from ..norms import at_least_float32
from ._alignment import contrast
from ._arrays import as_float, normalized, widest
from ._dimension import effective_rank
from ._jacobian import jacobian
from ._layers import as_pair, ending_in, stack
from ._projection import project
from ._spectrum import spectrum


class LayerFlow(NamedTuple):
    r"""One entry per layer, the input first; $h_l$ the features that enter stage l.

    Attributes
    ----------
    discarded
        1 - ‖P Δh_l‖²/‖Δh_l‖², P on the row space of ∂h_{l+1}/∂h_l.
    rank
        Dimension of that row space; -1 where something is not finite.
    dim
        Number of features.
    effective_rank
        Effective rank of ∂h_l/∂x, the Jacobian from the input.
    """

    discarded: Float[Array, " layers"]
    rank: Int[Array, " layers"]
    dim: Int[Array, " layers"]
    effective_rank: Float[Array, " layers"]


def layer_flow(
    stages: Sequence[LogitsFn],
    x: ArrayLike,
    x_other: ArrayLike,
    *,
    rtol: float | None = None,
    chunk_size: int | None = None,
) -> LayerFlow:
    r"""Share of a displacement that each layer discards, and spread of what reaches it.

    The network is given as its stages, $h_0 = x$, $h_{l+1} = \mathrm{stage}_l(h_l)$, the last
    output being the logits. With $\Delta h_l = h_l(x') - h_l(x)$ and the Jacobian
    $S_l = \partial h_{l+1} / \partial h_l$ at `x`, the share of its energy
    $1 - \|P_{\mathrm{row}(S_l)} \Delta h_l\|_2^2 / \|\Delta h_l\|_2^2$ is invisible to stage l
    alone, while `layer_compression` asks what all stages from l on read. A random displacement
    would lose `1 - rank / dim`. What a layer shrinks, however much, is not discarded: that shows
    in the effective rank of $S_{l-1} \cdots S_0$. The last stage counts without the shift that
    all logits share.

    All Jacobians are dense: for layers of up to a few thousand features. Up to three of them are
    in memory at a time; each is computed along its smaller side.

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
        Rows or columns of a Jacobian computed together, as in `jacobian`.

    Returns
    -------
    LayerFlow
        Arrays with one entry per stage, for the features that enter it. The effective rank is
        the dimension for the input; that of the Jacobian to the logits is the first one of
        `layer_compression`.

    Raises
    ------
    TypeError
        If `x`, `x_other` or features are not floating-point arrays.
    ValueError
        If there are no stages, the inputs differ in shape, or an option is out of its range.
    """
    h, h_other = as_pair(x, x_other)
    stages = ending_in(contrast, stages)

    from_input: Array | None = None  # ∂h_l/∂x, up to a factor
    projections, dims = [], []
    spreads = [jnp.array(h.size, widest(h.dtype, jnp.float32))]
    with jax.default_matmul_precision("float32"):
        for index, stage in enumerate(stages):
            h = as_float(h, f"the input of stage {index}")
            if from_input is not None:
                spreads.append(effective_rank(spectrum(from_input, method="qr")))
            step = at_least_float32(jacobian(stage, h, chunk_size=chunk_size))
            projections.append(project(step, (h_other - h).ravel(), rtol=rtol))
            dims.append(h.size)
            if index < len(stages) - 1:
                from_input = step if from_input is None else _product(step, from_input)
                h, h_other = stage(h), stage(h_other)

    ratio = stack([p.ratio for p in projections])
    return LayerFlow(
        discarded=((1 - ratio) * (1 + ratio)).clip(0),
        rank=stack([p.rank for p in projections]),
        dim=jnp.array(dims, jnp.int32),
        effective_rank=stack(spreads),
    )


def _product(step: Array, from_input: Array) -> Array:
    """At a scale of about 1: a product of many Jacobians neither under- nor overflows."""
    dtype = widest(step.dtype, from_input.dtype)
    factors = [normalized(matrix.astype(dtype))[0] for matrix in (step, from_input)]
    return matmul(*factors)
