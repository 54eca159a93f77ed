"""Family B: the corners of a hypercube, mixed by Gaussian matrices."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from .._checks import check_counts, float_dtype
from .._linalg import matmul
from .._typing import Key
from ._items import draw_items

LARGEST_WHOLE = 20  # dimension of which all corners are drawn: a million points


class MixedHypercube(NamedTuple):
    """Points x = A z of two classes, told apart by the last entry of the code z.

    Attributes
    ----------
    inputs
        Points A z, one a row: the factors applied to the codes in turn.
    labels
        1 where the last entry of the code is +1, else 0.
    codes
        The z, entries ±1, one a row.
    factors
        Of the mixing matrix A = factors[-1] @ … @ factors[0].
    """

    inputs: Float[Array, "n d"]
    labels: Int[Array, " n"]
    codes: Float[Array, "n d"]
    factors: Float[Array, "layers d d"]


def mixed_hypercube(
    key: Key, dim: int, num: int | None, *, layers: int = 1, dtype: DTypeLike | None = None
) -> MixedHypercube:
    """Points x = A z with z uniform on {−1, +1}^d and A a product of Gaussian matrices.

    The factors of A are kept apart and applied in turn: the product of several is too ill
    conditioned to be formed in float32.

    Parameters
    ----------
    key
        Random key. Point i depends on `key`, the sizes and i only; the factors not on `num`.
    dim
        Dimension d, at least 1.
    num
        Number of points, at least 1; drawn with replacement from the 2^d corners. None for all
        corners once, in a fixed order, to d = 20.
    layers
        Number of square factors of A, each with i.i.d. N(0, 1) entries; at least 1.
    dtype
        Floating dtype; JAX's default float if None.

    Returns
    -------
    task
        `inputs` `(num, dim)`, `labels` `(num,)`, `codes` `(num, dim)`, `factors`
        `(layers, dim, dim)`.

    Raises
    ------
    ValueError
        If `dim`, `num` or `layers` is below 1, or `dim` above 20 where all corners are wanted.
    TypeError
        If `dtype` is not floating.

    References
    ----------
    Gao et al. (2024), arXiv:2406.16200, Section 4 (one layer) and its extension to several.

    Examples
    --------
    The label is the sign of the last coordinate of z, which A hides:

    >>> import jax, jax.numpy as jnp
    >>> from fracture.data import mixed_hypercube
    >>> task = mixed_hypercube(jax.random.key(0), dim=8, num=3)
    >>> print(task.inputs.shape, task.codes.shape, task.factors.shape)
    (3, 8) (3, 8) (1, 8, 8)
    >>> print(bool(jnp.allclose(task.inputs, task.codes @ task.factors[0].T, atol=1e-5)))
    True
    """
    check_counts(dim=dim, num=1 if num is None else num, layers=layers)
    if num is None and dim > LARGEST_WHOLE:
        raise ValueError(f"all corners are made to dim = {LARGEST_WHOLE}, got {dim}: give num.")
    dtype = float_dtype(dtype)
    key_factors, key_codes = jax.random.split(key)
    factors = jax.random.normal(key_factors, (layers, dim, dim), dtype)

    def mix(code: jax.Array) -> jax.Array:
        x = code
        for factor in factors:
            x = matmul(factor, x)
        return x

    def draw(item: Key, _: jax.Array) -> tuple[jax.Array, jax.Array]:
        code = jax.random.rademacher(item, (dim,), dtype)
        return mix(code), code

    if num is None:
        codes = jnp.asarray(_corners(dim), dtype)
        inputs = jax.vmap(mix)(codes)
    else:
        inputs, codes = draw_items(draw, key_codes, num)
    return MixedHypercube(inputs, (codes[:, -1] > 0).astype(jnp.int32), codes, factors)


def _corners(dim: int) -> np.ndarray:
    """All codes, one a row: bit j of the number of the row is entry j, 1 for +1."""
    return 2.0 * (np.arange(2**dim)[:, None] >> np.arange(dim) & 1) - 1
