"""What a network reads and how its features lie: spectra, dimensions, projections, collapse."""

from ._alignment import contrast, margin_compression, span_compression
from ._collapse import NeuralCollapse, neural_collapse
from ._dimension import effective_rank, numerical_rank, participation_ratio, stable_rank
from ._factors import LawFactors, law_factors
from ._information import LayerInformation, gaussian_information, layer_information
from ._intrinsic import mle_dimension, two_nn
from ._jacobian import jacobian
from ._layer_features import LayerFeatures, layer_features
from ._layer_flow import LayerFlow, layer_flow
from ._layers import LayerCompression, layer_compression
from ._projection import Projection, null_ratio, project, project_and_spectrum, random_subspace
from ._similarity import linear_cka
from ._spectrum import feature_spectrum, spectrum
from ._typicality import ClassGaussians, atypicality, class_gaussians

__all__ = [
    "ClassGaussians",
    "LawFactors",
    "LayerCompression",
    "LayerFeatures",
    "LayerFlow",
    "LayerInformation",
    "NeuralCollapse",
    "Projection",
    "atypicality",
    "class_gaussians",
    "contrast",
    "effective_rank",
    "feature_spectrum",
    "gaussian_information",
    "jacobian",
    "law_factors",
    "layer_compression",
    "layer_features",
    "layer_flow",
    "layer_information",
    "linear_cka",
    "margin_compression",
    "mle_dimension",
    "neural_collapse",
    "null_ratio",
    "numerical_rank",
    "participation_ratio",
    "project",
    "project_and_spectrum",
    "random_subspace",
    "span_compression",
    "spectrum",
    "stable_rank",
    "two_nn",
]
