"""Bayes radius of Gaussian classes: how far the best classifier is from changing its answer."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.linalg import cho_solve, solve_triangular
from jaxtyping import Array, Float, Int

from .._checks import as_labels, narrow, require_single_or_double
from .._linalg import matmul, one_by_one_on_cpu
from .._typing import Labels
from ..norms import over_largest
from ._quadric import quadric_distance


class BayesRadius(NamedTuple):
    """Smallest displacement to where another class is as likely; `vmap` adds an axis.

    Attributes
    ----------
    radius
        Its l2 norm, in units of the inputs; 0 where misclassified, inf where there is no such
        point.
    displacement
        The way there; 0 where there is none to go.
    label
        The class met there; the given one where there is none.
    """

    radius: Float[Array, ""]
    displacement: Float[Array, " d"]
    label: Int[Array, ""]


def bayes_radius_shared(
    x: Float[Array, " d"],
    label: Labels,
    means: Float[Array, "classes d"],
    covariance: Float[Array, "d d"],
    priors: Float[Array, " classes"],
) -> BayesRadius:
    r"""Radius of the Bayes classifier of Gaussian classes with one covariance, in closed form.

    $\log p_y(x) - \log p_j(x) = w_j^\top (x - (\mu_y + \mu_j)/2) + \log(\pi_y/\pi_j)$ with
    $w_j = \Sigma^{-1}(\mu_y - \mu_j)$. The region of class y is the intersection of these
    half-spaces, so that the distance to its complement is the least distance of a hyperplane.

    Parameters
    ----------
    x
        One input, shape `(d,)`.
    label
        Its class y.
    means
        Class means, shape `(K, d)`, K at least 2.
    covariance
        Positive definite, shape `(d, d)`.
    priors
        Weights of the classes, shape `(K,)`, at least 0; only their ratios matter.

    Returns
    -------
    bayes
        Radius 0 where the Bayes classifier does not say `label` at x (a tie counts as that);
        inf where it says so everywhere. Radius nan where an argument is not finite, the label
        out of range or the covariance not positive definite.

    Raises
    ------
    ValueError
        If shapes disagree or there are fewer than two classes.
    TypeError
        If `x` is neither float32 nor float64, or the label no integer.

    References
    ----------
    Hastie, Tibshirani, Friedman (2009), "The elements of statistical learning", Section 4.3.
    """
    require_single_or_double("x", x)
    label = narrow(as_labels(label))
    _check(x, means, priors, covariance.shape, x.shape * 2)
    lower = jnp.linalg.cholesky(covariance)
    log_priors = jnp.log(priors)
    mean, log_prior = means[label], log_priors[label]

    def to_class(other: jax.Array, other_log_prior: jax.Array) -> tuple[jax.Array, jax.Array]:
        white_gap = solve_triangular(lower, mean - other, lower=True)
        white_x = solve_triangular(lower, x - (mean + other) / 2, lower=True)
        weight = solve_triangular(lower, white_gap, lower=True, trans=1)
        advantage = jnp.vdot(white_gap, white_x) + log_prior - other_log_prior
        largest = jnp.max(jnp.abs(weight))
        unit = over_largest(weight, largest)
        length = jnp.linalg.vector_norm(unit)
        distance = advantage / largest / jnp.where(largest > 0, length, 1)
        distance = jnp.where(advantage <= 0, 0, jnp.where(largest == 0, jnp.inf, distance))
        reached = jnp.isfinite(distance) & (largest > 0)
        step = -jnp.where(reached, distance, 0) / jnp.where(largest > 0, length, 1)
        return distance, step * unit

    distances, displacements = jax.vmap(to_class)(means, log_priors)
    distances = jnp.where(_definite(covariance), distances, jnp.nan)
    return _nearest(x, label, priors, distances, displacements)


def bayes_radius(
    x: Float[Array, " d"],
    label: Labels,
    means: Float[Array, "classes d"],
    covariances: Float[Array, "classes d d"],
    priors: Float[Array, " classes"],
) -> BayesRadius:
    r"""Radius of the Bayes classifier of Gaussian classes, each with its own covariance.

    Class j wins where one quadratic, $\log p_y - \log p_j$, is negative. The complement of the
    region of y is the union of these sets, so the radius is the least of their distances; each is
    found to rounding by a secular equation (`quadric_distance`).

    Parameters
    ----------
    x
        One input, shape `(d,)`.
    label
        Its class y.
    means
        Class means, shape `(K, d)`, K at least 2.
    covariances
        Positive definite, shape `(K, d, d)`.
    priors
        Weights of the classes, shape `(K,)`, at least 0; only their ratios matter.

    Returns
    -------
    bayes
        As for `bayes_radius_shared`, which is faster and more precise for equal covariances.

    Raises
    ------
    ValueError
        If shapes disagree or there are fewer than two classes.
    TypeError
        If `x` is neither float32 nor float64, or the label no integer.

    References
    ----------
    Hastie, Tibshirani, Friedman (2009), Section 4.3 (quadratic discriminant); Moré (1993),
    "Generalizations of the trust region problem", Optimization Methods and Software 2.
    """
    require_single_or_double("x", x)
    label = narrow(as_labels(label))
    _check(x, means, priors, covariances.shape, (means.shape[0], *x.shape * 2))
    # In units of the spread of class y, so that no square over- or underflows.
    unit = jnp.sqrt(jnp.trace(covariances[label]) / x.size)
    unit = jnp.where((unit > 0) & jnp.isfinite(unit), unit, 1)
    covariances = covariances / unit / unit
    lower = jnp.linalg.cholesky(covariances)
    identity = jnp.eye(x.size, dtype=x.dtype)
    precision = jax.vmap(lambda factor: cho_solve((factor, True), identity))(lower)
    offset = (x[None] - means) / unit
    gradient = jax.vmap(matmul)(precision, offset)
    log_det = 2 * jnp.log(jnp.diagonal(lower, axis1=1, axis2=2)).sum(axis=1)
    log_density = jnp.log(priors) - (jnp.sum(offset * gradient, axis=1) + log_det) / 2

    # What is left of the difference of two equal eigenvalues.
    rounding = x.size * jnp.finfo(x.dtype).eps * jnp.max(jnp.abs(precision), axis=(1, 2))

    def to_class(j: jax.Array) -> tuple[jax.Array, jax.Array]:
        return quadric_distance(
            precision[j] - precision[label],
            gradient[j] - gradient[label],
            log_density[label] - log_density[j],
            rounding=jnp.maximum(rounding[j], rounding[label]),
        )

    distances, displacements = jax.vmap(to_class)(jnp.arange(means.shape[0]))
    definite = jax.vmap(_definite)(covariances)
    distances = jnp.where(definite & definite[label], distances, jnp.nan)
    return _nearest(x, label, priors, unit * distances, unit * displacements)


def _definite(covariance: jax.Array) -> jax.Array:
    """Whether the correlations have no eigenvalue that rounding alone could explain.

    Where there is one, a Cholesky decomposition may succeed all the same, with a pivot that is
    nothing but rounding.
    """
    spread = jnp.sqrt(jnp.diagonal(covariance))
    correlation = covariance / spread[:, None] / spread[None]
    least = _eigenvalues(jax.lax.stop_gradient(correlation))[0]
    return least > len(covariance) * jnp.finfo(covariance.dtype).eps


_eigenvalues = one_by_one_on_cpu(jnp.linalg.eigvalsh)


def _check(
    x: jax.Array,
    means: jax.Array,
    priors: jax.Array,
    covariance_shape: tuple[int, ...],
    wanted: tuple[int, ...],
) -> None:
    if means.ndim != 2 or x.shape != means.shape[1:] or priors.shape != means.shape[:1]:
        raise ValueError(
            "x (d,), means (K, d) and priors (K,) must agree, got "
            f"{x.shape}, {means.shape} and {priors.shape}."
        )
    if covariance_shape != wanted:
        raise ValueError(f"The covariance must have shape {wanted}, got {covariance_shape}.")
    if means.shape[0] < 2 or means.shape[1] == 0:
        raise ValueError(f"At least two classes and one dimension are wanted, got {means.shape}.")


def _nearest(
    x: jax.Array,
    label: jax.Array,
    priors: jax.Array,
    distances: jax.Array,
    displacements: jax.Array,
) -> BayesRadius:
    classes = jnp.arange(distances.shape[0], dtype=jnp.int32)
    # A class that never occurs is never met; the given one, if it never occurs, nowhere left.
    distances = jnp.where((classes == label) | (priors == 0), jnp.inf, distances)
    distances = jnp.where((classes != label) & (priors[label] == 0), 0, distances)
    nearest = jnp.argmin(distances).astype(jnp.int32)
    radius = distances[nearest]
    valid = jnp.isfinite(x).all() & (priors >= 0).all() & ~jnp.isnan(distances).any()
    valid &= (label >= 0) & (label < distances.shape[0])
    usable = valid & jnp.isfinite(radius) & (radius > 0)
    return BayesRadius(
        jnp.where(valid, radius, jnp.nan),
        jnp.where(usable, displacements[nearest], 0),
        jnp.where(valid & jnp.isfinite(radius), nearest, label),
    )
