"""Certified margins in a ball of a given radius, to train for."""

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._checks import check_radius
from .._problem import pose
from .._typing import Bounds, LogitsFn, Order
from ._domain import Domain
from ._methods import budget_of
from ._outputs import margins_on, outputs, prepare, seeds_of


def margins(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    radius: ArrayLike,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    method: str = "crown",
    effort: str = "medium",
) -> Float[Array, " k"]:
    """Lower bounds of the label's logit minus each other one, in a ball around `x`.

    Differentiable, once, in whatever `logits_fn` closes over, in `x` and in the radius: the
    cross-entropy of `-margins` is an upper bound of the worst one in the ball; certified training
    minimises it.

    Parameters
    ----------
    logits_fn, x, label, ord, bounds, method, effort
        As of `certify`.
    radius
        Of the ball; may be traced.

    Returns
    -------
    Shape (K,); 0 for the label itself. No perturbation within the ball changes the answer where all
    others are positive. All are -inf where a traced label is out of range, traced bounds are out of
    order, a traced radius is negative or no number, or the network is not finite at `x`; so is one
    whose bound is no number.

    Raises
    ------
    NotImplementedError, TypeError, ValueError
        As `certify` does; also for a radius that is not one number, negative or not finite.

    References
    ----------
    Zhang et al. (2020), "Towards stable and efficient training of verifiably robust neural
    networks", arXiv:1906.06316.

    Examples
    --------
    A loss for certified training:

    >>> import jax, jax.numpy as jnp, optax
    >>> from fracture.certificates import margins
    >>> def loss(weights, x, label):
    ...     network = lambda z: weights[1] @ jax.nn.relu(weights[0] @ z)
    ...     certified = margins(network, x, label, 0.1, method="interval")
    ...     return optax.softmax_cross_entropy_with_integer_labels(-certified, label)
    >>> weights = jnp.eye(2), jnp.eye(2)
    >>> print(f"{loss(weights, jnp.array([1.0, 0.5]), 0):.3f}")
    0.530
    """
    budget = budget_of(method, effort)
    check_radius(radius)
    problem = pose(logits_fn, x, label, ord, bounds, None)
    known, room = prepare(problem)
    radius = jnp.asarray(radius, problem.center.dtype)
    domain = Domain(known.center[0], radius, problem.ord, room)
    rows, *_ = outputs(known, domain, seeds_of(problem), budget, None)
    certified = margins_on(domain, rows)
    valid = problem.posed & (radius >= 0) & ~jnp.isnan(certified)
    return jnp.where(valid, certified, -jnp.inf)
