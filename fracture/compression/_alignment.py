"""How much of a displacement the network reads at one input: margin direction, span of logits."""

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._linalg import matmul, vdot
from .._typing import LogitsFn, Order
from ..norms import dual_order, norm, positive
from ._arrays import as_float, normalized, widest
from ._jacobian import jacobian
from ._margin import displacement_of, logits_of, margin_and_gradient
from ._projection import Projection, project


def margin_compression(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    displacement: ArrayLike,
    *,
    other: ArrayLike | None = None,
    ord: Order = 2,
) -> Float[Array, ""]:
    r"""How well a displacement lies along the gradient of the margin: the network's own ratio.

    $\rho_p = |\langle g, \Delta\rangle| / (\|g\|_{p^*} \|\Delta\|_p)$ with
    $g = \nabla(f_y - f_{\mathrm{other}})(x)$ and the dual order $p^*$: the distance from `x` to
    the boundary of the linearised network over the distance along $\Delta$. In ℓ2, the absolute
    cosine of the angle between the two.

    Parameters
    ----------
    logits_fn
        `logits_fn(x) -> logits[K]` for one input; one output f stands for (f/2, -f/2).
    x
        The input, a floating-point array of any shape.
    label
        Its class y, an integer, may be traced.
    displacement
        $\Delta$, in the shape of `x`. Any scale.
    other
        The other class, an integer, may be traced. Default: the best other class at `x`.
    ord
        p: 1, 2 or `jnp.inf`.

    Returns
    -------
    Float[Array, ""]
        A value in [0, 1]; 0 where the gradient vanishes, NaN where the displacement does or
        something is not finite.

    Raises
    ------
    TypeError
        If `x` or `displacement` is not a floating-point array.
    ValueError
        If their shapes differ, or `ord` is no order of a norm.

    Examples
    --------
    The network reads the first coordinate, which is 3/5 of the displacement:

    >>> import jax.numpy as jnp
    >>> from fracture.compression import margin_compression
    >>> network = lambda x: jnp.stack([x[0], -x[0]])
    >>> rho = margin_compression(network, jnp.ones(2), 0, jnp.array([-3.0, 4.0]))
    >>> print(f"{rho:.3f}")
    0.600
    """
    x = as_float(x, "x")
    delta = displacement_of(displacement, x)
    _, gradient = margin_and_gradient(logits_fn, x, label, other)
    return alignment(gradient, delta, ord)


def span_compression(
    logits_fn: LogitsFn,
    x: ArrayLike,
    displacement: ArrayLike,
    *,
    rtol: float | None = None,
    chunk_size: int | None = None,
) -> Projection:
    r"""Fraction of a displacement in the span of the K - 1 gradients of logit differences.

    A shift that all logits share moves no boundary, and does not count. With K near the
    dimension d the ratio is near 1 for any network: read it beside its null model.

    Parameters
    ----------
    logits_fn
        `logits_fn(x) -> logits[K]` for one input; one output f stands for (f/2, -f/2).
    x
        The input, a floating-point array of any shape.
    displacement
        $\Delta$, in the shape of `x`. Any scale.
    rtol
        Rank tolerance, as in `project`. Default: $\max(K - 1, d)\,\varepsilon$.
    chunk_size
        Gradients computed together, as in `jacobian`.

    Returns
    -------
    Projection
        Ratio, rank (at most K - 1), tolerance and null model.

    Raises
    ------
    TypeError
        If `x` or `displacement` is not a floating-point array.
    ValueError
        If their shapes differ, or an option is out of its range.
    """
    x = as_float(x, "x")
    delta = displacement_of(displacement, x)
    differences = lambda z: contrast(logits_of(logits_fn, z))
    return project(jacobian(differences, x, chunk_size=chunk_size), delta.ravel(), rtol=rtol)


def alignment(gradient: Array, displacement: Array, ord: Order) -> Array:
    """Absolute cosine between a gradient and a displacement, in ℓp and its dual."""
    dtype = widest(gradient.dtype, displacement.dtype)
    g = normalized(gradient)[0].astype(dtype)
    delta = normalized(displacement)[0].astype(dtype)
    steepest = norm(g, dual_order(ord)) * norm(delta, ord)
    ratio = jnp.abs(vdot(g, delta)) / positive(steepest)
    defined = (delta != 0).any() & jnp.isfinite(steepest)
    return jnp.where(defined, ratio, jnp.nan)


def contrast(logits: Float[Array, "K ..."]) -> Float[Array, "K-1 ..."]:
    r"""Logits, or their gradients as rows, without what they share: K - 1 contrasts.

    The products with the rows of a Helmert matrix, orthonormal and each of sum zero: a shift of
    all logits, which moves no boundary, is gone, and nothing else.

    Parameters
    ----------
    logits
        Shape `(K,)`, or `(K, d)` with a gradient for each logit.

    Returns
    -------
    Float[Array, "K-1 ..."]
        As many differences as there are logits, less one (none for one); in their dtype.
    """
    return matmul(jnp.asarray(_helmert(len(logits)), logits.dtype), logits)


def _helmert(size: int) -> np.ndarray:
    """Rows k = 1 … size - 1: (1, …, 1, -k, 0, …) / √(k(k + 1)), orthonormal and of sum zero."""
    k = np.arange(1, size)[:, None]
    column = np.arange(size)
    return np.where(column < k, 1.0, np.where(column == k, -k, 0.0)) / np.sqrt(k * (k + 1))
