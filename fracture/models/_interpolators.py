"""Linear classifiers in closed form: the networks of the paper's theorems."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._linalg import matmul, one_by_one_on_cpu


def linear_apply(
    weight: Float[ArrayLike, "K d"], x: Float[ArrayLike, "*input"]
) -> Float[Array, " K"]:
    """Logits `weight @ x` of one input: an `apply` whose parameters are the weight.

    Parameters
    ----------
    weight
        Shape `(K, d)`.
    x
        One input of any shape, with d entries.

    Returns
    -------
    Float[Array, "K"]
        The logits, in full precision.

    Raises
    ------
    TypeError
        If the shapes do not fit.
    """
    return matmul(jnp.asarray(weight), jnp.ravel(x))


def interpolate_points(inputs: Float[ArrayLike, "..."]) -> Float[Array, "d d"]:
    r"""Weight W of the linear network with $f_j(x_i) = 1$ if i = j, else 0.

    $W = X^{-1}$ with the points in the columns of X: every linear network without biases that
    interpolates the points of `fracture.data.gaussian_points` computes $X^{-1} x$, at any depth.

    Parameters
    ----------
    inputs
        Point i of class i in row i, so $X^\top$; linearly independent. (Entries are not finite
        where they are dependent.)

    Returns
    -------
    Float[Array, "d d"]
        W, one row a class; for `linear_apply`.

    Raises
    ------
    ValueError
        If `inputs` is not a square matrix.

    References
    ----------
    Gao et al., arXiv:2406.16200 (one point per class).
    """
    inputs = jnp.asarray(inputs)
    if inputs.ndim != 2 or inputs.shape[0] != inputs.shape[1]:
        raise ValueError(f"inputs must hold d points in R^d, got the shape {inputs.shape}.")
    return one_by_one_on_cpu(jnp.linalg.inv)(inputs).T


def interpolate_hypercube(factors: Float[ArrayLike, "..."]) -> Float[Array, "2 d"]:
    r"""Weight of the two logits $\mp z_d / 2$ as a linear function of $x = A z$.

    $z_d = q_d^\top x / R_{dd}$ with $A = H_L \cdots H_1 = Q R$: one direction is read. Label 1
    stands for $z_d = +1$, as in `fracture.data.mixed_hypercube`.

    Parameters
    ----------
    factors
        $H_1, \ldots, H_L$ in the order in which they act on z. Their product is never formed:
        $H_l Q_{l-1} = Q_l R_l$ in turn, and the last pivots multiply.

    Returns
    -------
    Float[Array, "2 d"]
        One row a class; for `linear_apply`.

    Raises
    ------
    ValueError
        If `factors` is not a stack of square matrices.

    References
    ----------
    Gao et al., arXiv:2406.16200 (exponentially many points).
    """
    factors = jnp.asarray(factors)
    if factors.ndim != 3 or factors.shape[0] < 1 or factors.shape[1] != factors.shape[2]:
        raise ValueError(f"factors must have the shape (layers, d, d), got {factors.shape}.")

    decompose = one_by_one_on_cpu(lambda matrix: tuple(jnp.linalg.qr(matrix)))

    def multiply(basis, factor):
        basis, triangle = decompose(matmul(factor, basis))
        return basis, triangle[-1, -1]

    identity = jnp.eye(factors.shape[1], dtype=factors.dtype)
    basis, pivots = jax.lax.scan(multiply, identity, factors)
    weight = basis[:, -1] / pivots.prod()
    return jnp.stack([-weight / 2, weight / 2])
