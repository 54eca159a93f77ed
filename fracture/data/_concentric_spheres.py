"""Classes on concentric spheres."""

from collections.abc import Sequence
from math import inf
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from .._checks import check_counts, float_dtype
from .._typing import Key
from ._items import draw_items


class ConcentricSpheres(NamedTuple):
    """Points uniform on spheres around the origin, one sphere a class.

    Attributes
    ----------
    inputs
        Points, one a row.
    labels
        Class of each point, the number of its sphere.
    radii
        Of each sphere; the optimal radius of class i is half the gap to the nearest other.
    """

    inputs: Float[Array, "n d"]
    labels: Int[Array, " n"]
    radii: Float[Array, " classes"]


def concentric_spheres(
    key: Key,
    dim: int,
    num: int,
    *,
    radii: Sequence[float] = (1.0, 1.3),
    dtype: DTypeLike | None = None,
) -> ConcentricSpheres:
    """Points uniform on one sphere per class; point i is of class i modulo their number.

    The nearest point of another class lies on the same ray, so that the distance between the
    classes is the difference of their radii in every dimension.

    Parameters
    ----------
    key
        Random key; point i depends on `key`, `dim` and i only.
    dim
        Dimension, at least 1.
    num
        Number of points, at least 1.
    radii
        Radius of the sphere of each class, positive.
    dtype
        Floating dtype; JAX's default float if None.

    Returns
    -------
    task
        `inputs` `(num, dim)`, `labels` `(num,)` and `radii` `(classes,)`.

    Raises
    ------
    ValueError
        If a size is below 1, `radii` empty, or one of them not positive.
    TypeError
        If `dtype` is not floating.

    References
    ----------
    Gilmer et al. (2018), "Adversarial spheres", arXiv:1801.02774, Section 3 (radii 1 and 1.3).
    """
    check_counts(dim=dim, num=num)
    if not radii or not all(0 < radius < inf for radius in radii):
        raise ValueError(f"radii must be one or several positive numbers, got {tuple(radii)}.")
    dtype = float_dtype(dtype)
    lengths = jnp.asarray(radii, dtype)

    def draw(item: Key, index: jax.Array) -> jax.Array:
        direction = jax.random.normal(item, (dim,), dtype)
        return lengths[index % len(radii)] * direction / jnp.linalg.vector_norm(direction)

    labels = jnp.arange(num, dtype=jnp.int32) % len(radii)
    return ConcentricSpheres(draw_items(draw, key, num), labels, lengths)
