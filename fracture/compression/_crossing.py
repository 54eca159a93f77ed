"""First order at the boundary: where a displacement crosses it, and what is read of it there."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._checks import check_counts, check_finite
from .._typing import LogitsFn, Order
from ..logits import margin
from ._alignment import alignment
from ._arrays import as_float
from ._margin import displacement_of, logits_of, margin_and_gradient

_HALVINGS = 24  # as exact as float32


class Crossing(NamedTuple):
    r"""Where $x + t \Delta$ first reaches another class, and the boundary's tangent plane there.

    Attributes
    ----------
    at
        t, the share of the displacement; NaN where it reaches none, or x is misclassified.
    rho_net
        |⟨∇m, Δ⟩| / (‖∇m‖_p* ‖Δ‖_p) there: how well the network reads Δ at its boundary.
    ratio
        2 t ρ_net: distance from x to the tangent plane, over ‖Δ‖_p / 2.
    """

    at: Float[Array, ""]
    rho_net: Float[Array, ""]
    ratio: Float[Array, ""]


def crossing(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    displacement: ArrayLike,
    *,
    other: ArrayLike,
    ord: Order = 2,
    reach: float = 1.0,
    points: int = 16,
) -> Crossing:
    r"""Predict a robustness ratio to first order at the boundary, in place of at the input.

    Law E, :math:`r / (\|\Delta\|_p / 2) = \rho_{\mathrm{net}}`, linearises the margin
    $m = f_y - f_{\mathrm{other}}$ at `x` and takes the boundary to be halfway. Here it is
    linearised where the displacement crosses the boundary, which counts where that is:

    .. math:: \frac{r}{\|\Delta\|_p / 2} = 2 t \, \rho_{\mathrm{net}}(x + t \Delta) ,
        \qquad m(x + t \Delta) = 0 .

    Exact where the boundary is flat, whatever the margin does on either side of it: of
    `law_factors`, midpoint and secant play no role.

    Parameters
    ----------
    logits_fn
        `logits_fn(x) -> logits[K]` for one input; one output f stands for (f/2, -f/2).
    x
        The input, a floating-point array of any shape.
    label
        Its class y, an integer, may be traced.
    displacement
        $\Delta$, in the shape of `x`.
    other
        The other class, an integer, may be traced.
    ord
        p: 1, 2 or `jnp.inf`.
    reach
        Largest t that is looked at.
    points
        Evenly spaced t from 0 to `reach` at which the margin is looked at: two crossings between
        neighbours go unseen. The first one is halved 24 times.

    Returns
    -------
    Crossing
        Share, compression there, and the predicted ratio.

    Raises
    ------
    TypeError
        If `x` or `displacement` is not a floating-point array.
    ValueError
        If their shapes differ, `ord` is no order of a norm, or an option is out of its range.
    """
    check_finite(0, reach=reach)
    check_counts(points=points)
    x = as_float(x, "x")
    delta = displacement_of(displacement, x)

    def moved(t: Array) -> Array:
        return x + (t * delta).astype(x.dtype)

    def height(t: Array) -> Array:
        return margin(logits_of(logits_fn, moved(t)), label, other)

    shares = jnp.linspace(0, reach, points + 1, dtype=delta.dtype)
    beyond = jax.vmap(height)(shares) <= 0
    first = jnp.argmax(beyond)
    crosses = ~beyond[0] & beyond[first]

    def halve(ends: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], None]:
        low, high = ends
        middle = (low + high) / 2
        past = height(middle) <= 0
        return (jnp.where(past, low, middle), jnp.where(past, middle, high)), None

    ends = shares[jnp.maximum(first - 1, 0)], shares[first]
    (_, t), _ = jax.lax.scan(halve, ends, length=_HALVINGS)
    _, gradient = margin_and_gradient(logits_fn, moved(t), label, other)
    t = jnp.where(crosses, t, jnp.nan)
    rho = jnp.where(crosses, alignment(gradient, delta, ord), jnp.nan)
    return Crossing(t, rho, 2 * t * rho)
