"""What is certified for one input."""

from enum import IntEnum
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .._problem import Problem

EXACT = 1e-4  # a bracket that is as narrow is a point


class CertificateStatus(IntEnum):
    """What is known about one input."""

    CERTIFIED = 0  # no perturbation within `radius` changes the answer
    EXACT = 1  # and one that is hardly longer does: `radius` is the smallest
    MISCLASSIFIED = 2  # x itself gets another answer: 0
    NOTHING = 3  # nothing could be certified: 0
    NOT_FINITE = 4  # no valid problem: NaN, infinity, or a label out of range


class Certificate(NamedTuple):
    """What is certified for one input; `vmap` adds an axis to each field.

    Attributes
    ----------
    radius
        No perturbation of a smaller norm, and none within the bounds if there are any, changes the
        answer of the network, computed in real numbers with the weights as they are; 0 where
        nothing is certified.
    margins
        Shape (K,): lower bounds of the label's logit minus each other one, on the ball of that
        radius within the bounds; 0 for the label itself.
    closest
        The class asked about whose margin is the smallest there.
    status
        A `CertificateStatus`.
    num_bounds
        How many radii were tried, and, of a network that was taken apart, how many parts were
        bounded.
    """

    radius: Float[Array, ""]
    margins: Float[Array, " k"]
    closest: Int[Array, ""]
    status: Int[Array, ""]
    num_bounds: Int[Array, ""]


def wanted(problem: Problem) -> Array:
    """Which classes are asked about, shape (K,): the target, or all but the label."""
    classes = jnp.arange(problem.num_classes, dtype=jnp.int32)
    return jnp.where(problem.target < 0, classes != problem.label, classes == problem.target)


def conclude(
    problem: Problem,
    radius: Array,
    margins: Array,
    count: Array,
    closest: Array,
    shortest: Array,
) -> Certificate:
    """The certificate, with what it means.

    Parameters
    ----------
    problem
        From `pose`.
    radius, margins
        What was certified, and the margins there.
    count
        How many radii and parts were tried.
    closest
        The class with the smallest margin.
    shortest
        Norm of the smallest perturbation that is known; inf for none.
    """
    wrong = problem.posed & (problem.start.margin <= 0)
    radius = jnp.where(problem.posed & ~wrong, radius, 0)
    status = jnp.where(radius > 0, CertificateStatus.CERTIFIED, CertificateStatus.NOTHING)
    met = (radius > 0) & (shortest <= radius * (1 + EXACT))
    status = jnp.where(met, CertificateStatus.EXACT, status)
    status = jnp.where(wrong, CertificateStatus.MISCLASSIFIED, status)
    status = jnp.where(problem.posed, status, CertificateStatus.NOT_FINITE)
    return Certificate(
        radius=radius,
        margins=margins,
        closest=closest.astype(jnp.int32),
        status=status.astype(jnp.int32),
        num_bounds=count,
    )
