"""Gaussian classes with one covariance: spiked, or correlated along the coordinates."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from .._checks import check_counts, float_dtype
from .._linalg import matmul
from .._typing import Key
from ._items import draw_items
from ._means import orthogonal_means


class GaussianClasses(NamedTuple):
    """Points of K equally likely Gaussian classes that share their covariance.

    Attributes
    ----------
    inputs
        Points, one a row.
    labels
        Class of each point.
    means
        Mean of each class, one a row.
    covariance
        Of every class.
    factor
        A square root of it: covariance = factor @ factor.T.
    """

    inputs: Float[Array, "n d"]
    labels: Int[Array, " n"]
    means: Float[Array, "classes d"]
    covariance: Float[Array, "d d"]
    factor: Float[Array, "d d"]


def spiked_covariance(
    key: Key,
    dim: int,
    num: int,
    *,
    spikes: Sequence[float] = (10.0,),
    num_classes: int = 2,
    separation: float = 4.0,
    dtype: DTypeLike | None = None,
) -> GaussianClasses:
    r"""Classes with covariance $I + \sum_k s_k u_k u_k^\top$ along random orthonormal directions.

    Parameters
    ----------
    key
        Random key. Point i depends on `key`, the sizes and i only; means and spikes not on `num`.
    dim
        Dimension d, at least 1.
    num
        Number of points, at least 1; point i is of class i modulo `num_classes`.
    spikes
        Excess variances $s_k$, above −1; at most d of them, or none.
    num_classes
        Number of classes, 1 to d.
    separation
        Distance between any two class means, which are orthogonal and independent of the spikes.
    dtype
        Floating dtype; JAX's default float if None.

    Returns
    -------
    task
        Points, labels, means, covariance and its symmetric square root as `factor`.

    Raises
    ------
    ValueError
        If a size is out of range or a spike is not above −1.
    TypeError
        If `dtype` is not floating.

    References
    ----------
    Johnstone (2001), "On the distribution of the largest eigenvalue in principal components
    analysis", Annals of Statistics 29(2) (the spiked model).
    """
    check_counts(dim=dim)
    dtype = float_dtype(dtype)
    if len(spikes) > dim or not all(spike > -1 for spike in spikes):
        raise ValueError(f"spikes must be at most {dim} numbers above -1, got {tuple(spikes)}.")
    key_directions, key_classes = jax.random.split(key)
    directions = jax.random.orthogonal(key_directions, dim, (), dtype, len(spikes))
    excess = jnp.asarray(spikes, dtype)

    def identity_plus(scale: jax.Array) -> jax.Array:
        outer = matmul(directions * scale[None], directions.T)
        return jnp.eye(dim, dtype=dtype) + outer

    covariance, factor = identity_plus(excess), identity_plus(jnp.sqrt(1 + excess) - 1)
    return _sample(key_classes, num, num_classes, separation, covariance, factor)


def correlated_gaussians(
    key: Key,
    dim: int,
    num: int,
    *,
    correlation: float = 0.9,
    num_classes: int = 2,
    separation: float = 4.0,
    dtype: DTypeLike | None = None,
) -> GaussianClasses:
    r"""Classes with redundant coordinates: covariance $\rho^{|i-j|}$, an AR(1) process.

    Parameters
    ----------
    key
        Random key. Point i depends on `key`, the sizes and i only; the means not on `num`.
    dim
        Dimension d, at least 1.
    num
        Number of points, at least 1; point i is of class i modulo `num_classes`.
    correlation
        Correlation ρ of neighbouring coordinates, strictly between −1 and 1.
    num_classes
        Number of classes, 1 to d.
    separation
        Distance between any two class means, which are orthogonal and randomly rotated.
    dtype
        Floating dtype; JAX's default float if None.

    Returns
    -------
    task
        Points, labels, means, covariance and its Cholesky factor as `factor`.

    Raises
    ------
    ValueError
        If a size is out of range or `correlation` not inside (−1, 1).
    TypeError
        If `dtype` is not floating.
    """
    check_counts(dim=dim)
    dtype = float_dtype(dtype)
    if not -1 < correlation < 1:
        raise ValueError(f"correlation must lie between -1 and 1, got {correlation}.")
    lag = jnp.arange(dim)[:, None] - jnp.arange(dim)[None]
    covariance = jnp.asarray(correlation, dtype) ** jnp.abs(lag).astype(dtype)
    innovation = jnp.full((1, dim), (1 - correlation**2) ** 0.5, dtype).at[:, 0].set(1)
    factor = jnp.where(lag >= 0, covariance * innovation, 0)
    return _sample(key, num, num_classes, separation, covariance, factor)


def _sample(
    key: Key,
    num: int,
    num_classes: int,
    separation: float,
    covariance: jax.Array,
    factor: jax.Array,
) -> GaussianClasses:
    check_counts(num=num, num_classes=num_classes)
    dim, dtype = factor.shape[0], factor.dtype
    key_means, key_points = jax.random.split(key)
    means = orthogonal_means(key_means, num_classes, dim, separation / 2**0.5, dtype)

    def draw(item: Key, index: jax.Array) -> jax.Array:
        white = jax.random.normal(item, (dim,), dtype)
        return means[index % num_classes] + matmul(factor, white)

    labels = jnp.arange(num, dtype=jnp.int32) % num_classes
    return GaussianClasses(draw_items(draw, key_points, num), labels, means, covariance, factor)
