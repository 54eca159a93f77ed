"""What theory predicts: exact laws of radii and compression ratios, as distributions.

The families are those of `fracture.data`: A, one Gaussian point per class (`gaussian_points`), and
B, a hypercube mixed by one or several Gaussian matrices (`mixed_hypercube`).

====================================  =========================================================
quantity                              law
====================================  =========================================================
A, radius towards one other class     `pairwise_radius()`, the same for every dimension
A, optimal radius of that pair        `pairwise_optimal_radius(dim)`
A, ratio of the two                   `compression(dim)`
A, radius over all other classes      `empirical(sample_points(key, num, dim).network)`
B, radius of the interpolator         `pivot(layers)`, the same for every dimension
B, the same, of n × d matrices        `pivot(excess=n - d)`
B, claimed optimal radius             `hypercube_optimal_radius(dim)`
B, ratio of the two                   `compression(dim)`; `mixing_compression` for several layers
k directions read at random           `compression(dim, k)`, the null model of any network
chance of at least a measured share   `null_pvalue(ratio, k, dim)`
distance from errors on a sphere      at most `cap_distance(error_rate, dim)`, on average
====================================  =========================================================
"""

from ._chi import hypercube_optimal_radius, pairwise_optimal_radius, pairwise_radius
from ._compression import compression
from ._law import Law, empirical
from ._pivot import pivot
from ._pvalue import null_pvalue
from ._radii import Radii, mixing_compression, sample_hypercube, sample_points
from ._sphere import cap_angle, cap_distance

__all__ = [
    "Law",
    "Radii",
    "cap_angle",
    "cap_distance",
    "compression",
    "empirical",
    "hypercube_optimal_radius",
    "mixing_compression",
    "null_pvalue",
    "pairwise_optimal_radius",
    "pairwise_radius",
    "pivot",
    "sample_hypercube",
    "sample_points",
]
