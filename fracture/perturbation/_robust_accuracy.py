"""How many of some inputs withstand every perturbation up to a radius."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ._result import Perturbation


def robust_accuracy(
    found: Perturbation, radii: ArrayLike | Sequence[float]
) -> Float[Array, "*radii"]:
    r"""Share of inputs that are classified right, and that nothing found within a radius changes.

    $\frac1n \sum_i \mathbf 1[\|\delta_i\| > \epsilon]$, with 0 for the norm of a misclassified
    input: at the radius 0 it is the accuracy, and it falls with the radius. It is an upper bound of
    the true robust accuracy, as every attack gives: an input for which nothing was found counts as
    robust at every radius, since a search that fails proves nothing. An input without a valid
    problem (`Status.NOT_FINITE`: NaN, infinity, a label out of range) counts as wrong: no network
    looks robust for having no answer.

    Parameters
    ----------
    found
        Results for a batch, with a leading axis n, such as `solve` returns. Of an attack at a
        fixed radius, such as `pgd`, only radii up to that one are meaningful.
    radii
        Norms, in that of the search and in units of the input; any shape, may be traced.

    Returns
    -------
    The share at each radius, in the shape of `radii` and the dtype of the norms.

    Raises
    ------
    ValueError
        If `found` is of a single input, of more than one leading axis, or of no inputs.

    References
    ----------
    Carlini et al. (2019), "On evaluating adversarial robustness", arXiv:1902.06705, Section 5.

    Examples
    --------
    Four inputs at distances 0.5, 1, 2 and -1 (on the wrong side) from the boundary of a linear
    network:

    >>> import jax, jax.numpy as jnp
    >>> from fracture.perturbation import affine, robust_accuracy
    >>> inputs = jnp.array([[0.5, 0.0], [1.0, 3.0], [2.0, -1.0], [-1.0, 0.0]])
    >>> find = lambda x: affine(lambda z: jnp.stack([z[0], -z[0]]), x, 0)
    >>> print(robust_accuracy(jax.vmap(find)(inputs), (0.0, 0.75, 1.5)))
    [0.75 0.5  0.25]
    """
    norm, valid = jnp.asarray(found.norm), jnp.asarray(found.correct)
    if norm.ndim != 1 or not norm.size:
        raise ValueError(f"found must be of a batch, with norms of shape (n,), got {norm.shape}.")
    radii = jnp.asarray(radii, norm.dtype)
    share = jax.vmap(lambda radius: jnp.mean(valid & (norm > radius), dtype=norm.dtype))
    return share(radii.ravel()).reshape(radii.shape)
