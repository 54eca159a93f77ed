"""Isotropic Gaussian clusters of one width: a radius that the Bayes classifier tolerates."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from ..norms import norm, positive, power_near


def mixture_radius(
    x: Float[Array, " d"],
    label: Int[Array, ""],
    means: Float[Array, "clusters d"],
    mean_labels: Int[Array, " clusters"],
    noise: Float[Array, ""],
) -> tuple[Float[Array, ""], Float[Array, " d"], Int[Array, ""]]:
    r"""Distance within which the most likely class stays what it is, from a bound on densities.

    A class is at least as likely as its likeliest cluster c, and another one, of k clusters, at
    most k times as likely as its likeliest j. So class y wins wherever for one of its clusters c
    all others have $\log p_c - \log p_j > \log k_j$, a half-space each:
    $\langle x - (\mu_c + \mu_j)/2, \mu_c - \mu_j\rangle > \sigma^2 \log k_j$. With one cluster a
    class this is the region of y itself, and the radius exact.

    Parameters
    ----------
    x
        One input, shape `(d,)`.
    label
        Its class y.
    means, mean_labels
        Centre and class of each cluster; all clusters are equally likely.
    noise
        Standard deviation σ of every coordinate; may be 0.

    Returns
    -------
    radius, displacement, label
        The distance for the best c to the nearest of its half-spaces' boundaries, the way there,
        and the class beyond it: 0 and zeros where x is in none of the regions, inf, zeros and
        `label` where there is no other class.
    """
    unit, inverse = power_near(jnp.maximum(jnp.max(jnp.abs(means)), jnp.max(jnp.abs(x))))
    x, means, noise = x * inverse, means * inverse, noise * inverse
    own, count = mean_labels == label, _sizes(mean_labels).astype(x.dtype)
    squares = jnp.sum((means - x[None]) ** 2, axis=1)
    # Entry (c, j): how far x is on the side of cluster c.
    advantage = (squares[None] - squares[:, None]) / 2 - (noise**2 * jnp.log(count))[None]
    apart = jax.vmap(lambda mean: jax.vmap(norm)(means - mean[None]))(means)
    distance = jnp.where(advantage > 0, advantage / positive(apart), 0)
    distance = jnp.where(own[None], jnp.inf, distance)
    nearest = jnp.argmin(distance, axis=1)
    least = jnp.where(own, jnp.min(distance, axis=1), -1)
    best = jnp.argmax(least)
    other = nearest[best]
    radius = least[best]
    usable = jnp.isfinite(radius)
    length = jnp.where(usable, radius, 0) / positive(apart[best, other])
    return (
        unit * radius,
        unit * length * (means[other] - means[best]),
        jnp.where(usable, mean_labels[other], label),
    )


def one_cluster_each(mean_labels: Int[Array, " clusters"]) -> Array:
    """Whether no class has several clusters."""
    return (_sizes(mean_labels) == 1).all()


def _sizes(mean_labels: Array) -> Array:
    """For each cluster, how many its class has."""
    return jnp.sum(mean_labels[:, None] == mean_labels[None], axis=1)
