"""How many of some inputs provably withstand every perturbation up to a radius."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ._result import Certificate, CertificateStatus

_WRONG = CertificateStatus.MISCLASSIFIED, CertificateStatus.NOT_FINITE


def certified_accuracy(
    certificate: Certificate, radii: ArrayLike | Sequence[float]
) -> Float[Array, "*radii"]:
    r"""Share of inputs that are classified right, and whose answer nothing within a radius changes.

    $\frac1n \sum_i \mathbf 1[r_i > \epsilon]$ of certified radii $r_i$: a lower bound of the true
    robust accuracy, where `perturbation.robust_accuracy` of the same inputs is an upper bound of
    it. At the radius 0 both are the accuracy, but for ties, which are right for the latter alone:
    there an input for which nothing was certified counts by its answer, and at every other radius
    as not robust. An input without a valid problem counts as wrong. Of certificates towards a
    `target`, an input counts as right where its label's logit is above the target's.

    Parameters
    ----------
    certificate
        For a batch, with a leading axis n, such as `solve(…, solver=certify)` returns, or a bracket
        has.
    radii
        Norms, in that of the certificates and in units of the input; any shape, may be traced.

    Returns
    -------
    The share at each radius, in the shape of `radii` and the dtype of the certified radii.

    Raises
    ------
    ValueError
        If `certificate` is of a single input, of more than one leading axis, or of no inputs.

    Examples
    --------
    Of a linear network both bounds are the truth, up to rounding:

    >>> import jax, jax.numpy as jnp
    >>> from fracture.certificates import certified_accuracy, certify
    >>> inputs = jnp.array([[0.5, 0.0], [1.0, 3.0], [2.0, -1.0], [-1.0, 0.0]])
    >>> prove = lambda x: certify(lambda z: jnp.stack([z[0], -z[0]]), x, 0, method="crown")
    >>> print(certified_accuracy(jax.vmap(prove)(inputs), (0.0, 0.75, 1.5)))
    [0.75 0.5  0.25]
    """
    certified, status = jnp.asarray(certificate.radius), jnp.asarray(certificate.status)
    if certified.ndim != 1 or not certified.size:
        raise ValueError(
            f"certificate must be of a batch, with radii of shape (n,), got {certified.shape}."
        )
    right = ~jnp.isin(status, jnp.array(_WRONG, status.dtype))
    radii = jnp.asarray(radii, certified.dtype)

    def share(radius):
        return jnp.mean(right & ((certified > radius) | (radius <= 0)), dtype=certified.dtype)

    return jax.vmap(share)(radii.ravel()).reshape(radii.shape)
