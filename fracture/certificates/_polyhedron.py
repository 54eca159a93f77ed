"""The point of a polyhedron that is nearest to the origin, with its multipliers."""

from math import isinf

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

_STEPS = 20  # of the interior-point method; twelve give six digits
_PENALTY = 1e3  # of leaving the polyhedron, for one that is empty


def nearest_point(
    rows: Float[Array, "n d"],
    limits: Float[Array, " n"],
    low: Float[Array, " d"],
    high: Float[Array, " d"],
    ord: int | float,
) -> tuple[Float[Array, " d"], Float[Array, " n"]]:
    """Minimise ‖δ‖, in l2 or l∞, subject to rows @ δ ≤ limits and low ≤ δ ≤ high.

    Mehrotra's predictor-corrector method on a dense system of size d: for small problems. Nothing
    is certified here: with any multipliers the rows add up to a half-space that contains the
    polyhedron, and its distance is a bound.

    Parameters
    ----------
    rows, limits
        Half-spaces, of about unit norms.
    low, high
        Infinite for none.
    ord
        2 or inf.

    Returns
    -------
    delta, multipliers
        Of an empty polyhedron the multipliers are large, and of half-spaces that exclude each
        other.
    """
    n, d = rows.shape
    dtype = rows.dtype
    cube = isinf(ord)
    eye, one = jnp.eye(d, dtype=dtype), jnp.ones((d, 1), dtype)
    (upper, high), (lower, low) = _ends(high), _ends(-low)
    # Variables: δ, how far the rows are violated, and in l∞ the norm.
    zero = jnp.zeros(d, dtype)
    parts = [
        (rows, -jnp.ones((n, 1), dtype), jnp.zeros((n, 1), dtype), limits),
        (upper, 0 * one, 0 * one, high),
        (-lower, 0 * one, 0 * one, low),
        (zero[None], -one[:1], 0 * one[:1], zero[:1]),
    ]
    if cube:
        parts += [(eye, 0 * one, -one, zero), (-eye, 0 * one, -one, zero)]
    matrix = jnp.concatenate([jnp.concatenate(part[:3], axis=1) for part in parts])
    right = jnp.concatenate([part[3] for part in parts])
    small = jnp.finfo(dtype).eps
    square = jnp.concatenate([jnp.full(d, 0 if cube else 1, dtype), jnp.zeros(2, dtype)])
    linear = jnp.concatenate([zero, jnp.array([_PENALTY, 1 if cube else 0], dtype)])

    def length(value, step):
        most = jnp.where(step < 0, -value / jnp.where(step < 0, step, 1), jnp.inf)
        return jnp.minimum(1, 0.995 * jnp.min(most))

    def improve(_, carry):
        v, s, y = carry
        dual = square * v + linear + y @ matrix
        primal = matrix @ v + s - right
        mean = jnp.mean(s * y)
        system = matrix.T @ ((y / s)[:, None] * matrix) + jnp.diag(square + small)
        scale = 1 / jnp.sqrt(jnp.diag(system))
        scaled = system * jnp.outer(scale, scale) + 4 * small * jnp.eye(d + 2, dtype=dtype)
        factor = jax.scipy.linalg.cho_factor(scaled)

        def direction(center):
            right = -dual - ((y * primal - center) / s) @ matrix
            dv = scale * jax.scipy.linalg.cho_solve(factor, scale * right)
            ds = -primal - matrix @ dv
            return dv, ds, (-center - y * ds) / s

        _, ds, dy = direction(s * y)
        p, q = length(s, ds), length(y, dy)
        ahead = jnp.mean((s + p * ds) * (y + q * dy))
        # The full correction is for full steps: a short one would lead away from the center.
        share = jnp.minimum(p, q) ** 2
        center = s * y + share * ds * dy - jnp.clip(ahead / mean, 1e-2, 1) ** 3 * mean
        dv, ds, dy = direction(center)
        p, q = length(s, ds), length(y, dy)
        new = v + p * dv, s + p * ds, y + q * dy
        # Beyond that, differences of numbers that have met are all that is left.
        going = mean > small**0.75
        fine = going & jnp.all(jnp.isfinite(new[0])) & jnp.all(new[1] > 0) & jnp.all(new[2] > 0)
        return jax.tree.map(lambda a, b: jnp.where(fine, a, b), new, carry)

    v = jnp.concatenate([zero, jnp.ones(2, dtype)])
    s = jnp.maximum(right - matrix @ v, 0.1)
    carry = v, s, 1 / s
    v, _, y = jax.lax.fori_loop(0, _STEPS, improve, carry)
    return v[:d], y[:n]


def _ends(end: Array) -> tuple[Array, Array]:
    """Rows and limits of δ ≤ end; an infinite end is no row."""
    finite = jnp.isfinite(end)
    return jnp.diag(finite.astype(end.dtype)), jnp.where(finite, end, 1)
