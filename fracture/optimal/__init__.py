"""What the best classifier needs: optimal radii of finite sets, hypercubes and Gaussian classes."""

from ._gaussian import BayesRadius, bayes_radius, bayes_radius_shared
from ._hypercube import HypercubeRadius, hypercube_radius
from ._max_margin import LinearMargin, max_margin
from ._nearest import NearestNeighbour, nearest_neighbour, nearest_neighbour_by_count

__all__ = [
    "BayesRadius",
    "HypercubeRadius",
    "LinearMargin",
    "NearestNeighbour",
    "bayes_radius",
    "bayes_radius_shared",
    "hypercube_radius",
    "max_margin",
    "nearest_neighbour",
    "nearest_neighbour_by_count",
]
