"""The last pivot of a product of Gaussian matrices: the interpolator's radius in family B."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._checks import check_counts
from ._chi import chi
from ._law import Law, make_law

STEP = 0.125
COSH = np.cosh(np.arange(0, 85, STEP))  # finite in float32
WEIGHTS = STEP * np.where(np.arange(len(COSH)) == 0, 0.5, 1.0)  # both integrands are even


def pivot(layers: int = 1, *, excess: int = 0) -> Law:
    r"""Family B: radius $|R_{dd}|$ of the interpolator, a product of independent |N(0, 1)|.

    The same in every dimension. For two layers the density is $\tfrac2\pi K_0(x)$. Where a mixing
    matrix has more rows than d, it contributes $\chi_{n - d + 1}$ instead: the length that is left
    of a column of n entries once the directions of d − 1 others are taken off.

    Parameters
    ----------
    layers
        Number of mixing matrices, 1 or 2; 1 with an excess. For more there is no simple closed
        form: use `empirical` on products of samples of one layer.
    excess
        n − d, by how many the rows are more than the dimension d of the code, at least 0.

    Returns
    -------
    Law
        Of the radius, in units of the points' coordinates.

    Raises
    ------
    ValueError
        If `layers` is neither 1 nor 2, or not 1 with an excess; if `excess` is below 0.

    Examples
    --------
    >>> from fracture.theory import pivot
    >>> square, wide = pivot(), pivot(excess=64)
    >>> print(f"medians {square.quantile(0.5):.2f} and {wide.quantile(0.5):.2f}, about √65")
    medians 0.67 and 8.02, about √65

    Notes
    -----
    For two layers, with $K_0(x) = \int_0^\infty e^{-x \cosh t} dt$ and its integral
    $\int_0^x K_0 = \int_0^\infty (1 - e^{-x \cosh t}) / \cosh t \, dt$: both integrands are even,
    analytic and bounded for $|\mathrm{Im}\, t| < \pi/2$, so the trapezoidal rule converges
    geometrically (Trefethen and Weideman 2014, "The exponentially convergent trapezoidal rule",
    Section 5). Relative errors are of the order of the rounding for x between 1e-20 and 50;
    the density at 0 is infinite.
    """
    check_counts(0, excess=excess)
    if layers == 1:
        return chi(excess + 1, 1.0)
    if layers != 2:
        raise ValueError(f"layers must be 1 or 2, got {layers}: sample_hypercube takes any number.")
    if excess:
        raise ValueError(f"layers must be 1 where the excess is {excess}, got {layers}.")

    def pdf(x):
        value = 2 / math.pi * _trapezoid(lambda c: jnp.exp(-x * c), x)
        value = jnp.where(x == 0, jnp.inf, value)
        return jnp.where(x < 0, 0, value)

    def cdf(x):
        x = jnp.maximum(x, 0)
        return jnp.minimum(2 / math.pi * _trapezoid(lambda c: -jnp.expm1(-x * c) / c, x), 1)

    def draw(key, shape, dtype):
        return jnp.abs(jax.random.normal(key, (2, *shape), dtype).prod(0))

    return make_law(pdf, cdf, draw, upper=math.inf)


def _trapezoid(integrand, x: Array) -> Array:
    """Sum of `integrand(cosh t)` over the grid, one node at a time to save memory."""
    cosh, weights = jnp.asarray(COSH, x.dtype), jnp.asarray(WEIGHTS, x.dtype)
    add = lambda i, total: total + weights[i] * integrand(cosh[i])
    return jax.lax.fori_loop(0, len(COSH), add, jnp.zeros_like(x))
