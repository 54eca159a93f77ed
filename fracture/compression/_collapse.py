"""Neural collapse: features at their class means, means and classifier at a simplex."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._checks import as_labels
from .._linalg import matmul
from .._typing import Labels
from ._arrays import as_float, as_rows, centred, normalized, squared_distances, widest
from ._spectrum import as_matrix, decompose, default_rtol, without_nan


class NeuralCollapse(NamedTuple):
    """All zero at full collapse; K classes, their means less the mean of the means.

    Attributes
    ----------
    nc1
        Tr(Σ_W Σ_B⁺) / K: variance within classes over that between them.
    nc2_equinorm_means
        Standard deviation over mean, of the means' norms.
    nc2_equinorm_weights
        The same, of the norms of the classifier's rows.
    nc2_equiangular_means
        Mean of |cos + 1/(K - 1)| over pairs of means.
    nc2_equiangular_weights
        The same, over pairs of the classifier's rows.
    nc3
        ‖W/‖W‖_F - M/‖M‖_F‖_F², the rows of M the means; at most 4.
    nc4
        Share of inputs not decided as by the nearest class mean.
    """

    nc1: Float[Array, ""]
    nc2_equinorm_means: Float[Array, ""]
    nc2_equinorm_weights: Float[Array, ""]
    nc2_equiangular_means: Float[Array, ""]
    nc2_equiangular_weights: Float[Array, ""]
    nc3: Float[Array, ""]
    nc4: Float[Array, ""]


def neural_collapse(
    features: ArrayLike, labels: Labels, weight: ArrayLike, bias: ArrayLike | None = None
) -> NeuralCollapse:
    r"""How far the last layer is from neural collapse: the measures NC1 to NC4.

    Of features $h_i$ with labels $y_i$, class means $\mu_c$ and their mean $\mu_G$,

    .. math::
        \Sigma_W = \frac{1}{n} \sum_i (h_i - \mu_{y_i})(h_i - \mu_{y_i})^\top, \qquad
        \Sigma_B = \frac{1}{K} \sum_c (\mu_c - \mu_G)(\mu_c - \mu_G)^\top .

    They are what the paper plots: $\mathrm{Tr}(\Sigma_W \Sigma_B^+) / K$ (NC1), without a
    $d \times d$ matrix; equal norms and maximal angles, of the means $\mu_c - \mu_G$ and of the
    classifier (NC2); their squared distance, each scaled to the norm 1 (NC3); the share of inputs
    for which $\arg\max_c (w_c^\top h + b_c)$ is not $\arg\min_c \|h - \mu_c\|$ (NC4). Standard
    deviations divide by K - 1, as in the authors' code. Classes may differ in size.

    Parameters
    ----------
    features
        What the last layer reads, one row per input, shape `(n, …)`; further axes are flattened
        to `d`. Any scale.
    labels
        Integer classes in 0 … K - 1, shape `(n,)`.
    weight
        The last layer, one row per class, shape `(K, d)`: the transpose of a Flax kernel. Any
        scale.
    bias
        Of the last layer, shape `(K,)`; default: none. Only NC4 depends on it.

    Returns
    -------
    NeuralCollapse
        Seven scalars, of the wider dtype of `features` and `weight`, at least float32. What
        depends on the features is NaN where a class has no input, a label is out of range, all
        class means coincide or a feature is not finite; what depends on the classifier, where it
        is not finite; the norms and angles of NC2 and NC3, where a vector they divide by is zero.

    Raises
    ------
    TypeError
        If `features`, `weight` or `bias` is not a floating-point array, or labels no integers.
    ValueError
        If the shapes do not fit, or there are fewer than two classes.

    References
    ----------
    Papyan, Han, Donoho (2020), "Prevalence of neural collapse during the terminal phase of deep
    learning training", PNAS 117(40), Figures 2 to 7. arXiv:2008.08186.
    """
    rows, weight = as_rows(features, "features", 1), as_matrix(weight, "weight")
    num_classes, size = weight.shape
    if num_classes < 2 or size != rows.shape[1]:
        raise ValueError(f"weight must be (K >= 2, {rows.shape[1]}), got shape {weight.shape}.")
    labels = as_labels(labels)
    if labels.shape != rows.shape[:1]:
        raise ValueError(f"labels must be ({len(rows)},), got shape {labels.shape}.")
    offset = jnp.zeros(num_classes, weight.dtype) if bias is None else as_float(bias, "bias")
    if offset.shape != (num_classes,):
        raise ValueError(f"bias must be ({num_classes},), got shape {offset.shape}.")
    dtype = widest(rows.dtype, weight.dtype)
    rows, scale, finite = without_nan(rows.astype(dtype))
    weight, weight_scale, weight_finite = without_nan(weight.astype(dtype))
    offset, offset_scale, offset_finite = without_nan(offset.astype(dtype))

    at_origin, _ = normalized(centred(rows))
    counts = jax.ops.segment_sum(jnp.ones(len(rows), dtype), labels, num_classes)
    means = jax.ops.segment_sum(at_origin, labels, num_classes) / counts.clip(1)[:, None]
    within = at_origin - means[labels]
    between = means - means.mean(axis=0, keepdims=True)

    # Which of the two is larger decides what is divided: neither product overflows.
    relative = offset_scale / scale / weight_scale
    logits = matmul(rows, weight.T) / relative.clip(1) + (offset * relative.clip(None, 1))[None]
    distances = jax.vmap(squared_distances, (None, 0))(at_origin.T, means)
    differs = jnp.argmax(logits, axis=1) != jnp.argmin(distances, axis=0)

    in_range = ((labels >= 0) & (labels < num_classes)).all()
    usable = finite & in_range & (counts > 0).all() & (between != 0).any()
    where = lambda valid, value: jnp.where(valid, value, jnp.nan)
    return NeuralCollapse(
        nc1=where(usable, _within_over_between(within, between)),
        nc2_equinorm_means=where(usable, _variation_of_norms(between)),
        nc2_equinorm_weights=where(weight_finite, _variation_of_norms(weight)),
        nc2_equiangular_means=where(usable, _excess_of_cosines(between)),
        nc2_equiangular_weights=where(weight_finite, _excess_of_cosines(weight)),
        nc3=where(usable & weight_finite, jnp.sum((_unit(weight) - _unit(between)) ** 2)),
        nc4=where(usable & weight_finite & offset_finite, differs.astype(dtype).mean()),
    )


def _within_over_between(within: Array, between: Array) -> Array:
    r"""$\mathrm{Tr}(\Sigma_W \Sigma_B^+) / K$: the K of $\Sigma_B$ and the one below it cancel."""
    _, s, vt = decompose(between, "qr")
    rank_bound = jnp.arange(len(s)) < len(between) - 1  # the means sum to zero
    kept = (s > default_rtol(between.shape, s.dtype) * s[0]) & rank_bound
    whitened = jnp.where(kept, 1 / jnp.where(kept, s, 1), 0)[None] * matmul(within, vt.T)
    return jnp.sum(whitened**2) / len(within)


def _variation_of_norms(vectors: Array) -> Array:
    norms = _norms(vectors)[1]
    return jnp.std(norms, ddof=1) / norms.mean()


def _excess_of_cosines(vectors: Array) -> Array:
    """Mean over pairs of |cos + 1/(K - 1)|: K vectors cannot all have smaller cosines."""
    num = len(vectors)
    units, _ = _norms(vectors)
    excess = jnp.abs(matmul(units, units.T) + 1 / (num - 1))
    return jnp.sum(excess * (1 - jnp.eye(num, dtype=excess.dtype))) / (num * (num - 1))


def _norms(vectors: Array) -> tuple[Array, Array]:
    """Unit vectors and norms of the rows, each row at its own scale; NaN and 0 for a zero row."""
    rows, scales = jax.vmap(normalized)(vectors)
    norms = jnp.linalg.vector_norm(rows, axis=1)
    return rows / norms[:, None], norms * scales


def _unit(matrix: Array) -> Array:
    matrix, _ = normalized(matrix)
    return matrix / jnp.linalg.matrix_norm(matrix)
