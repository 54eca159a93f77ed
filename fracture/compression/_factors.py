"""Why a measured robustness ratio is what it is: an exact product of four factors."""

from typing import NamedTuple

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._typing import LogitsFn, Order
from ..norms import dual_order, norm
from ..perturbation import margin
from ._alignment import alignment
from ._arrays import as_float, normalized
from ._margin import displacement_of, logits_of, margin_and_gradient


class LawFactors(NamedTuple):
    r"""Factors of $r / (\|\Delta\|_p / 2)$; the last three are 1 for a pair of affine regions."""

    rho_net: Float[Array, ""]  # |⟨∇m, Δ⟩| / (‖∇m‖_p* ‖Δ‖_p): how well the network reads Δ
    midpoint: Float[
        Array, ""
    ]  # 2 m(x) / (m(x) - m(x + Δ)): boundary before (<1) or past the middle
    secant: Float[Array, ""]  # (m(x) - m(x + Δ)) / |⟨∇m, Δ⟩|: drop over its linear prediction
    tangent: Float[Array, ""]  # r ‖∇m‖_p* / m(x): radius over its linear prediction


def law_factors(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    displacement: ArrayLike,
    radius: ArrayLike,
    *,
    other: ArrayLike,
    ord: Order = 2,
) -> LawFactors:
    r"""Split a robustness ratio into what the network reads and three effects of curvature.

    With the margin $m = f_y - f_{\mathrm{other}}$, exactly and for every input,

    .. math::
        \frac{r}{\|\Delta\|_p / 2} = \rho_{\mathrm{net}}
        \cdot \underbrace{\frac{2 m(x)}{m(x) - m(x + \Delta)}}_{\text{midpoint}}
        \cdot \underbrace{\frac{m(x) - m(x + \Delta)}
            {|\langle \nabla m, \Delta\rangle|}}_{\text{secant}}
        \cdot \underbrace{\frac{r \|\nabla m\|_{p^*}}{m(x)}}_{\text{tangent}} .

    A network that is affine between `x` and its boundary, with the boundary through the middle
    of the displacement, has the last three at 1, and the ratio is the compression.

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

    Returns
    -------
    LawFactors
        The four factors. Those whose denominator vanishes are infinite or NaN; where `x` is
        misclassified, the midpoint factor and the tangent have the signs of their parts.

    Raises
    ------
    TypeError
        If `x` or `displacement` is not a floating-point array.
    ValueError
        If their shapes differ, or `ord` is no order of a norm.
    """
    x = as_float(x, "x")
    delta = displacement_of(displacement, x)
    here, gradient = margin_and_gradient(logits_fn, x, label, other)
    there = margin(logits_of(logits_fn, x + delta.astype(x.dtype)), label, other)
    drop = here - there
    # Scales apart from directions: no square, and no sum of products, over- or underflows.
    (g, steep), (v, long) = normalized(gradient), normalized(delta)
    slope = jnp.abs(jnp.vdot(g, v, precision="highest"))
    return LawFactors(
        rho_net=alignment(gradient, delta, ord),
        midpoint=2 * (here / drop),
        secant=drop / (slope * (steep * long)),
        tangent=jnp.asarray(radius, drop.dtype) * (steep / here) * norm(g, dual_order(ord)),
    )
