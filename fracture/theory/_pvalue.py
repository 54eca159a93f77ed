"""How often a random subspace would read as much: the tail of the compression law, rank by rank."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..norms import positive
from ._chi import HALF_WIDTH
from ._law import as_float

PANELS = 64  # 1.2 standard deviations each at most
NODES, WEIGHTS = np.polynomial.legendre.leggauss(12)


@jax.jit
def null_pvalue(ratio: ArrayLike, rank: ArrayLike, dim: ArrayLike) -> Float[Array, "..."]:
    r"""Probability that a random subspace contains at least this share of a displacement.

    $1 - F(\rho)$ with F the distribution function of `compression(dim, rank)`: uniform on [0, 1]
    for a network that knows nothing about the displacement. The ratio to
    `fracture.compression.null_ratio`, a root mean square, is below 1 for most of such networks
    too; this says what a single input shows.

    Parameters
    ----------
    ratio
        $\rho$, an array of any shape; its dtype is that of the result.
    rank
        Dimension k of the subspace, integers that broadcast against `ratio`; may be traced.
    dim
        Dimension d of the whole space, the same.

    Returns
    -------
    Float[Array, "..."]
        1 where the subspace is everything or nothing (k is d or 0): the ratio says nothing there.
        NaN for a ratio of NaN, and for a rank that is negative or above `dim`.
    """
    ratio = as_float(ratio)
    shape = jnp.broadcast_shapes(ratio.shape, jnp.shape(rank), jnp.shape(dim))
    dtype = ratio.dtype if ratio.dtype.itemsize > 4 else jnp.dtype("float32")
    rho, k, d = (jnp.broadcast_to(jnp.asarray(v, dtype), shape) for v in (ratio, rank, dim))
    inside = (k >= 1) & (k < d)
    # The angle θ = arcsin ρ has the smooth, log-concave density sin^a θ cos^b θ.
    a, b = (jnp.where(inside, power - 1, 0) for power in (k, d - k))
    total = jnp.maximum(a + b, 1)
    mode = a / total  # sin² θ where it is largest
    centre, width = jnp.arcsin(jnp.sqrt(mode)), HALF_WIDTH / jnp.sqrt(total)
    lower, upper = jnp.maximum(centre - width, 0), jnp.minimum(centre + width, np.pi / 2)

    nodes, weights = jnp.asarray(NODES, dtype), jnp.asarray(WEIGHTS, dtype)

    def mass(left: Array) -> Array:
        """Integral of the density from `left` to `upper`, by Gauss-Legendre quadrature."""
        half = (upper - left) / (2 * PANELS)

        def add(panel, total):
            middle = left + half * (2 * panel.astype(dtype) + 1)
            at = lambda node, weight: weight * _density(middle + half * node, a, b, mode)
            return total + jax.vmap(at)(nodes, weights).sum(0)

        return half * jax.lax.fori_loop(0, PANELS, add, jnp.zeros_like(left))

    start = jnp.clip(jnp.arcsin(jnp.clip(rho, 0, 1)), lower, upper)
    above, all_ = jax.lax.map(mass, jnp.stack([start, lower]))
    tail = jnp.where(inside, above / all_, 1)
    defined = (k >= 0) & (k <= d) & ~jnp.isnan(rho)
    return jnp.where(defined, tail, jnp.nan).astype(ratio.dtype)


def _density(angle: Array, a: Array, b: Array, mode: Array) -> Array:
    """sin^a cos^b of the angle, over its largest value, without cancellation near the mode."""
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    # Terms of first order are left out of both logarithms: together they are 0.
    between = (a > 0) & (b > 0)
    rise, fall = sine**2 - mode, mode - sine**2
    up = _log_ratio(rise, mode, sine, between)
    down = _log_ratio(fall, 1 - mode, cosine, between)
    return jnp.exp((a * up + b * down) / 2)


def _log_ratio(excess: Array, mode: Array, root: Array, balanced: Array) -> Array:
    """log(root² / mode), where balanced less its term of first order, excess / mode."""
    mode = positive(mode)
    excess = excess / mode
    near = jnp.abs(excess) < 0.5
    log = jnp.log1p(jnp.where(near, excess, 0))
    far = 2 * jnp.log(jnp.maximum(jnp.abs(root), jnp.finfo(root.dtype).tiny)) - jnp.log(mode)
    return jnp.where(near, log, far) - jnp.where(balanced, excess, 0)
