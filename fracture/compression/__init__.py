"""What a network reads: Jacobian spectra, effective dimensions, projections of displacements."""

from ._alignment import margin_compression, span_compression
from ._dimension import effective_rank, numerical_rank, participation_ratio, stable_rank
from ._factors import LawFactors, law_factors
from ._jacobian import jacobian
from ._layers import LayerCompression, layer_compression
from ._projection import Projection, null_ratio, project, random_subspace
from ._spectrum import feature_spectrum, spectrum

__all__ = [
    "LawFactors",
    "LayerCompression",
    "Projection",
    "effective_rank",
    "feature_spectrum",
    "jacobian",
    "law_factors",
    "layer_compression",
    "margin_compression",
    "null_ratio",
    "numerical_rank",
    "participation_ratio",
    "project",
    "random_subspace",
    "span_compression",
    "spectrum",
    "stable_rank",
]
