"""The best linear classifier: largest margin, with a certificate of how good it is."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_factor, cho_solve
from jaxtyping import Array, Bool, Float, Int

from .._checks import as_labels, check_counts, require_single_or_double
from .._linalg import matmul
from .._typing import Labels
from ..norms import over_largest, positive


class LinearMargin(NamedTuple):
    """A hyperplane between two classes; class 1 lies where `weight · x + bias` is positive.

    Attributes
    ----------
    weight
        Normal of the hyperplane, of length 1.
    bias
        In units of the inputs.
    margin
        Least distance of a point on its right side; evaluated.
    gap
        No hyperplane has a margin above margin + gap.
    separable
        Whether the margin is positive.
    converged
        Whether the gap is as small as was asked for, or proves inseparability.
    num_steps
        Steps of the interior-point method.
    """

    weight: Float[Array, "*input"]
    bias: Float[Array, ""]
    margin: Float[Array, ""]
    gap: Float[Array, ""]
    separable: Bool[Array, ""]
    converged: Bool[Array, ""]
    num_steps: Int[Array, ""]


class _State(NamedTuple):
    """Iterate of the interior-point method, and the best bounds so far."""

    multipliers: Float[Array, " n"]  # convex weights of the points of each class
    slacks: Float[Array, " n"]
    upper: Float[Array, ""]  # on twice the margin
    lower: Float[Array, ""]
    best: Float[Array, " k"]  # the normal that attains `lower`
    healthy: Bool[Array, ""]
    num_steps: Int[Array, ""]


def max_margin(
    inputs: Float[Array, "n *input"],
    labels: Labels,
    *,
    tol: float | None = None,
    max_steps: int = 100,
) -> LinearMargin:
    r"""Hyperplane with the largest distance from the nearest point of two classes.

    The margin is half the distance between the convex hulls, $\min \tfrac12 \|Z^\top u\|^2$ over
    convex weights u of each class, with rows $\pm x_i$ in Z: a quadratic programme that is
    feasible and bounded whether or not the classes are separable, solved by a primal-dual
    interior-point method. Any u bounds the margin from above by $\|Z^\top u\|/2$, any normal from
    below by what it attains; both are evaluated, so `gap` holds even where the method stalls.

    Parameters
    ----------
    inputs
        Points, shape `(n, ...)`.
    labels
        0 or 1, shape `(n,)`.
    tol
        Stop when the gap is below `tol` times the margin; 1e-8 in float64, 1e-3 in float32 if
        None. Classes are taken for inseparable when the hulls are nearer than `tol` times the
        largest deviation of a coordinate from its mean.
    max_steps
        Largest number of steps, about 10 to 40 of which are needed. Each costs
        O(n min(n, d)² + min(n, d)³).

    Returns
    -------
    hyperplane
        For inseparable classes `margin` is that of the last hyperplane, negative or 0, and
        `margin + gap` is about 0. With points of one class only, `margin` is inf, `weight` zero
        and `bias` ±1. Margin and gap nan where an input is not finite or a label not 0 or 1.

    Raises
    ------
    ValueError
        If shapes disagree, there are no points or an option is out of range.
    TypeError
        If `inputs` is neither float32 nor float64, or `labels` not of an integer type.

    References
    ----------
    Bennett, Bredensteiner (2000), "Duality and geometry in SVM classifiers", ICML; Mehrotra
    (1992), "On the implementation of a primal-dual interior point method".
    """
    labels = as_labels(labels)
    if inputs.ndim < 2 or labels.shape != inputs.shape[:1] or inputs.size == 0:
        raise ValueError(f"Wanted inputs (n, ...), labels (n,): {inputs.shape}, {labels.shape}.")
    require_single_or_double("inputs", inputs)
    check_counts(max_steps=max_steps)
    if tol is not None and not tol > 0:
        raise ValueError(f"tol must be positive, got {tol}.")
    dtype = inputs.dtype
    if tol is None:
        tol = 1e-8 if dtype == jnp.float64 else 1e-3

    num = inputs.shape[0]
    flat = inputs.reshape(num, -1)
    valid = jnp.isfinite(flat).all() & ((labels == 0) | (labels == 1)).all()
    flat = jnp.where(valid, flat, 0)
    centre = flat.mean(axis=0)
    centred = flat - centre[None]
    scale = jnp.max(jnp.abs(centred))
    centred = over_largest(centred, scale)
    # In the span of the points: coordinates in it, one column an axis.
    basis = None
    if num < flat.shape[1]:
        basis, triangle = jnp.linalg.qr(centred.T)
        points = triangle.T
    else:
        points = centred

    second = labels == 1
    members = jnp.stack([second, ~second], axis=1).astype(dtype)
    both = second.any() & ~second.all() & valid
    end = _solve(points, members, both, tol, max_steps)

    normal = end.best if basis is None else matmul(basis, end.best)
    length = jnp.linalg.vector_norm(normal)
    normal = normal / positive(length)
    heights = matmul(centred, normal)
    least = jnp.min(jnp.where(second, heights, jnp.inf))
    most = jnp.max(jnp.where(second, -jnp.inf, heights))
    margin, gap = scale * (least - most) / 2, scale * jnp.maximum(end.upper - (least - most), 0) / 2
    bias = -scale * (least + most) / 2 - jnp.vdot(normal, centre)
    close = (gap <= tol * margin) | (end.upper <= tol)

    alone = jnp.where(second.all(), 1, -1).astype(dtype)
    trivial = valid & ~both
    bad = jnp.asarray(jnp.nan, dtype)
    return LinearMargin(
        weight=jnp.where(both, normal, 0).reshape(inputs.shape[1:]),
        bias=jnp.where(both, bias, jnp.where(trivial, alone, 0)),
        margin=jnp.where(both, margin, jnp.where(trivial, jnp.inf, bad)),
        gap=jnp.where(both, gap, jnp.where(trivial, 0, bad)),
        separable=trivial | (both & (margin > 0)),
        converged=trivial | (both & close),
        num_steps=end.num_steps,
    )


def _solve(
    points: jax.Array, members: jax.Array, both: jax.Array, tol: float, max_steps: int
) -> _State:
    """Nearest points of two convex hulls; `members` (n, 2) says which point is in which."""
    dtype, num = points.dtype, points.shape[0]
    signed = points * (members[:, :1] - members[:, 1:])

    def heights(normal: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Signed heights of the points, and the least of each class."""
        height = matmul(signed, normal)
        return height, jnp.min(jnp.where(members > 0, height[:, None], jnp.inf), axis=0)

    def judge(state: _State) -> tuple[_State, jax.Array]:
        multipliers = state.multipliers / matmul(members, matmul(members.T, state.multipliers))
        normal = matmul(signed.T, multipliers)
        length = jnp.linalg.vector_norm(normal)
        lower = heights(normal)[1].sum() / positive(length)
        better = (lower > state.lower) & (length > 0)
        return state._replace(
            multipliers=multipliers,
            upper=jnp.minimum(state.upper, length),
            lower=jnp.where(better, lower, state.lower),
            best=jnp.where(better, normal, state.best),
        ), normal

    def unfinished(state: _State) -> jax.Array:
        # Half of what was asked for: the caller evaluates the gap once more.
        apart = (state.upper - state.lower > tol / 2 * state.upper) & (state.upper > tol)
        return apart & state.healthy & (state.num_steps < max_steps)

    def step(state: _State) -> _State:
        u, s = state.multipliers, state.slacks
        q = u / s
        totals = matmul(members.T, q)
        middle = matmul(members.T, q[:, None] * signed) / totals[:, None]
        spread = signed - matmul(members, middle)
        weighted = spread * jnp.sqrt(q)[:, None]
        factor = cho_factor(jnp.eye(points.shape[1], dtype=dtype) + matmul(weighted.T, weighted))

        def newton(target: jax.Array) -> tuple[jax.Array, jax.Array]:
            """Change of u and s that linearises u s = target, with w = Zᵀu and sums of u kept."""
            t = target / s - u
            excess = matmul(members.T, t) / totals
            t = t - q * matmul(members, excess)
            dw = cho_solve(factor, matmul(signed.T, t))
            ds = matmul(spread, dw)
            return t - q * ds, ds + matmul(members, excess)

        def longest(du: jax.Array, ds: jax.Array) -> jax.Array:
            ratio = jnp.max(jnp.maximum(-du / u, -ds / s))
            return jnp.minimum(1, 1 / positive(ratio))

        mean = jnp.vdot(u, s) / num
        du, ds = newton(jnp.zeros(num, dtype))
        reach = longest(du, ds)
        mean_ahead = jnp.vdot(u + reach * du, s + reach * ds) / num
        centring = (mean_ahead / mean) ** 3
        du, ds = newton(centring * mean - du * ds)
        reach = 0.99 * longest(du, ds)
        moved = state._replace(
            multipliers=u + reach * du, slacks=s + reach * ds, num_steps=state.num_steps + 1
        )
        healthy = jnp.isfinite(moved.multipliers).all() & jnp.isfinite(moved.slacks).all()
        judged, _ = judge(moved)
        judged = judged._replace(healthy=healthy & (reach > jnp.finfo(dtype).eps))
        return jax.tree.map(
            lambda new, old: jnp.where(healthy, new, old),
            judged,
            state._replace(healthy=healthy, num_steps=moved.num_steps),
        )

    start, normal = judge(
        _State(
            multipliers=jnp.ones(num, dtype),
            slacks=jnp.ones(num, dtype),
            upper=jnp.asarray(jnp.inf, dtype),
            lower=jnp.asarray(-jnp.inf, dtype),
            best=jnp.zeros(points.shape[1], dtype),
            healthy=both,
            num_steps=jnp.array(0, jnp.int32),
        )
    )
    height, least = heights(normal)
    # The points are at most of unit size in each coordinate.
    room = jnp.maximum(start.upper**2, jnp.finfo(dtype).eps)
    slacks = height - matmul(members, jnp.where(jnp.isfinite(least), least, 0)) + room
    return jax.lax.while_loop(unfinished, step, start._replace(slacks=slacks))
