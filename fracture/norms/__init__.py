r"""Norms of perturbations, their duals, and exact projections.

Every function treats an array of any shape as one vector and keeps its dtype (half precision is
computed in float32). Vectors are scaled by a power of two near their largest entry before anything
is squared, so no scale of the data under- or overflows. Subnormal numbers count as zero on CPUs,
where XLA flushes them (entries below 1.2e-38 in float32, 2.2e-308 in float64).
"""

from .._checks import traced as traced
from ._ball import project_ball
from ._box import broadcast_bounds as broadcast_bounds, project_box
from ._halfspace import halfspace_step, project_halfspace_box
from ._norm import norm, steepest
from ._order import as_number as as_number, check_order as check_order, dual_order
from ._root import (
    first as first,
    guarded_newton as guarded_newton,
    loop_init as loop_init,
)
from ._scale import (
    at_least_float32 as at_least_float32,
    over_largest as over_largest,
    positive as positive,
    power_near as power_near,
)

__all__ = [
    "dual_order",
    "halfspace_step",
    "norm",
    "project_ball",
    "project_box",
    "project_halfspace_box",
    "steepest",
]
