"""Family A: one Gaussian point per class."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from .._checks import check_counts, float_dtype
from .._typing import Key
from ._items import draw_items


class GaussianPoints(NamedTuple):
    """As many points as dimensions, each the only one of its class.

    Attributes
    ----------
    inputs
        Points; row i is that of class i.
    labels
        The numbers 0 … d − 1.
    """

    inputs: Float[Array, "d d"]
    labels: Int[Array, " d"]


def gaussian_points(key: Key, dim: int, *, dtype: DTypeLike | None = None) -> GaussianPoints:
    """`dim` points in `dim` dimensions, i.i.d. N(0, 1), point i of class i.

    Parameters
    ----------
    key
        Random key; point i depends on `key`, `dim` and i only.
    dim
        Dimension and number of classes, at least 1.
    dtype
        Floating dtype of the inputs; JAX's default float if None.

    Returns
    -------
    task
        `inputs`, shape `(dim, dim)`, one point a row, and `labels`, shape `(dim,)`.

    Raises
    ------
    ValueError
        If `dim` is below 1.
    TypeError
        If `dtype` is not floating.

    References
    ----------
    Gao et al. (2024), "Feature compression is the root cause of adversarial fragility in neural
    network classifiers", arXiv:2406.16200, Section 3.
    """
    check_counts(dim=dim)
    dtype = float_dtype(dtype)
    inputs = draw_items(lambda item, _: jax.random.normal(item, (dim,), dtype), key, dim)
    return GaussianPoints(inputs, jnp.arange(dim, dtype=jnp.int32))
