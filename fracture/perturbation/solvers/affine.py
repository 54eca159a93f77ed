"""Minimal perturbations of affine classifiers, exact, and the solver that linearises once."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from ..._problem import pose
from ..._typing import Bounds, LogitsFn, Order
from ...logits import as_logits
from .._result import Perturbation, finish
from ..steps.linearise import among, linearise
from ..steps.ray import cross
from ..steps.step_off import step_off


class AffineRadius(NamedTuple):
    """The exact distance of one input from the decision boundary of an affine classifier.

    Attributes
    ----------
    delta
        Displacement to the boundary; `x + delta` lies on it and is not adversarial yet.
    radius
        Its norm, in float32 at least: an infimum. 0 where misclassified, inf where no perturbation
        exists.
    adversarial_label
        The class on the other side; -1 where there is none.
    """

    delta: Float[Array, "*input"]
    radius: Float[Array, ""]
    adversarial_label: Int[Array, ""]


def affine_radius(
    weight: Float[Array, "k *input"],
    bias: Float[Array, " k"],
    x: ArrayLike,
    label: ArrayLike,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    target: ArrayLike | None = None,
) -> AffineRadius:
    r"""Distance to the nearest boundary of the logits ⟨weight_k, x⟩ + bias_k, in closed form.

    Without bounds, the minimum over j of (f_y − f_j)(x) / ‖w_y − w_j‖_*, the dual norm; with
    bounds, the exact projection on a half-space and a box.

    Parameters
    ----------
    weight, bias
        Shapes (K, *input) and (K,); K = 1 stands for the logits (f/2, −f/2).
    x, label
        One input and its class.
    ord
        1, 2 or inf.
    bounds
        `(lower, upper)`, scalars or arrays that broadcast against `x`; None for no box.
    target
        Only the boundary with this class; may be traced.

    Returns
    -------
    An `AffineRadius`; radius NaN where the input or the classifier is not finite or an index
    is out of range.

    Raises
    ------
    ValueError
        For shapes that do not fit, an unknown `ord`, or a Python index out of range.

    References
    ----------
    Moosavi-Dezfooli, Fawzi, Frossard (2016), "DeepFool", Section 3. arXiv:1511.04599.
    """
    x, weight, bias = jnp.asarray(x), jnp.asarray(weight), jnp.asarray(bias)
    if weight.shape[1:] != x.shape or bias.shape != weight.shape[:1]:
        raise ValueError(
            f"weight and bias must have shapes (K, *{x.shape}) and (K,), got {weight.shape} and "
            f"{bias.shape}."
        )

    def logits_fn(z):
        return jnp.sum(weight * z[None], axis=tuple(range(1, weight.ndim))) + bias

    problem = pose(logits_fn, x, label, ord, bounds, target)
    # The gradients are the weights: no need to differentiate for them, one pass a class.
    rows = jax.vmap(as_logits, in_axes=1, out_axes=1)(weight.reshape(weight.shape[0], x.size))
    nearest = among(
        problem,
        as_logits(logits_fn(x)),
        lambda rival: rows[problem.label] - rows[rival],
        problem.origin,
        problem.num_classes,
    ).nearest
    exists = problem.posed & (nearest.distance < jnp.inf)
    return AffineRadius(
        jnp.where(exists, nearest.delta, 0).astype(x.dtype).reshape(x.shape),
        jnp.where(problem.posed, nearest.distance, jnp.nan),
        jnp.where(exists, nearest.rival, -1),
    )


def affine(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    target: ArrayLike | None = None,
    num_classes: int | None = None,
) -> Perturbation:
    """Exact minimal perturbation of the network linearised at `x`, along which it then searches.

    The exact answer, up to rounding, where the network is affine; one step of DeepFool elsewhere.

    Parameters
    ----------
    logits_fn, x, label, ord, bounds, target
        As of `minimal`.
    num_classes
        How many classes, those with the largest logits, to linearise; None for all. Each costs
        one gradient.

    Returns
    -------
    A `Perturbation`.

    Raises
    ------
    TypeError, ValueError
        As of `minimal`.
    """
    problem = step_off(pose(logits_fn, x, label, ord, bounds, target))
    near = linearise(problem, problem.num_classes if num_classes is None else num_classes)
    best = cross(problem, near.nearest.delta)
    return finish(problem, best, near.classes.size, near.finite)
