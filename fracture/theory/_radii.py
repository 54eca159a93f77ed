"""Radii by exact sampling, where no closed form is known: one point of each draw.

A Gaussian matrix is Q R with Q uniform on the orthogonal group, independent of the upper triangular
R, whose entries are independent: standard normal above the diagonal, chi with d, d - 1, …, 1
degrees of freedom on it (Bartlett's decomposition). Distances in l2 do not see Q.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from .._checks import check_counts
from .._linalg import one_by_one_on_cpu
from .._typing import Key, Order
from ..norms import dual_order, norm
from ._law import Law, empirical

ELEMENTS = 2**21  # entries of the matrices held at once


class Radii(NamedTuple):
    """Joint draws of the two radii of one point; entry i of both belongs to the same draw.

    Attributes
    ----------
    optimal
        Radius of the optimal classifier (in family B: the claimed one).
    network
        Radius of the interpolating network.
    """

    optimal: Float[Array, " num"]
    network: Float[Array, " num"]

    @property
    def ratio(self) -> Array:
        """Fragility ratio, network over optimal."""
        return self.network / self.optimal


@partial(jax.jit, static_argnames=("num", "dim", "dtype"))
def sample_points(key: Key, num: int, dim: int, *, dtype: DTypeLike | None = None) -> Radii:
    r"""Family A, nearest boundary: radii of one point against the other d - 1 classes.

    `optimal` is $\min_j \|x_i - x_j\| / 2$, `network` is $\min_j 1 / \|r_i - r_j\|$ with $r_i$ the
    rows of $X^{-1}$. Both read the R factor alone: the columns of R and the rows of $R^{-1}$.

    Parameters
    ----------
    key
        Draw i depends on `key` and i only, not on `num`.
    num
        Number of independent draws of X; one point of each is used.
    dim
        Dimension d, at least 2.
    dtype
        float32 or float64; JAX's default if None.

    Returns
    -------
    Radii
        Shape `(num,)` each, in units of the points' coordinates.

    Raises
    ------
    ValueError
        If `num` is less than 1 or `dim` less than 2.
    """
    check_counts(num=num)
    check_counts(2, dim=dim)
    dtype = jnp.dtype(dtype or jnp.result_type(float))

    invert = one_by_one_on_cpu(
        lambda factor: jax.scipy.linalg.solve_triangular(factor, jnp.eye(dim, dtype=dtype))
    )

    def draw(i):
        normal = jax.random.normal(jax.random.fold_in(key, i), (dim, dim), dtype)
        # The entries that R does not show are still there, as the lengths on its diagonal.
        diagonal = jnp.linalg.vector_norm(jnp.tril(normal), axis=0)
        factor = jnp.triu(normal, 1) + jnp.diag(diagonal)
        inverse = invert(factor)
        between = jnp.linalg.vector_norm(factor[:, :-1] - factor[:, -1:], axis=0)
        slope = jnp.linalg.vector_norm(inverse[:-1] - inverse[-1:], axis=1)
        return Radii(between.min() / 2, 1 / slope.max())

    batch_size = max(1, min(num, ELEMENTS // dim**2))
    return jax.lax.map(draw, jnp.arange(num, dtype=jnp.uint32), batch_size=batch_size)


@partial(jax.jit, static_argnames=("num", "dim", "layers", "ord", "dtype"))
def sample_hypercube(
    key: Key,
    num: int,
    dim: int,
    *,
    layers: int = 1,
    ord: Order = 2,
    dtype: DTypeLike | None = None,
) -> Radii:
    r"""Family B: claimed optimal radius $\|A e_d\|_p$, interpolator's $|R_{dd}| / \|q_d\|_{p^*}$.

    With $A = H_L \cdots H_1 = Q R$ the factor R is distributed as the product $R_L \cdots R_1$ of
    independent R factors. Its last column has the last entry a and b, the length of the others; a
    further layer makes them $a g$ and $\sqrt{(b \chi_d + a g')^2 + a^2 \chi^2_{d-2}}$, in terms of
    independent variables: a draw costs a few operations per layer, whatever d, and the pivot is a
    product of L numbers, accurate where a QR decomposition of the formed product would be noise.

    Parameters
    ----------
    key
        Draw i depends on `key` and i only, not on `num`.
    num
        Number of independent draws of A.
    dim
        Dimension d, at least 2.
    layers
        Number L of Gaussian mixing matrices, at least 1.
    ord
        Order p of the norm in which perturbations are measured, at least 1 (`jnp.inf` allowed).
    dtype
        float32 or float64; JAX's default if None.

    Returns
    -------
    Radii
        Their `ratio` is the compression ratio of theory in the norm `ord`.

    Raises
    ------
    ValueError
        If `num` or `layers` is less than 1, `dim` less than 2, or `ord` is not the order of a norm.
    """
    check_counts(num=num, layers=layers)
    check_counts(2, dim=dim)
    dual = dual_order(ord)
    dtype = jnp.dtype(dtype or jnp.result_type(float))

    def multiply(column, key):
        pivot, rest = column
        key_normal, key_length = jax.random.split(key)
        normal = jax.random.normal(key_normal, (2,), dtype)
        degrees = jnp.array([dim, max(dim - 2, 1)], dtype)
        length = jnp.sqrt(jax.random.chisquare(key_length, degrees, dtype=dtype))
        along = rest * length[0] + pivot * normal[1]
        across = pivot * length[1] if dim > 2 else jnp.zeros((), dtype)
        return (pivot * normal[0], jnp.hypot(along, across)), None

    def draw(i):
        key_layers, key_direction, key_other = jax.random.split(jax.random.fold_in(key, i), 3)
        first = jnp.ones((), dtype), jnp.zeros((), dtype)
        (pivot, rest), _ = jax.lax.scan(multiply, first, jax.random.split(key_layers, layers))
        if ord == 2:
            return Radii(jnp.hypot(pivot, rest), jnp.abs(pivot))
        # Q is uniform and independent of R: q_d is a random direction, the rest another one.
        q = _unit(jax.random.normal(key_direction, (dim,), dtype))
        other = jax.random.normal(key_other, (dim,), dtype)
        other = _unit(other - jnp.vdot(other, q) * q)
        return Radii(norm(pivot * q + rest * other, ord), jnp.abs(pivot) / norm(q, dual))

    batch_size = max(1, min(num, ELEMENTS // dim))
    return jax.lax.map(draw, jnp.arange(num, dtype=jnp.uint32), batch_size=batch_size)


def mixing_compression(key: Key, dim: int, layers: int, *, num: int = 4096, ord: Order = 2) -> Law:
    r"""Family B with several mixing layers, or in another norm: empirical law of the ratio.

    `compression(dim)` is the exact law for one layer in ℓ2. One layer in ℓp is also the law of a
    pair of family A: of $|\langle u, v\rangle| / (\|u\|_{p^*} \|v\|_p)$ for two independent
    uniform directions, since both families are invariant under rotations and agree in ℓ2.

    Parameters
    ----------
    key, dim, layers, ord
        As of `sample_hypercube`.
    num
        Number of draws.

    Returns
    -------
    Law
        As of `empirical`.

    Raises
    ------
    ValueError
        As `sample_hypercube`.
    """
    return empirical(sample_hypercube(key, num, dim, layers=layers, ord=ord).ratio)


def _unit(x: Array) -> Array:
    return x / jnp.linalg.vector_norm(x)
