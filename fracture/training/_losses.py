"""Losses of one example, and what a network scores under them."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._checks import as_labels, traced
from .._typing import Labels
from ..logits import as_logits

Loss = Callable[[Array, Array], Array]


def squared_error(logits: Float[Array, " K"], label: Labels) -> Float[Array, ""]:
    """Mean squared error of one example.

    The targets are one-hot for K > 1 outputs. One output stands for the logits (f/2, -f/2), so its
    target is +1 for label 0 and -1 for label 1.

    Parameters
    ----------
    logits
        Shape `(K,)`.
    label
        The class, an integer from 0 to K - 1 (0 or 1 for one output); may be traced.

    Returns
    -------
    Float[Array, ""]
        The mean over the K outputs of the squares, in the dtype of `logits`.

    Raises
    ------
    TypeError
        If the label is no integer.
    """
    label = as_labels(label)
    if logits.shape[0] == 1:
        return (logits[0] - (1 - 2 * label).astype(logits.dtype)) ** 2
    return jnp.mean((logits - jax.nn.one_hot(label, logits.shape[0], dtype=logits.dtype)) ** 2)


def cross_entropy(logits: Float[Array, " K"], label: Labels) -> Float[Array, ""]:
    """Negative log-likelihood of one example, in nats; one output f stands for (f/2, -f/2).

    Parameters
    ----------
    logits
        Shape `(K,)`.
    label
        The class, an integer from 0 to K - 1 (0 or 1 for one output); may be traced.

    Returns
    -------
    Float[Array, ""]
        In the dtype of `logits`.

    Raises
    ------
    TypeError
        If the label is no integer.
    """
    return -jax.nn.log_softmax(as_logits(logits))[as_labels(label)]


LOSSES: dict[str, Loss] = {"cross_entropy": cross_entropy, "mse": squared_error}


def scoring(
    classes: int, labels: Array, loss: str | Loss
) -> Callable[[Array, Array], tuple[Array, Array]]:
    """`score(logits, label) -> (loss, correct)` of one example: NaN and wrong for no class.

    Parameters
    ----------
    classes
        Number of them, at least 2.
    labels
        All labels of the data.
    loss
        As of `fit`.

    Raises
    ------
    ValueError
        If the loss is unknown, or labels that are known are out of range.
    """
    if not callable(loss) and loss not in LOSSES:
        raise ValueError(f"loss must be a function or one of {sorted(LOSSES)}, got {loss!r}.")
    loss_fn = loss if callable(loss) else LOSSES[loss]
    if not traced(labels):
        values = np.asarray(labels)  # inside a jit, JAX's own comparison would be traced
        low, high = values.min(), values.max()
        if low < 0 or high >= classes:
            raise ValueError(f"labels must be from 0 to {classes - 1}, got {low} to {high}.")

    def score(logits: Array, label: Array) -> tuple[Array, Array]:
        logits = jnp.atleast_1d(logits)
        value = loss_fn(logits, label)
        if value.shape != ():
            raise ValueError(f"loss must return a scalar, got the shape {value.shape}.")
        valid = (label >= 0) & (label < classes)
        correct = jnp.argmax(as_logits(logits)) == label
        return jnp.where(valid, value, jnp.nan), correct & valid

    return score
