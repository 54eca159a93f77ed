"""Isotropic Gaussian clusters, several a class."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from .._checks import check_counts, check_finite, float_dtype
from .._typing import Key
from ._items import draw_items
from ._means import orthogonal_means, random_means

_MEANS = {"orthogonal": orthogonal_means, "random": random_means}


class GaussianMixture(NamedTuple):
    """Points of K classes, each a mixture of equally likely Gaussian clusters.

    Attributes
    ----------
    inputs
        Points, one a row.
    labels
        Class of each point.
    clusters
        The cluster of each point.
    means
        Centre of each cluster, one a row.
    mean_labels
        The class of each cluster.
    noise
        Standard deviation of every coordinate, in every cluster.
    """

    inputs: Float[Array, "n d"]
    labels: Int[Array, " n"]
    clusters: Int[Array, " n"]
    means: Float[Array, "clusters d"]
    mean_labels: Int[Array, " clusters"]
    noise: Float[Array, ""]


def gaussian_mixture(
    key: Key,
    dim: int,
    num: int,
    *,
    num_classes: int = 2,
    clusters_per_class: int = 1,
    means: str = "orthogonal",
    radius: float | None = None,
    noise: float = 1.0,
    dtype: DTypeLike | None = None,
) -> GaussianMixture:
    r"""Points `mean + noise * N(0, I)` around cluster centres of one length.

    Clusters take turns: point i belongs to cluster i modulo their number, and cluster c to class
    c modulo `num_classes`, so that classes are balanced and none is empty.

    Parameters
    ----------
    key
        Random key. Point i depends on `key`, the sizes and i only; the means not on `num`.
    dim
        Dimension d, at least 1.
    num
        Number of points, at least 1.
    num_classes, clusters_per_class
        Number of classes K and of clusters in each; at least 1.
    means
        "orthogonal" (at most d clusters; centres at distance $\sqrt 2$ `radius` from one another)
        or "random" (independent, uniform on the sphere).
    radius
        Length of every centre; $\sqrt d$ if None, the length of the noise when `noise` is 1.
    noise
        Standard deviation of each coordinate, at least 0.
    dtype
        Floating dtype; JAX's default float if None.

    Returns
    -------
    task
        Points, labels, and the mixture they come from.

    Raises
    ------
    ValueError
        If a size is below 1, `noise` or `radius` negative or not finite, `means` unknown, or more
        orthogonal means are wanted than there are dimensions.
    TypeError
        If `dtype` is not floating.

    References
    ----------
    Frei, Vardi, Bartlett, Srebro (2023), "The double-edged sword of implicit bias",
    arXiv:2303.01456, Section 2 (nearly orthogonal clusters of length √d).
    """
    check_counts(dim=dim, num=num, num_classes=num_classes, clusters_per_class=clusters_per_class)
    length = dim**0.5 if radius is None else radius
    check_finite(0, noise=noise, radius=length)
    if means not in _MEANS:
        raise ValueError(f"means must be one of {sorted(_MEANS)}, got {means!r}.")
    dtype = float_dtype(dtype)
    num_clusters = num_classes * clusters_per_class
    key_means, key_points = jax.random.split(key)
    centres = _MEANS[means](key_means, num_clusters, dim, length, dtype)

    def draw(item: Key, index: jax.Array) -> jax.Array:
        return centres[index % num_clusters] + noise * jax.random.normal(item, (dim,), dtype)

    clusters = jnp.arange(num, dtype=jnp.int32) % num_clusters
    mean_labels = jnp.arange(num_clusters, dtype=jnp.int32) % num_classes
    return GaussianMixture(
        draw_items(draw, key_points, num),
        mean_labels[clusters],
        clusters,
        centres,
        mean_labels,
        jnp.asarray(noise, dtype),
    )
