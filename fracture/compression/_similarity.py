"""Similarity of two representations of the same inputs."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._linalg import matmul
from ._arrays import as_rows, centred, normalized, widest
from ._spectrum import without_nan


def linear_cka(features: ArrayLike, other: ArrayLike) -> Float[Array, ""]:
    r"""Linear centred kernel alignment of two sets of features of the same inputs.

    With the means over inputs subtracted, $X \in \mathbb{R}^{n \times p}$ and
    $Y \in \mathbb{R}^{n \times q}$,

    .. math::
        \mathrm{CKA}(X, Y) = \frac{\|Y^\top X\|_F^2}{\|X^\top X\|_F \|Y^\top Y\|_F}
            = \frac{\langle X X^\top, Y Y^\top\rangle_F}{\|X X^\top\|_F \|Y Y^\top\|_F} ,

    by whichever form has the smaller matrices. It does not change under orthogonal maps, shifts
    and scalings of either, and is biased upwards where n is not large compared with p and q.

    Parameters
    ----------
    features, other
        One row per input, shapes `(n, …)`; further axes are flattened. Any scale.

    Returns
    -------
    Float[Array, ""]
        A value in [0, 1] up to rounding: 1 for the same geometry, 0 for features without linear
        correlation. NaN where one of them is constant over the inputs, or not finite.

    Raises
    ------
    TypeError
        If an argument is not a floating-point array.
    ValueError
        If there are fewer than two inputs, or their numbers differ.

    References
    ----------
    Kornblith, Norouzi, Lee, Hinton (2019), "Similarity of neural network representations
    revisited", ICML, Section 3. arXiv:1905.00414.
    """
    x, y = as_rows(features, "features", 2), as_rows(other, "other", 2)
    if len(x) != len(y):
        raise ValueError(f"features and other must have as many rows, got {len(x)} and {len(y)}.")
    dtype = widest(x.dtype, y.dtype)
    (x, _, x_finite), (y, _, y_finite) = without_nan(x.astype(dtype)), without_nan(y.astype(dtype))
    x, y = normalized(centred(x))[0], normalized(centred(y))[0]
    if max(x.shape[1], y.shape[1]) <= len(x):
        product = jnp.sum(matmul(y.T, x) ** 2)
        squares = matmul(x.T, x), matmul(y.T, y)
    else:
        squares = matmul(x, x.T), matmul(y, y.T)
        product = jnp.sum(squares[0] * squares[1])
    norms = jnp.linalg.matrix_norm(squares[0]) * jnp.linalg.matrix_norm(squares[1])
    return jnp.where(x_finite & y_finite, product / norms, jnp.nan)
