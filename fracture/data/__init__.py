"""Labelled data: synthetic families that know their own geometry, and real images.

A task is a NamedTuple of arrays, `inputs[n, ...]` and `labels[n]` first, then what the family
knows exactly. Generators take a key first; item i depends on the key and on i only, never on the
number of items.
"""

from ._concentric_spheres import ConcentricSpheres, concentric_spheres
from ._digits import Digits, digits
from ._gaussian_classes import GaussianClasses, correlated_gaussians, spiked_covariance
from ._gaussian_mixture import GaussianMixture, gaussian_mixture
from ._gaussian_points import GaussianPoints, gaussian_points
from ._imagenet import imagenet_classes, imagenet_samples, load_photographs
from ._linear_subspace import LinearSubspace, linear_subspace
from ._load import LabelledData, load_idx, load_npz
from ._mixed_hypercube import MixedHypercube, mixed_hypercube
from ._resize import area_resize
from ._split import split

__all__ = [
    "ConcentricSpheres",
    "Digits",
    "GaussianClasses",
    "GaussianMixture",
    "GaussianPoints",
    "LabelledData",
    "LinearSubspace",
    "MixedHypercube",
    "area_resize",
    "concentric_spheres",
    "correlated_gaussians",
    "digits",
    "gaussian_mixture",
    "gaussian_points",
    "imagenet_classes",
    "imagenet_samples",
    "linear_subspace",
    "load_idx",
    "load_npz",
    "load_photographs",
    "mixed_hypercube",
    "spiked_covariance",
    "split",
]
