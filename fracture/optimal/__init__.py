"""What the best classifier needs: optimal radii of finite sets, hypercubes and Gaussian classes.

`optimum(task, index)` knows which of them a family of `fracture.data` takes.
"""

from ._gaussian import BayesRadius, bayes_radius, bayes_radius_shared
from ._hypercube import HypercubeRadius, hypercube_radius, twin_displacement
from ._max_margin import LinearMargin, max_margin
from ._nearest import NearestNeighbour, nearest_neighbour, nearest_neighbour_by_count
from ._optimum import Bound, Optimum, optimum

__all__ = [
    "BayesRadius",
    "Bound",
    "HypercubeRadius",
    "LinearMargin",
    "NearestNeighbour",
    "Optimum",
    "bayes_radius",
    "bayes_radius_shared",
    "hypercube_radius",
    "max_margin",
    "nearest_neighbour",
    "nearest_neighbour_by_count",
    "optimum",
    "twin_displacement",
]
