"""The margin of a classifier: how far the label's logit is above the others."""

from typing import Any, TypeGuard

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ._checks import as_labels
from ._typing import Labels

__all__ = ["as_logits", "margin"]


def as_logits(outputs: Any) -> Float[Array, " k"]:
    """Logits of a network's outputs for one input.

    A single output f, a scalar or of shape (1,), stands for the two logits (f/2, -f/2): label 0
    wins where f > 0, label 1 where f < 0, and the margin of label 0 is f.

    Parameters
    ----------
    outputs
        What the network returned for one input: a scalar, or a vector of shape (K,).

    Returns
    -------
    The logits, shape (K,), or (2,) where there was one output; in its dtype.

    Raises
    ------
    ValueError
        If the outputs are not a scalar or a non-empty vector.
    TypeError
        If they are not one array, or no floating-point numbers.
    """
    if not hasattr(outputs, "dtype") and not isinstance(outputs, int | float):
        # Of (logits, state) or (logit, value), JAX would make one array where it can.
        raise TypeError(
            "a network must return one array, its logits, for one input, got "
            f"{type(outputs).__name__}: take them out of it, as in lambda x: network(x)[0]."
        )
    outputs = jnp.asarray(outputs)
    if not jnp.issubdtype(outputs.dtype, jnp.floating):
        raise TypeError(f"logits must be floating-point numbers, got {outputs.dtype}.")
    if outputs.ndim > 1 or outputs.size == 0:
        raise ValueError(
            f"a network must return a vector of logits for one input, got shape {outputs.shape}; "
            "map over a batch with jax.vmap, and wrap a network that takes batches only in "
            "fracture.adapters.from_batched."
        )
    if outputs.size == 1:
        half = outputs.reshape(()) / 2
        return jnp.stack([half, -half])
    return outputs


def margin(
    logits: ArrayLike,
    label: Labels,
    target: Labels | None = None,
) -> Float[Array, ""]:
    """f_label - max of the other logits, or f_label - f_target; positive where the label wins.

    Parameters
    ----------
    logits
        Shape (K,); one output stands for two logits, as in `as_logits`.
    label, target
        Class indices, concrete or traced.

    Returns
    -------
    The margin, in the dtype of the logits; NaN where a traced index is out of range or the target
    is the label.

    Raises
    ------
    TypeError
        If an index is no integer.
    ValueError
        For a Python or NumPy integer out of range, or two that are the same.
    """
    logits = as_logits(logits)
    label, other, valid = class_pair(label, target, logits.size)
    own, rival = compared(logits, label, other)
    return jnp.where(valid, own - rival, jnp.nan)


def compared(logits: Array, label: Array, target: Array) -> tuple[Array, Array]:
    """The label's logit and the target's, or the largest other one where `target` is -1.

    Parameters
    ----------
    logits
        Shape (K,).
    label, target
        int32, valid or not.

    Returns
    -------
    own, rival
        Two scalars; `rival` is -inf where there is no other class.
    """
    classes = jnp.arange(logits.size, dtype=jnp.int32)
    rival = jnp.where(target < 0, classes != label, classes == target)
    own = jnp.sum(jnp.where(classes == label, logits, 0))
    return own, jnp.max(jnp.where(rival, logits, -jnp.inf))


def class_pair(
    label: Labels, target: Labels | None, num_classes: int
) -> tuple[Array, Array, Array]:
    """Label and target, -1 for none, as int32; and whether both are in range and differ.

    Parameters
    ----------
    label, target
        Class indices, concrete or traced; None for no target.
    num_classes
        K.

    Returns
    -------
    label, target, valid
        Scalars: int32, int32 and bool. What is out of range comes out as 0.

    Raises
    ------
    TypeError
        If an index is no integer.
    ValueError
        For a Python or NumPy integer out of range, two that are the same, or an array of them.
    """
    if _is_number(label) and _is_number(target) and label == target:
        raise ValueError(f"the target must be another class than the label, got {target} for both.")
    own, valid = class_index(label, num_classes, "label")
    if target is None:
        return own, jnp.full_like(own, -1), valid
    other, in_range = class_index(target, num_classes, "target")
    return own, other, valid & in_range & (other != own)


def class_index(index: Labels, num_classes: int, name: str) -> tuple[Array, Array]:
    """The index as int32 and whether it is in range; an integer that is no array must be.

    Parameters
    ----------
    index
        One class index, concrete or traced.
    num_classes
        K.
    name
        What errors call it.

    Returns
    -------
    index, valid
        Scalars: int32, 0 where out of range, and bool.

    Raises
    ------
    TypeError
        If it is no integer.
    ValueError
        For a Python or NumPy integer out of range, or more than one.
    """
    if _is_number(index) and not 0 <= index < num_classes:
        raise ValueError(f"{name} must be in [0, {num_classes}), got {index}.")
    index = as_labels(index, f"{name}s")
    if index.shape != ():
        raise ValueError(f"{name} must be one integer, got shape {index.shape}.")
    valid = (index >= 0) & (index < num_classes)
    return jnp.where(valid, index, 0).astype(jnp.int32), valid


def _is_number(index: Labels | None) -> TypeGuard[int | np.integer]:
    return isinstance(index, int | np.integer) and not isinstance(index, bool)
