"""Data of low intrinsic dimension: a linear subspace, with noise off it."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from .._checks import check_counts, check_finite, float_dtype
from .._linalg import matmul
from .._typing import Key
from ._items import draw_items


class LinearSubspace(NamedTuple):
    """Two classes in an m-dimensional subspace, told apart by the first coordinate in it.

    Attributes
    ----------
    inputs
        Points, one a row.
    labels
        1 where the first coefficient is positive, else 0.
    coefficients
        Coordinates in the subspace.
    basis
        Orthonormal columns; the first is normal to the boundary.
    noise
        Standard deviation of every coordinate off the subspace.
    """

    inputs: Float[Array, "n d"]
    labels: Int[Array, " n"]
    coefficients: Float[Array, "n m"]
    basis: Float[Array, "d m"]
    noise: Float[Array, ""]


def linear_subspace(
    key: Key,
    dim: int,
    num: int,
    *,
    intrinsic_dim: int,
    margin: float = 1.0,
    noise: float = 0.0,
    dtype: DTypeLike | None = None,
) -> LinearSubspace:
    r"""Points $x = Bc + \varepsilon$: c Gaussian in m dimensions, ε orthogonal to the columns of B.

    B is uniform among the orthonormal bases, $c \sim N(0, I_m)$ with the first coefficient moved
    away from 0 by `margin`, and $\varepsilon$ is isotropic Gaussian off the subspace. The
    hyperplane normal to the first column of B separates the classes at distance $|c_1|$ from
    each point, at least `margin`, in every dimension d.

    Parameters
    ----------
    key
        Random key. Point i depends on `key`, the sizes and i only; the basis not on `num`.
    dim
        Ambient dimension d, at least 1.
    num
        Number of points, at least 1.
    intrinsic_dim
        Dimension m of the subspace, 1 to `dim`.
    margin
        Half the gap between the classes, at least 0.
    noise
        Standard deviation off the subspace, at least 0.
    dtype
        Floating dtype; JAX's default float if None.

    Returns
    -------
    task
        Points, labels, coefficients and the basis.

    Raises
    ------
    ValueError
        If a size is out of range, or `margin` or `noise` negative or not finite.
    TypeError
        If `dtype` is not floating.

    References
    ----------
    Melamed, Yehudai, Vardi (2023), "Adversarial examples exist in two-layer ReLU networks for
    low dimensional linear subspaces", arXiv:2303.00783, Section 3.
    """
    check_counts(dim=dim, num=num, intrinsic_dim=intrinsic_dim)
    check_finite(0, margin=margin, noise=noise)
    if intrinsic_dim > dim:
        raise ValueError(f"intrinsic_dim must be at most dim = {dim}, got {intrinsic_dim}.")
    dtype = float_dtype(dtype)
    key_basis, key_points = jax.random.split(key)
    basis = jax.random.orthogonal(key_basis, dim, (), dtype, intrinsic_dim)

    def draw(item: Key, _: jax.Array) -> tuple[jax.Array, jax.Array]:
        key_inside, key_outside = jax.random.split(item)
        inside = jax.random.normal(key_inside, (intrinsic_dim,), dtype)
        inside = inside.at[0].add(jnp.where(inside[0] > 0, margin, -margin))
        outside = noise * jax.random.normal(key_outside, (dim,), dtype)
        along = matmul(basis.T, outside)
        return outside + matmul(basis, inside - along), inside

    inputs, coefficients = draw_items(draw, key_points, num)
    labels = (coefficients[:, 0] > 0).astype(jnp.int32)
    return LinearSubspace(inputs, labels, coefficients, basis, jnp.asarray(noise, dtype))
