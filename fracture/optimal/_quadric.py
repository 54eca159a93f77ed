"""Distance from the origin to a quadric: one quadratic constraint, hard case included."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._linalg import matmul
from ..norms import first, positive


def quadric_distance(
    hessian: Float[Array, "d d"],
    gradient: Float[Array, " d"],
    value: Float[Array, ""],
    *,
    rounding: Float[Array, ""],
) -> tuple[Float[Array, ""], Float[Array, " d"]]:
    r"""Smallest δ with $q(\delta) = \tfrac12 \delta^\top H \delta + g^\top \delta + c \le 0$.

    In the eigenbasis of H, $\delta_i = -g_i / (\mu + h_i)$ with the one $\mu \ge \max(0, -h_1)$,
    $h_1$ the smallest eigenvalue, at which q vanishes: q grows with μ, so bisection finds it,
    among the floating-point numbers that the excess $e = \mu - \max(0, -h_1)$ can be. In the hard
    case g has no part along the first eigenvector and q is still positive as e → 0: the rest of
    the way is along that eigenvector.

    Parameters
    ----------
    hessian
        Symmetric H, of any signature.
    gradient
        g.
    value
        c = q(0); positive unless the constraint holds already.
    rounding
        Eigenvalues of H up to this size are taken for 0.

    Returns
    -------
    distance, displacement
        0 and zeros where `value` is not positive; inf and zeros where q is positive everywhere;
        nan where an argument is nan.

    References
    ----------
    Moré (1993), "Generalizations of the trust region problem", Section 3.
    """
    dtype = gradient.dtype
    curvature, basis = jnp.linalg.eigh(hessian)
    curvature = jnp.where(jnp.abs(curvature) <= rounding, 0, curvature)
    slope = matmul(basis.T, gradient)
    lowest = curvature[0]
    curved = lowest < 0
    shift = jnp.maximum(-lowest, 0)  # μ = shift + excess
    denominator = jnp.where(curved, curvature - lowest, curvature)  # μ + h, less the excess

    def at(excess: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Displacement in the eigenbasis and q there."""
        ratio = slope / (denominator + excess)
        return -ratio, value - jnp.sum(ratio * ratio * (shift + excess + curvature / 2))

    info = jnp.finfo(dtype)
    least, most = (jnp.exp2(jnp.asarray(e, dtype)) for e in (info.minexp + 24, info.maxexp - 24))
    excess = first(lambda excess: at(excess)[1] > 0, least, most)
    step, rest = at(excess)

    # What is left of q, all of it in the hard case, is made up for along the first eigenvector:
    # the nearer root of h₁ τ²/2 + b τ + rest = 0 in the direction already taken, h₁ < 0.
    b = slope[0] + lowest * step[0]
    side = jnp.where(step[0] < 0, -1, 1).astype(dtype)
    root = jnp.sqrt(jnp.maximum(b * b - 2 * lowest * rest, 0)) - side * b
    tau = side * 2 * jnp.maximum(rest, 0) / positive(root)
    tau = jnp.where(curved & (root > 0), tau, 0)
    step = step.at[0].add(tau)

    exists = curved | (at(least)[1] <= 0)
    displacement = jnp.where(exists & (value > 0), matmul(basis, step), 0)
    distance = jnp.where(exists, jnp.linalg.vector_norm(displacement), jnp.inf)
    distance = jnp.where(value > 0, distance, 0)
    bad = jnp.isnan(value) | jnp.isnan(curvature).any() | jnp.isnan(slope).any()
    return jnp.where(bad, jnp.nan, distance), jnp.where(bad, 0, displacement)
