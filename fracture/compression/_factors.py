"""Why a measured robustness ratio is what it is: an exact product of five factors."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._linalg import vdot
from .._typing import Bounds, LogitsFn, Order
from ..logits import margin
from ..norms import at_least_float32, broadcast_bounds, dual_order, halfspace_step, norm
from ._alignment import alignment
from ._arrays import as_float, normalized
from ._margin import displacement_of, logits_of, margin_and_gradient


class LawFactors(NamedTuple):
    r"""Factors of $r / (\|\Delta\|_p / 2)$; all but the first and the last are 1 where affine.

    Attributes
    ----------
    rho_net
        |⟨∇m, Δ⟩| / (‖∇m‖_p* ‖Δ‖_p): how well the network reads Δ.
    midpoint
        2 m(x) / (m(x) - m(x + Δ)): boundary before (<1) or past the middle.
    secant
        (m(x) - m(x + Δ)) / |⟨∇m, Δ⟩|: drop over its linear prediction.
    tangent
        r over that of the linearised margin within the bounds.
    box
        β: that of the linearised margin, within the bounds over without them.
    """

    rho_net: Float[Array, ""]
    midpoint: Float[Array, ""]
    secant: Float[Array, ""]
    tangent: Float[Array, ""]
    box: Float[Array, ""]


def law_factors(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    displacement: ArrayLike,
    radius: ArrayLike,
    *,
    other: ArrayLike,
    ord: Order = 2,
    bounds: Bounds | None = None,
) -> LawFactors:
    r"""Split a robustness ratio into what the network reads, how it bends, and what the box does.

    With the margin $m = f_y - f_{\mathrm{other}}$, exactly and for every input,

    .. math::
        \frac{r}{\|\Delta\|_p / 2} = \rho_{\mathrm{net}}
        \cdot \underbrace{\frac{2 m(x)}{m(x) - m(x + \Delta)}}_{\text{midpoint}}
        \cdot \underbrace{\frac{m(x) - m(x + \Delta)}
            {|\langle \nabla m, \Delta\rangle|}}_{\text{secant}}
        \cdot \underbrace{\frac{r}{r_{\mathrm{box}}}}_{\text{tangent}}
        \cdot \underbrace{\frac{r_{\mathrm{box}} \|\nabla m\|_{p^*}}{m(x)}}_{\text{box}} ,

    with $m(x) / \|\nabla m\|_{p^*}$ the distance from `x` to the boundary of the linearised
    network, and $r_{\mathrm{box}}$ the same among the points within the bounds.

    A network that is affine between `x` and its boundary, with the boundary through the middle
    of the displacement, has midpoint, secant and tangent at 1, and the ratio is the compression,
    times `box` where bounds bind.

    Parameters
    ----------
    logits_fn
        `logits_fn(x) -> logits[K]` for one input; one output f stands for (f/2, -f/2).
    x
        The input, a floating-point array of any shape.
    label
        Its class y, an integer, may be traced.
    displacement
        $\Delta$, in the shape of `x`: to the nearest point of the class `other`.
    radius
        r, the ℓp distance from `x` to the boundary between `label` and `other`: the pairwise
        one, as `perturbation.minimal(..., target=other)` finds it.
    other
        Class of the point at `x + displacement`, an integer, may be traced.
    ord
        p: 1, 2 or `jnp.inf`.
    bounds
        `(lower, upper)` within which `radius` was searched, scalars or arrays that broadcast
        against `x`; None for no box, and a factor `box` of 1. With bounds, derivatives are in
        forward mode only.

    Returns
    -------
    LawFactors
        The five factors. Those whose denominator vanishes are infinite or NaN; where the
        linearised network has no boundary within the bounds, `box` is inf and the tangent 0.
        Where `x` is misclassified, `box` is 1, and the midpoint factor and the tangent have the
        signs of their parts.

    Raises
    ------
    TypeError
        If `x` or `displacement` is not a floating-point array.
    ValueError
        If their shapes differ, `ord` is no order of a norm, or the bounds do not fit `x`.
    """
    x = as_float(x, "x")
    delta = displacement_of(displacement, x)
    here, gradient = margin_and_gradient(logits_fn, x, label, other)
    there = margin(logits_of(logits_fn, x + delta.astype(x.dtype)), label, other)
    drop = here - there
    # Scales apart from directions: no square, and no sum of products, over- or underflows.
    (g, steep), (v, long) = normalized(gradient), normalized(delta)
    slope = jnp.abs(vdot(g, v))
    linear = here / steep / norm(g, dual_order(ord))
    box = jnp.ones_like(drop)
    if bounds is not None:
        wide = at_least_float32(x)
        lower, upper = broadcast_bounds(bounds, wide)
        room = (lower - wide).ravel(), (upper - wide).ravel()
        excess = (here / steep).astype(g.dtype)
        inside = halfspace_step(excess, g.ravel(), room=room, ord=ord)[1].astype(drop.dtype)
        box = jnp.where(here > 0, inside / linear, jnp.where(here <= 0, 1, jnp.nan))
    return LawFactors(
        rho_net=alignment(gradient, delta, ord),
        midpoint=2 * (here / drop),
        secant=drop / (slope * (steep * long)),
        tangent=jnp.asarray(radius, drop.dtype) / linear / box,
        box=box,
    )
