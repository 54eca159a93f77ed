"""Minimal perturbations of affine classifiers, exact, and the solver that linearises once."""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from ..._problem import Problem, pose
from ..._typing import Bounds, LogitsFn, Order
from ...logits import as_logits
from .._options import check_counts
from .._result import Perturbation, cross, finish
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
    nearest = linearise(problem, problem.num_classes).nearest
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


class Nearest(NamedTuple):
    """The nearest of several linearised boundaries."""

    delta: Array  # from x
    distance: Array
    rival: Array


class Linearisation(NamedTuple):
    """What the boundaries linearised at x look like from there."""

    nearest: Nearest
    classes: Array  # (c,) int32, by decreasing logit
    distances: Array  # (c,); inf where out of reach
    finite: Array  # bool: all gradients are

    def closest(self, count: int) -> Array:
        """The `count` classes, or all if there are fewer, whose boundaries are nearest."""
        return self.classes[jax.lax.top_k(-self.distances, min(count, self.classes.size))[1]]


def linearise(problem: Problem, num_classes: int) -> Linearisation:
    """Distances to the linearised boundaries with the classes of the largest logits.

    One gradient a class, one in memory at a time.
    """
    logits, pull = jax.vjp(lambda z: as_logits(problem.logits_fn(z)), problem.base)
    classes = rivals(problem, logits, num_classes)
    every = jnp.arange(problem.num_classes, dtype=jnp.int32)
    dtype = problem.center.dtype

    def one(rival):
        ahead = (every == problem.label).astype(logits.dtype)
        (grad,) = pull(ahead - (every == rival).astype(logits.dtype))
        excess = logits[problem.label] - logits[rival]
        move, distance = problem.step(problem.origin, excess.astype(dtype), grad.astype(dtype))
        distance = jnp.where(jnp.isfinite(excess), distance, jnp.inf)
        return move, distance, jnp.all(jnp.isfinite(grad))

    def closer(nearest, rival):
        delta, distance, finite = one(rival)
        candidate = Nearest(delta, distance, rival)
        better = (distance < nearest.distance) | (nearest.rival < 0)
        return jax.tree.map(partial(jnp.where, better), candidate, nearest), (distance, finite)

    none = Nearest(
        jnp.zeros_like(problem.origin), jnp.full((), jnp.inf, dtype), jnp.full((), -1, jnp.int32)
    )
    nearest, (distances, finite) = jax.lax.scan(closer, problem.init(none), classes)
    return Linearisation(nearest, classes, distances, jnp.all(finite))


def rivals(problem: Problem, logits: Array, num_classes: int) -> Array:
    """The classes with the largest logits but the label; the target alone where there is one."""
    check_counts(num_classes=num_classes)
    if problem.targeted:
        return problem.target[None]
    others = jnp.arange(problem.num_classes - 1, dtype=jnp.int32)
    others += (others >= problem.label).astype(jnp.int32)
    return others[jax.lax.top_k(logits[others], min(num_classes, others.size))[1]]
