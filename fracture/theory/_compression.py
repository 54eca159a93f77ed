"""The compression ratio of a network that reads a few directions unrelated to the displacement."""

import functools
import math
from types import ModuleType
from typing import Any

import jax
import jax.numpy as jnp

from .._checks import check_counts
from ._chi import HALF_WIDTH
from ._law import Law, make_law
from ._quadrature import log_ratio, normalise


def compression(dim: int, directions: int = 1) -> Law:
    r"""Share $\rho = \|P_S \Delta\| / \|\Delta\|$ of a displacement that k random directions see.

    $\rho^2 \sim \mathrm{Beta}(k/2, (d-k)/2)$ when the subspace S of dimension k and the
    displacement are independent and one of them is isotropic. With k = 1 it is the law of the
    robustness ratio of family B and of a pair of classes of family A; its median is about
    $0.6745 / \sqrt d$.

    Parameters
    ----------
    dim
        Dimension d of the input, at least 2.
    directions
        Dimension k of the subspace, 1 to d - 1. (With k = d the ratio is 1, which has no density.)

    Returns
    -------
    Law
        Of the share, between 0 and 1.

    Raises
    ------
    ValueError
        If `dim` is less than 2, or `directions` not between 1 and `dim` - 1.

    Examples
    --------
    >>> from fracture.theory import compression
    >>> law = compression(100)
    >>> print(f"median {law.quantile(0.5):.4f}, and 0.6745 / 10 = {0.6745 / 10:.4f}")
    median 0.0679, and 0.6745 / 10 = 0.0674
    >>> print(f"at most 0.1 with probability {law.cdf(0.1):.3f}")
    at most 0.1 with probability 0.680
    """
    check_counts(2, dim=dim)
    check_counts(directions=directions)
    if directions >= dim:
        raise ValueError(f"directions must be less than dim = {dim}, got {directions}.")
    return _compression(int(dim), int(directions))


@functools.lru_cache(maxsize=256)  # what is compiled for a law serves all who ask for it
def _compression(dim: int, directions: int) -> Law:
    # The angle θ = arcsin ρ has a smooth density, sin^a θ cos^b θ: no singularity at either end.
    a, b = directions - 1, dim - directions - 1
    mode = a / (a + b) if a else 0.0  # sin² θ at the largest density

    def log_density(angle: Any, xp: ModuleType) -> Any:
        sine, cosine = xp.sin(angle), xp.cos(angle)
        if a == 0:
            return b * _log_cosine(sine, cosine, xp)
        if b == 0:
            return a * _log_cosine(cosine, sine, xp)
        # About the mode the terms of first order cancel by hand: a / mode = b / (1 - mode).
        log_sine, excess_sine = log_ratio(sine**2, mode, xp)
        log_cosine, excess_cosine = log_ratio(cosine**2, 1 - mode, xp)
        return a / 2 * (log_sine - excess_sine) + b / 2 * (log_cosine - excess_cosine)

    # The log-density is concave with a second derivative of at most -(√a + √b)² <= -(a + b).
    centre = math.asin(math.sqrt(mode))
    width = HALF_WIDTH / math.sqrt(max(a + b, 1))
    lower, upper = max(0.0, centre - width), min(math.pi / 2, centre + width)
    angle_pdf, angle_cdf = normalise(log_density, lower, upper)
    # The density at 1 is the limit of sin^a θ cos^(b-1) θ, whose integral is 1 / k for b = 1.
    at_one = {0: math.inf, 1: float(directions)}.get(b, 0.0)

    def pdf(x):
        inside = (x >= 0) & (x < 1)
        safe = jnp.where(inside | jnp.isnan(x), x, 0)
        density = angle_pdf(jnp.arcsin(safe)) / jnp.sqrt((1 - safe) * (1 + safe))
        return jnp.where(inside | jnp.isnan(x), density, jnp.where(x == 1, at_one, 0))

    def cdf(x):
        return angle_cdf(jnp.arcsin(jnp.clip(x, 0, 1)))

    def draw(key, shape, dtype):
        return jnp.sqrt(jax.random.beta(key, directions / 2, (dim - directions) / 2, shape, dtype))

    return make_law(pdf, cdf, draw, upper=1.0)


def _log_cosine(sine: Any, cosine: Any, xp: ModuleType) -> Any:
    """Logarithm of the cosine, without cancellation near an angle of 0."""
    small = xp.abs(sine) < 0.5
    return xp.where(small, xp.log1p(-(xp.where(small, sine, 0) ** 2)) / 2, xp.log(xp.abs(cosine)))
