"""What noisy features still say of the input: information in the Gaussian approximation."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from .._checks import traced
from .._linalg import matmul
from .._typing import LogitsFn
from ..norms import at_least_float32
from ._arrays import as_float, widest
from ._layers import ending_in
from ._spectrum import as_matrix, spectrum


class LayerInformation(NamedTuple):
    """One entry for the input, one for what each stage returns; the logits are the last.

    Attributes
    ----------
    information
        Nats that the noisy features have about the input, for each standard deviation of the noise.
    dim
        Number of features.
    """

    information: Float[Array, "layers+1 noises"]
    dim: Int[Array, " layers+1"]


def gaussian_information(
    matrix: ArrayLike, noise: ArrayLike, *, factor: ArrayLike | None = None
) -> Float[Array, "*noises"]:
    r"""Mutual information of a Gaussian input and noisy linear features of it.

    $I(x; J x + \sigma n) = \tfrac12 \log\det(I + J \Sigma J^\top / \sigma^2)
    = \tfrac12 \sum_i \log(1 + s_i^2 / \sigma^2)$ with x ~ N(0, Σ), n ~ N(0, I), and $s_i$ the
    singular values of $J F$, $\Sigma = F F^\top$. Exact for linear features of Gaussian inputs;
    elsewhere, with J a Jacobian, an approximation near the point where it was taken.

    Parameters
    ----------
    matrix
        J, a floating-point array of shape `(m, d)`.
    noise
        σ, positive, of any shape.
    factor
        F, of shape `(d, r)`, such as the transposed inputs of a data set less their mean over
        $\sqrt{n - 1}$; None for Σ = I.

    Returns
    -------
    Float[Array, "*noises"]
        Nats, in the shape of `noise` and the wider dtype, at least float32. Any scale; NaN where
        the matrix is not finite.

    Raises
    ------
    TypeError
        If `matrix` or `factor` is not a floating-point array.
    ValueError
        If they are no matrices, do not fit, or a noise is not positive.

    References
    ----------
    Cover, Thomas (2006), "Elements of Information Theory", 2nd ed., Section 9.4 (parallel Gaussian
    channels).
    """
    matrix = as_matrix(matrix, "matrix")
    if factor is not None:
        factor = as_matrix(factor, "factor")
        if factor.shape[0] != matrix.shape[1]:
            raise ValueError(f"factor must be ({matrix.shape[1]}, r), got shape {factor.shape}.")
        dtype = widest(matrix.dtype, factor.dtype)
        matrix = matmul(matrix.astype(dtype), factor.astype(dtype))
    return _information(matrix, _as_noise(noise, matrix.dtype))


def layer_information(
    stages: Sequence[LogitsFn],
    x: ArrayLike,
    noise: ArrayLike,
    *,
    factor: ArrayLike | None = None,
) -> LayerInformation:
    r"""What the noisy features of each layer say about inputs around one, in nats.

    The network is given as its stages, $h_0 = x$, $h_{l+1} = \mathrm{stage}_l(h_l)$, the last
    output being the logits. At each layer, $I(x; h_l + \sigma n)$ of `gaussian_information` with
    $J_l = \partial h_l / \partial x$ at `x`: exact where the network is affine and inputs are
    Gaussian. All $J_l F$ come from one forward pass for each column of F.

    Without noise between the layers, no layer has more information than the one before; with noise
    of one size at each of them, one that amplifies or repeats has. Compare layers at a noise that
    is in proportion to their features.

    Parameters
    ----------
    stages
        Functions of one array that returns one array, as many as layers.
    x
        One input, a floating-point array of any shape with d entries.
    noise
        σ, positive: shape `(noises,)`, or `(layers + 1, noises)` with its own for each layer, the
        input first.
    factor
        F with $\Sigma = F F^\top$, the covariance of the inputs, shape `(d, r)`; None for Σ = I.

    Returns
    -------
    LayerInformation
        Nats, one row for the input and one for each stage, and the numbers of features.

    Raises
    ------
    TypeError
        If `x`, `factor` or features are not floating-point arrays.
    ValueError
        If there are no stages, shapes do not fit, or a noise is not positive.

    References
    ----------
    Yi, Xie, Mudumbai, Xu (2019), "Trust but verify: an information-theoretic explanation for the
    adversarial fragility of machine learning systems, and a general defense against adversarial
    attacks", arXiv:1905.11381, Section 3.
    """
    x, stages = as_float(x, "x"), ending_in(lambda logits: logits, stages)
    columns = jnp.eye(x.size, dtype=x.dtype)
    if factor is not None:
        columns = as_matrix(factor, "factor").T
        if columns.shape[1] != x.size:
            raise ValueError(f"factor must be ({x.size}, r), got shape {columns.T.shape}.")
    rows = len(stages) + 1
    if np.ndim(noise) not in (1, 2) or (np.ndim(noise) == 2 and np.shape(noise)[0] != rows):
        raise ValueError(f"noise must be (noises,) or ({rows}, noises), got {np.shape(noise)}.")

    def features(z: Array) -> list[Array]:
        found = [z]
        for index, stage in enumerate(stages):
            found.append(as_float(stage(found[-1]), f"the output of stage {index}"))
        return found

    with jax.default_matmul_precision("float32"):
        push = lambda t: jax.jvp(features, (x,), (t.reshape(x.shape).astype(x.dtype),))[1]
        pushed = [p.reshape(len(columns), -1) for p in jax.vmap(push)(columns)]
    dtype = widest(jnp.float32, *(p.dtype for p in pushed))
    noises = jnp.broadcast_to(_as_noise(noise, dtype), (rows, np.shape(noise)[-1]))
    found = [_information(at_least_float32(p), s) for p, s in zip(pushed, noises, strict=True)]
    dims = jnp.array([p.shape[1] for p in pushed], jnp.int32)
    return LayerInformation(jnp.stack([row.astype(dtype) for row in found]), dims)


def _information(matrix: Array, noise: Array) -> Array:
    dtype = widest(matrix.dtype, noise.dtype)
    values = spectrum(matrix, method="qr").astype(dtype)
    noises = noise.astype(dtype)[..., None]
    ratio = values.reshape((1,) * noise.ndim + values.shape) / noises
    # log(1 + r²) without the square of a large r, which overflows.
    large = ratio > 1
    inside, outside = jnp.where(large, 1, ratio), jnp.where(large, ratio, 1)
    nats = jnp.log1p(inside**2)
    return 0.5 * jnp.sum(
        jnp.where(large, 2 * jnp.log(outside) + jnp.log1p(outside**-2), nats), axis=-1
    )


def _as_noise(noise: ArrayLike, dtype: jnp.dtype) -> Array:
    if not traced(noise) and not np.all(np.asarray(noise) > 0):
        raise ValueError("noise must be positive.")
    return jnp.asarray(noise, dtype)
