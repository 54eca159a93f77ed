"""How far the truth can be: a perturbation that was found, and a radius that is certified."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._typing import Bounds, LogitsFn, Order
from ..perturbation import Perturbation, minimal, refine
from ._certify import certified
from ._result import Certificate


class Bracket(NamedTuple):
    """The norm of the smallest perturbation lies in [low, high]; `vmap` adds an axis to each field.

    Attributes
    ----------
    certificate
        Why it is not below `low`.
    found
        Why it is not above `high`.
    """

    certificate: Certificate
    found: Perturbation

    @property
    def low(self) -> Float[Array, "*shape"]:
        """The certified radius."""
        return self.certificate.radius

    @property
    def high(self) -> Float[Array, "*shape"]:
        """The norm of the perturbation that was found; inf where none was."""
        return self.found.norm


def bracket(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    target: ArrayLike | None = None,
    method: str = "best",
    effort: str = "medium",
) -> Bracket:
    """The smallest perturbation from both sides: `minimal` from above, `certify` from below.

    Parameters
    ----------
    logits_fn, x, label, ord, bounds, target, effort
        As of `minimal` and of `certify`.
    method
        As of `certify`.

    Returns
    -------
    A `Bracket`, the status of whose certificate is `EXACT` where the two meet.

    Raises
    ------
    NotImplementedError, TypeError, ValueError
        As `certify` and `minimal` do.
    """
    asked: dict[str, Any] = {"ord": ord, "bounds": bounds, "target": target, "effort": effort}
    found = minimal(logits_fn, x, label, **asked)
    certificate, met = certified(logits_fn, x, label, method=method, found=found, **asked)
    if met is not None:  # on the way, where a network was taken apart
        del asked["effort"]
        other = refine(logits_fn, x, label, met.reshape(jnp.shape(x)), **asked)
        shorter = other.norm < found.norm
        spent = found.num_grads + other.num_grads
        found = jax.tree.map(functools.partial(jnp.where, shorter), other, found)
        found = found._replace(num_grads=spent)
    return Bracket(certificate, found)
