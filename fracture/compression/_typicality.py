"""How far the features of an input are from those of its class: a detector of what is odd."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._checks import as_labels, check_counts, require_classes
from .._linalg import matmul, one_by_one_on_cpu
from .._typing import Labels
from ..norms import positive
from ._arrays import as_float, as_rows


class ClassGaussians(NamedTuple):
    """Gaussian features of one covariance in all classes, as `class_gaussians` estimates them.

    Attributes
    ----------
    means
        Of each class; NaN for one without examples.
    whitening
        Matrix W: `W.T @ (features - mean)` has unit covariance.
    """

    means: Float[Array, "K m"]
    whitening: Float[Array, "m m"]


def class_gaussians(
    features: ArrayLike, labels: Labels, num_classes: int, *, shrinkage: float = 0.01
) -> ClassGaussians:
    r"""Means of each class and the covariance within classes, from labelled examples.

    Every feature is divided by its standard deviation within classes first, so that the scales of
    different layers do not matter, and the correlations R are shrunk to
    $(1 - \lambda) R + \lambda I$. A feature that is constant within every class is left out.

    Parameters
    ----------
    features
        One example per row, shape `(n, …)`, flattened to m.
    labels
        Integers from 0 to `num_classes - 1`, shape `(n,)`.
    num_classes
        K.
    shrinkage
        λ, from 0 (more examples than features are needed) to 1.

    Returns
    -------
    ClassGaussians
        In the dtype of `features`, at least float32; NaN where traced labels are out of range.

    Raises
    ------
    TypeError
        If `features` is not a floating-point array, or labels no integers.
    ValueError
        If shapes do not fit, or an option or a label that is not traced is out of range.

    References
    ----------
    Lee, Lee, Lee, Shin (2018), "A simple unified framework for detecting out-of-distribution
    samples and adversarial attacks", arXiv:1807.03888, Equation 1 (there without shrinkage).
    """
    rows, labels = as_rows(features, "features", 2), as_labels(labels)
    check_counts(num_classes=num_classes)
    if not 0 <= shrinkage <= 1:
        raise ValueError(f"shrinkage must be from 0 to 1, got {shrinkage!r}.")
    if labels.shape != rows.shape[:1]:
        raise ValueError(f"labels must be ({len(rows)},), got shape {labels.shape}.")
    require_classes(labels, num_classes)
    counts = jax.ops.segment_sum(jnp.ones(len(rows), rows.dtype), labels, num_classes)
    means = jax.ops.segment_sum(rows, labels, num_classes) / counts[:, None]
    known = (labels >= 0) & (labels < num_classes)
    within = jnp.where(known[:, None], rows - means[labels], jnp.nan)
    spread = jnp.sqrt(jnp.mean(within**2, axis=0))
    inverse = jnp.where(spread > 0, 1 / positive(spread), 0)
    unit = within * inverse[None]
    correlations = matmul(unit.T, unit) / len(rows)
    identity = jnp.eye(len(correlations), dtype=rows.dtype)
    values, vectors = _eigh((1 - shrinkage) * correlations + shrinkage * identity)
    whitening = inverse[:, None] * vectors / jnp.sqrt(positive(values))[None]
    return ClassGaussians(means, whitening)


def atypicality(classes: ClassGaussians, features: ArrayLike, label: Labels) -> Float[Array, ""]:
    """Squared Mahalanobis distance of one example's features from the mean of a class.

    With the label that a network gives, it compares the features with what this label predicts.
    About χ² with m degrees of freedom for an ordinary example of Gaussian features.

    Parameters
    ----------
    classes
        From `class_gaussians`.
    features
        Of one example, m entries in any shape.
    label
        The class, an integer, may be traced.

    Returns
    -------
    Float[Array, ""]
        NaN for a class without examples, and for a label that is no class.

    Raises
    ------
    TypeError
        If `features` is not a floating-point array, or the label no integer.
    ValueError
        If the number of features is another one.
    """
    h, label = as_float(features, "features").ravel(), as_labels(label)
    if h.shape != classes.means.shape[1:]:
        raise ValueError(f"features must have {classes.means.shape[1]} entries, got {h.size}.")
    away = h.astype(classes.means.dtype) - classes.means[label]
    known = (label >= 0) & (label < len(classes.means))
    return jnp.where(known, jnp.sum(matmul(away, classes.whitening) ** 2), jnp.nan)


_eigh = one_by_one_on_cpu(lambda matrix: tuple(jnp.linalg.eigh(matrix)))
