"""Distribution function of a smooth density by Gauss-Legendre quadrature on panels."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

PANELS = 128  # about 0.6 standard deviations each on the windows used here
NODES = 12


def normalise(
    log_density: Callable[[Any, ModuleType], Any], lower: float, upper: float
) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Density and distribution function from an unnormalised log-density on a window.

    The masses of the panels are summed once, in NumPy's float64, so that a float32 argument costs
    no more than its own rounding: the incomplete beta and gamma functions subtract log-gammas and
    lose 3 % in float32 at a dimension of 100,000. From the left edge of its panel to the argument
    the same rule runs in the argument's dtype, which keeps small probabilities accurate relative
    to themselves and makes the distribution function differentiable.

    Parameters
    ----------
    log_density
        `log_density(x, xp)` with `xp` either `numpy` or `jax.numpy`, smooth inside the window.
    lower, upper
        Window; what lies outside must be negligible (or impossible).
    """
    nodes, weights = np.polynomial.legendre.leggauss(NODES)
    nodes, weights = (nodes + 1) / 2, weights / 2  # on [0, 1]
    edges = np.linspace(lower, upper, PANELS + 1)
    width = (upper - lower) / PANELS
    density = np.exp(log_density(edges[:-1, None] + width * nodes, np))
    mass = np.concatenate([[0.0], np.cumsum(width * density @ weights)])
    mass, log_total = mass / mass[-1], float(np.log(mass[-1]))

    def pdf(x):
        inside = (x >= lower) & (x <= upper)
        value = jnp.exp(log_density(jnp.where(inside, x, lower), jnp) - log_total)
        return jnp.where(jnp.isnan(x), jnp.nan, jnp.where(inside, value, 0))

    def cdf(x):
        panel = jnp.clip(jnp.floor((x - lower) / width), 0, PANELS - 1).astype(jnp.int32)
        start = jnp.asarray(edges, x.dtype)[panel]
        step = jnp.clip(x - start, 0, upper - start)
        term = lambda node, weight: weight * pdf(start + step * node)
        terms = jax.vmap(term)(jnp.asarray(nodes, x.dtype), jnp.asarray(weights, x.dtype))
        total = jnp.asarray(mass, x.dtype)[panel] + step * terms.sum(0)
        return jnp.where(x >= upper, jnp.ones_like(x), jnp.minimum(total, 1))

    return pdf, cdf


def log_ratio(x: Any, mode: float, xp: ModuleType) -> tuple[Any, Any]:
    """`log(x / mode)` and `x / mode - 1`, the first without cancellation near 0 and near 1."""
    excess = (x - mode) / mode
    near = xp.abs(excess) < 0.5
    log = xp.where(near, xp.log1p(xp.where(near, excess, 0)), xp.log(x / mode))
    return log, excess
