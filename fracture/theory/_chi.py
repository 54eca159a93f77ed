"""Radii that are scaled lengths of Gaussian vectors."""

import functools
import math
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp

from .._checks import check_counts
from ._law import Law, make_law
from ._quadrature import log_ratio, normalise

HALF_WIDTH = 38.7  # exp(-HALF_WIDTH**2 / 2) is the smallest positive float64


def pairwise_radius() -> Law:
    r"""Family A: distance of a point from the network's boundary with ONE given other class.

    $1 / \|r_i - r_j\|$ with $r_i$ the rows of $X^{-1}$; distributed as $|N(0, 1)| / \sqrt 2$ in
    every dimension.

    Returns
    -------
    Law
        Of the radius, in units of the points' coordinates.

    References
    ----------
    Gao et al., arXiv:2406.16200, for the rate; the exact law is this project's.
    """
    return chi(1, math.sqrt(0.5))


def pairwise_optimal_radius(dim: int) -> Law:
    r"""Family A: half the distance of two points of R^dim, $\tfrac12 \sqrt{2 \chi^2_d}$.

    Parameters
    ----------
    dim
        Dimension d, at least 1.

    Returns
    -------
    Law
        Of the radius, in units of the points' coordinates.

    Raises
    ------
    ValueError
        If `dim` is less than 1.
    """
    return chi(dim, math.sqrt(0.5))


def hypercube_optimal_radius(dim: int) -> Law:
    r"""Family B: claimed optimal radius $\|A e_d\| \sim \chi_d$, half the distance of a pair.

    The true optimum is a minimum over all points of the other class (`fracture.optimal`): smaller
    for about half of the points up to d = 20, practically never at d = 64 and beyond.

    Parameters
    ----------
    dim
        Dimension d, at least 1.

    Returns
    -------
    Law
        Of the radius, in units of the points' coordinates.

    Raises
    ------
    ValueError
        If `dim` is less than 1.
    """
    return chi(dim, 1.0)


def chi(degrees: int, scale: float) -> Law:
    """Law of `scale` times the length of a standard Gaussian vector with `degrees` entries."""
    check_counts(dim=degrees)
    return _chi(int(degrees), scale)


@functools.lru_cache(maxsize=256)  # what is compiled for a law serves all who ask for it
def _chi(degrees: int, scale: float) -> Law:
    if degrees == 1:
        return half_normal(scale)
    n = degrees - 1
    mode = math.sqrt(n)

    def log_density(x: Any, xp: ModuleType) -> Any:
        # n log x - x²/2 about the mode, where the terms of first order cancel by hand.
        log, excess = log_ratio(x, mode, xp)
        return n * (log - excess - excess**2 / 2)

    # The log-density is concave with a second derivative of at most -1.
    pdf, cdf = normalise(log_density, max(0.0, mode - HALF_WIDTH), mode + HALF_WIDTH)

    def draw(key, shape, dtype):
        return scale * jnp.sqrt(jax.random.chisquare(key, float(degrees), shape, dtype))

    return make_law(
        lambda x: pdf(x / scale) / scale, lambda x: cdf(x / scale), draw, upper=math.inf
    )


def half_normal(scale: float) -> Law:
    """Law of `scale` times |N(0, 1)|."""
    root = scale * math.sqrt(2)
    height = 2 / (root * math.sqrt(math.pi))
    return make_law(
        lambda x: jnp.where(x < 0, 0, height * jnp.exp(-((x / root) ** 2))),
        lambda x: jax.lax.erf(jnp.maximum(x, 0) / root),
        lambda key, shape, dtype: scale * jnp.abs(jax.random.normal(key, shape, dtype)),
        upper=math.inf,
    )
