"""Caps of the unit sphere: how large they are, and how far the rest of the sphere is from them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ._law import as_float

_NODES = 4096
_HALF_WIDTH = 9.0  # standard deviations of the angle, beyond which next to nothing lies


class _Angles(NamedTuple):
    """Angles from a pole, the share of the sphere at each, and that within it."""

    at: Float[Array, " nodes"]
    share: Float[Array, " nodes"]
    within: Float[Array, " nodes"]


def cap_angle(share: Float[ArrayLike, "..."], dim: ArrayLike) -> Float[Array, "..."]:
    r"""Angle from its centre to the rim of the cap that holds a share of the unit sphere.

    The angle of a uniform point of the sphere in R^d from a fixed one has the density
    $\propto \sin^{d-2} \theta$.

    Parameters
    ----------
    share
        Between 0 and 1, an array of any shape; its dtype is that of the result. 0 and 1 apart, no
        nearer to either than about 1e-6 in float32, 1e-15 in float64.
    dim
        d, one number of at least 2; need not be an integer, as an estimated dimension plus one, and
        may be traced.

    Returns
    -------
    Float[Array, "..."]
        In radians, to about 1e-4 of a standard deviation of the angle, $1/\sqrt d$; NaN outside
        [0, 1].
    """
    share = as_float(share)
    angles = _angles(dim, share.dtype)
    found = jnp.interp(share, angles.within, angles.at)
    found = jnp.where(share > 0, jnp.where(share < 1, found, jnp.pi), 0)
    return jnp.where((share >= 0) & (share <= 1), found, jnp.nan)


def cap_distance(share: Float[ArrayLike, "..."], dim: ArrayLike) -> Float[Array, "..."]:
    r"""Mean distance of a random point of the unit sphere from a cap that holds a share of it.

    By isoperimetry no set of that share is farther away on average: it bounds the distance of
    random points from the errors of any classifier with that error rate. Falls like $1/\sqrt d$.

    Parameters
    ----------
    share, dim
        As of `cap_angle`.

    Returns
    -------
    Float[Array, "..."]
        Mean length of the straight line to the cap, 0 from within it; NaN outside [0, 1].

    References
    ----------
    Gilmer et al. (2018), "Adversarial spheres", arXiv:1801.02774, Theorem 5.1.
    """
    share = as_float(share)
    angles = _angles(dim, share.dtype)
    apart = jnp.maximum(angles.at - cap_angle(share, dim)[..., None], 0)
    return jnp.sum(2 * jnp.sin(apart / 2) * angles.share, axis=-1)


def _angles(dim: ArrayLike, dtype: jax.typing.DTypeLike) -> _Angles:
    """Nodes about the equator, where nearly all of the sphere lies."""
    power = jnp.asarray(dim, dtype) - 2
    half = jnp.minimum(jnp.pi / 2, _HALF_WIDTH / jnp.sqrt(jnp.maximum(power, 1)))
    off = half * jnp.linspace(-1, 1, _NODES, dtype=dtype)
    # The sine of the angle is the cosine of what it is off the equator by; 0 to the 0 is 1.
    cosine = jnp.maximum(jnp.cos(off), jnp.finfo(dtype).tiny)
    density = jnp.exp(power * jnp.log(cosine))
    weights = density.at[jnp.asarray([0, -1])].multiply(0.5)
    mass = weights / weights.sum()
    # By the trapezoidal rule, half of a node's own mass lies before it.
    return _Angles(off + jnp.pi / 2, mass, jnp.cumsum(mass) - mass / 2)
