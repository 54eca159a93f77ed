"""The optimal classifier of every family of `fracture.data` that has one, at one of its points."""

from collections.abc import Callable
from enum import IntEnum
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from .._checks import as_labels, check_counts, narrow, traced
from ..data import (
    ConcentricSpheres,
    GaussianClasses,
    GaussianMixture,
    GaussianPoints,
    LinearSubspace,
    MixedHypercube,
)
from ..norms import norm
from ._gaussian import bayes_radius_shared
from ._hypercube import hypercube_radius, mix, twin_displacement
from ._mixture import mixture_radius, one_cluster_each


class Bound(IntEnum):
    """What a radius is of the optimal one; its sign is that of the difference."""

    EXACT = 0  # equal to it, up to rounding
    UPPER = 1  # at least as large
    LOWER = -1  # at most as large: the optimal classifier keeps its answer so far at least


class Optimum(NamedTuple):
    """What the optimal classifier needs at one input; `vmap` adds an axis to each field.

    Attributes
    ----------
    radius
        l2 distance at which its answer changes, in units of the inputs; 0 where it is wrong
        already, inf where there is no other class. Where classes are made of points, half the
        distance to the nearest of another class: no classifier tolerates more at both, and the one
        of minimum distance tolerates it everywhere.
    displacement
        From the input to where another class is: its nearest point where classes are made of
        points; elsewhere the mirror image of the input, as far beyond the boundary as the input is
        before it. Twice as long as `radius`; what compression is measured against.
    label
        The class there; that of the input where there is none to go to.
    bound
        What `radius` is of the optimal one, a value of `Bound`.
    """

    radius: Float[Array, ""]
    displacement: Float[Array, " d"]
    label: Int[Array, ""]
    bound: Int[Array, ""]


def optimum(task: Any, index: ArrayLike, *, max_nodes: int = 0) -> Optimum:
    r"""Radius of the optimal classifier at one point of a task, and the way to another class.

    ======================  =============================  =======================================
    family                  optimal classifier             radius
    ======================  =============================  =======================================
    `gaussian_points`       minimum distance               half the distance to the nearest point
    `mixed_hypercube`       minimum distance               half the distance to the twin, an upper
                                                           bound; to the nearest corner, exact,
                                                           where a search of `max_nodes` ends
    `gaussian_mixture`      Bayes                          to the nearest hyperplane; a lower bound
                                                           where a class has several clusters
    `spiked_covariance`     Bayes                          to the nearest hyperplane
    `correlated_gaussians`  Bayes                          to the nearest hyperplane
    `concentric_spheres`    largest margin: the length     half the gap to the nearest sphere
    `linear_subspace`       largest margin: the sign of    that coefficient's absolute value
                            the first coefficient
    ======================  =============================  =======================================

    Parameters
    ----------
    task
        What a generator of `fracture.data` returned, or a part of it from `split`.
    index
        Number of the point, from 0; may be traced, so that `jax.vmap` maps over points.
    max_nodes
        Of a mixed hypercube only: partial codes that the search for the nearest corner may visit,
        as in `hypercube_radius`; with 0 the twin, whose last coordinate alone differs, is taken.
        Under `vmap` points are searched one after the other.

    Returns
    -------
    Optimum
        Radius, displacement, class there, and whether the radius is exact or which side it bounds.

    Raises
    ------
    TypeError
        If the family has no known optimum, such as images: `nearest_neighbour` gives an upper bound
        from a sample. If `index` is no integer.
    ValueError
        If `index` is not one number, or, where it is known, out of range; if `max_nodes` is
        negative.

    References
    ----------
    Gao et al. (2024), arXiv:2406.16200, Sections 3 and 4 (points, hypercube); Hastie, Tibshirani,
    Friedman (2009), "The elements of statistical learning", Section 4.3 (Gaussian classes); Gilmer
    et al. (2018), arXiv:1801.02774 (spheres); Melamed, Yehudai, Vardi (2023), arXiv:2303.00783
    (subspaces).
    """
    if type(task) not in _FAMILIES:
        known = ", ".join(family.__name__ for family in _FAMILIES)
        raise TypeError(
            f"no optimal classifier is known for {type(task).__name__}, only for {known}; "
            "nearest_neighbour bounds it from a sample."
        )
    check_counts(0, max_nodes=max_nodes)
    position, num = narrow(as_labels(index, "index")), task.labels.size
    if position.shape != ():
        raise ValueError(f"index must be one integer, got shape {position.shape}.")
    if not traced(position) and not 0 <= int(position) < num:
        raise ValueError(f"index must be from 0 to {num - 1}, got {index}.")
    options = {"max_nodes": max_nodes} if isinstance(task, MixedHypercube) else {}
    return _FAMILIES[type(task)](task, position, **options)


