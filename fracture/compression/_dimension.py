"""How many directions a spectrum is spread over: functions of all its values."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from ..norms import at_least_float32
from ._arrays import as_float, normalized


def effective_rank(singular_values: ArrayLike) -> Float[Array, ""]:
    r"""Exponential of the entropy of the normalized spectrum, $p_i = s_i / \sum_j s_j$.

    Between 1 (one value) and $k$ (all equal); 0 for a spectrum of zeros. Its slope at a
    vanishing value is infinite; zeros count as constant here, so the gradient is finite.

    Parameters
    ----------
    singular_values
        Non-negative values of one spectrum, shape `(k,)`, in any order and of any scale.

    Returns
    -------
    Float[Array, ""]
        The effective rank; NaN where a value is not finite.

    Raises
    ------
    TypeError, ValueError
        If `singular_values` is not one non-empty axis of a floating-point dtype.

    References
    ----------
    Roy, Vetterli (2007), "The effective rank: a measure of effective dimensionality",
    EUSIPCO, Section 2.
    """
    s = _relative(singular_values)
    total = s.sum()
    p = s / jnp.where(total == 0, 1, total)
    positive = p != 0
    entropy = -jnp.sum(jnp.where(positive, p * jnp.log(jnp.where(positive, p, 1)), 0))
    return jnp.where(total == 0, 0, jnp.exp(entropy))


def participation_ratio(singular_values: ArrayLike) -> Float[Array, ""]:
    r"""$(\sum_i \lambda_i)^2 / \sum_i \lambda_i^2$ of the variances $\lambda_i = s_i^2$.

    The convention is that of principal components: of singular values *squared*. Between 1 and
    $k$; 0 for a spectrum of zeros.

    Parameters
    ----------
    singular_values
        Non-negative values of one spectrum, shape `(k,)`, in any order and of any scale.

    Returns
    -------
    Float[Array, ""]
        The participation ratio; NaN where a value is not finite.

    Raises
    ------
    TypeError, ValueError
        If `singular_values` is not one non-empty axis of a floating-point dtype.

    References
    ----------
    Gao, Trautmann, Yu, Santhanam, Ryu, Shenoy, Ganguli (2017), "A theory of multineuronal
    dimensionality, dynamics and measurement", bioRxiv 214262.
    """
    variances = _relative(singular_values) ** 2
    return variances.sum() ** 2 / jnp.where((variances == 0).all(), 1, jnp.sum(variances**2))


def stable_rank(singular_values: ArrayLike) -> Float[Array, ""]:
    r"""$\|M\|_F^2 / \|M\|_2^2 = \sum_i s_i^2 / \max_i s_i^2$.

    Between 1 and the rank; 0 for a spectrum of zeros. Where the largest value repeats it has a
    kink, and its gradient here is one of the subgradients.

    Parameters
    ----------
    singular_values
        Non-negative values of one spectrum, shape `(k,)`, in any order and of any scale.

    Returns
    -------
    Float[Array, ""]
        The stable rank; NaN where a value is not finite.

    Raises
    ------
    TypeError, ValueError
        If `singular_values` is not one non-empty axis of a floating-point dtype.

    References
    ----------
    Rudelson, Vershynin (2007), "Sampling from large matrices", Journal of the ACM 54(4),
    Section 1 ("numerical rank" there).
    """
    s = _relative(singular_values)
    largest = s.max()
    return jnp.sum((s / jnp.where(largest == 0, 1, largest)) ** 2)


def numerical_rank(singular_values: ArrayLike, *, rtol: float | None = None) -> Int[Array, ""]:
    r"""Number of values above `rtol` times the largest.

    Parameters
    ----------
    singular_values
        Non-negative values of one spectrum, shape `(k,)`, in any order and of any scale.
    rtol
        Relative tolerance. Default: $k\,\varepsilon$ of the dtype. For an elongated matrix pass
        $\max(m, n)\,\varepsilon$, as `numpy.linalg.matrix_rank` does.

    Returns
    -------
    Int[Array, ""]
        The rank, 0 for a spectrum of zeros, -1 where a value is not finite.

    Raises
    ------
    TypeError, ValueError
        If `singular_values` is not one non-empty axis of a floating-point dtype, or `rtol` is
        negative.
    """
    s = _relative(singular_values)
    if rtol is None:
        rtol = len(s) * float(jnp.finfo(s.dtype).eps)
    if rtol < 0:
        raise ValueError(f"rtol must not be negative, got {rtol}.")
    rank = jnp.sum(s > rtol * s.max(), dtype=jnp.int32)
    return jnp.where(jnp.isfinite(s).all(), rank, -1)


def _relative(singular_values: ArrayLike) -> Array:
    """The spectrum at a scale of about 1; all NaN if a value is not finite."""
    s = as_float(singular_values, "singular_values")
    if s.ndim != 1 or not s.size:
        raise ValueError(f"singular_values must be (k >= 1,), got shape {s.shape}.")
    s = at_least_float32(s)
    return jnp.where(jnp.isfinite(s).all(), normalized(s)[0], jnp.nan)
