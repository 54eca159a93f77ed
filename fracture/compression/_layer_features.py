"""Layer by layer: how many directions the features of a data set spread over."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from .._typing import LogitsFn
from ._arrays import as_float
from ._dimension import effective_rank
from ._jacobian import map_rows
from ._layers import ending_in, stack
from ._spectrum import feature_spectrum


class LayerFeatures(NamedTuple):
    """One entry per stage, for the features that enter it, and a last one for the logits.

    Attributes
    ----------
    spectra
        Standard deviations along the principal axes.
    effective_rank
        Effective rank of each spectrum; 0 for constant features.
    dim
        Number of features.
    """

    spectra: tuple[Float[Array, " k"], ...]
    effective_rank: Float[Array, " layers+1"]
    dim: Int[Array, " layers+1"]


def layer_features(
    stages: Sequence[LogitsFn], inputs: ArrayLike, *, chunk_size: int | None = None
) -> LayerFeatures:
    r"""Spectrum and effective rank of the features of each layer, over a data set.

    The network is given as its stages, $h_0 = x$, $h_{l+1} = \mathrm{stage}_l(h_l)$, each a
    function of ONE example. Of the features $h_l$ of all inputs, the mean is subtracted; the
    spectrum is that of `feature_spectrum`, the roots of the eigenvalues of their covariance. The
    features of no more than two layers are in memory together.

    Parameters
    ----------
    stages
        Functions of one array that returns one array, the last one the logits; one output f
        stands for the logits (f/2, -f/2).
    inputs
        One input per row, shape `(n, …)`, n at least 2.
    chunk_size
        Inputs that go through a stage together; default: all of them.

    Returns
    -------
    LayerFeatures
        Spectra of `min(n, d)` values each, their effective ranks, and the numbers of features.
        NaN where features are not finite.

    Raises
    ------
    TypeError
        If `inputs` or features are not floating-point arrays.
    ValueError
        If there are no stages, fewer than two inputs, or `chunk_size` is less than 1.
    """
    h = as_float(inputs, "inputs")
    if h.ndim < 1 or len(h) < 2:
        raise ValueError(f"inputs must be (n >= 2, …), got shape {h.shape}.")
    stages = ending_in(lambda logits: logits, stages)

    spectra, dims = [], []
    with jax.default_matmul_precision("float32"):
        for index, features in enumerate(_outputs(stages, h, chunk_size)):
            rows = as_float(features, f"the input of stage {index}").reshape(len(h), -1)
            spectra.append(feature_spectrum(rows))
            dims.append(rows.shape[1])
    ranks = stack([effective_rank(s) for s in spectra])
    return LayerFeatures(tuple(spectra), ranks, jnp.array(dims, jnp.int32))


def _outputs(stages: Sequence[LogitsFn], h: Array, chunk_size: int | None) -> Iterator[Array]:
    """The inputs, then what each stage returns for them."""
    yield h
    for stage in stages:
        h = map_rows(stage, h, chunk_size)
        yield h