def _hypercube(task: MixedHypercube, index: Array, *, max_nodes: int) -> Optimum:
    code, other = task.codes[index], 1 - task.labels[index]
    if max_nodes == 0:
        displacement = twin_displacement(task.factors, code)
        return _optimum(norm(displacement) / 2, displacement, other, Bound.UPPER)
    # Mapped, lanes of one search would wait for the slowest.
    search = jax.custom_batching.sequential_vmap(partial(hypercube_radius, max_nodes=max_nodes))
    nearest = search(task.factors, code)
    bound = jnp.where(nearest.proven, Bound.EXACT, Bound.UPPER)
    return _optimum(nearest.radius, mix(task.factors, nearest.code - code), other, bound)


def _points(task: GaussianPoints, index: Array) -> Optimum:
    # Mapped, XLA would hold the differences of all pairs of points.
    @jax.custom_batching.sequential_vmap
    def nearest_other(points: Array, index: Array) -> tuple[Array, Array]:
        distances = jax.vmap(norm)(points - points[index][None])
        distances = distances.at[index].set(jnp.inf)
        return jnp.min(distances), jnp.argmin(distances)

    distance, nearest = nearest_other(task.inputs, index)
    way = task.inputs[nearest] - task.inputs[index]
    return _optimum(distance / 2, way, task.labels[nearest], Bound.EXACT)


def _gaussian(task: GaussianClasses, index: Array) -> Optimum:
    means = task.means
    bayes = bayes_radius_shared(
        task.inputs[index], task.labels[index], means, task.covariance, jnp.ones_like(means[:, 0])
    )
    return _optimum(bayes.radius, 2 * bayes.displacement, bayes.label, Bound.EXACT)


def _mixture(task: GaussianMixture, index: Array) -> Optimum:
    radius, way, other = mixture_radius(
        task.inputs[index], task.labels[index], task.means, task.mean_labels, task.noise
    )
    bound = jnp.where(one_cluster_each(task.mean_labels), Bound.EXACT, Bound.LOWER)
    return _optimum(radius, 2 * way, other, bound)


def _spheres(task: ConcentricSpheres, index: Array) -> Optimum:
    x, label = task.inputs[index], task.labels[index]
    length, classes = norm(x), jnp.arange(len(task.radii), dtype=jnp.int32)
    gaps = jnp.where(classes == label, jnp.inf, jnp.abs(task.radii - length))
    nearest = jnp.argmin(gaps).astype(jnp.int32)
    along = jnp.where(len(task.radii) > 1, (task.radii[nearest] - length) / length, 0)
    return _optimum(gaps[nearest] / 2, along * x, nearest, Bound.EXACT)


def _subspace(task: LinearSubspace, index: Array) -> Optimum:
    height = task.coefficients[index, 0]
    mirrored = -2 * height * task.basis[:, 0]
    return _optimum(jnp.abs(height), mirrored, 1 - task.labels[index], Bound.EXACT)


def _optimum(radius: Array, displacement: Array, label: Array, bound: ArrayLike) -> Optimum:
    return Optimum(radius, displacement, label, jnp.asarray(bound, jnp.int32))


_FAMILIES: dict[type, Callable[..., Optimum]] = {
    GaussianPoints: _points,
    MixedHypercube: _hypercube,
    GaussianMixture: _mixture,
    GaussianClasses: _gaussian,
    ConcentricSpheres: _spheres,
    LinearSubspace: _subspace,
}
