"""Arguments at the door of public functions: labels in one form, counts, numbers, dtypes."""

from math import inf
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Int, PyTree

from ._typing import Labels

EFFORTS = ("low", "medium", "high")
_LEAST, _LARGEST = np.iinfo(np.int32).min, np.iinfo(np.int32).max


def as_labels(labels: Labels, name: str = "labels") -> Int[Array, "*shape"]:
    """Labels as a signed JAX array in which -1 and the number of classes can be written.

    int32; int64 only where they need it, or are a JAX array of 64 bits already: nothing is cut.
    Unsigned JAX arrays, whose values may not be known yet, have -1, no class, where a label does
    not fit.

    Parameters
    ----------
    labels
        One integer or an array of any shape and integer dtype, of JAX or NumPy, or nested lists.
    name
        What errors call them.

    Raises
    ------
    TypeError
        If they are not integers (truth values are none).
    ValueError
        If lists are ragged, or integers too large for int32 while JAX has no 64 bits.
    """
    if isinstance(labels, jax.Array) or traced(labels):
        array = jnp.asarray(labels)
        _require_integers(array.dtype, name)
        if array.dtype.itemsize < 4:
            return array.astype(jnp.int32)
        if jnp.issubdtype(array.dtype, jnp.signedinteger):
            return array
        signed = array.astype(jnp.result_type(int))  # int64 only with 64 bits
        return jnp.where(signed < 0, -1, signed)  # what does not fit comes out negative
    try:
        values = np.asarray(labels)
    except ValueError as error:
        raise ValueError(f"{name} must be an array of integers: {error}.") from error
    _require_integers(values.dtype, name)
    low, high = (int(values.min()), int(values.max())) if values.size else (0, 0)
    if low >= _LEAST and high <= _LARGEST:
        return jnp.asarray(values.astype(np.int32))
    if jnp.result_type(int) != np.int64 or high > np.iinfo(np.int64).max:
        raise ValueError(f"{name} must fit in {jnp.result_type(int)}, got {low} to {high}.")
    return jnp.asarray(values.astype(np.int64))


def require_classes(labels: Int[Array, "*shape"], classes: int, name: str = "labels") -> None:
    """Raise `ValueError` unless the labels, where they are known, are 0 to `classes - 1`."""
    if isinstance(labels, jax.core.Tracer) or labels.size == 0:
        return
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high >= classes:
        raise ValueError(
            f"{name} must be 0 to {classes - 1} for a network with {classes} classes, got {low} "
            f"to {high}."
        )


def narrow(labels: Int[Array, "*shape"]) -> Int[Array, "*shape"]:
    """What `as_labels` returned as int32: -1, no class, where a label does not fit."""
    if labels.dtype == jnp.int32:
        return labels
    fits = (labels >= _LEAST) & (labels <= _LARGEST)
    return jnp.where(fits, labels, -1).astype(jnp.int32)


def _require_integers(dtype: np.dtype, name: str) -> None:
    if not jnp.issubdtype(dtype, jnp.integer):
        raise TypeError(f"{name} must be integers, got {dtype}.")


def traced(*trees: PyTree) -> bool:
    """Whether any leaf has no value yet."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(trees))


def check_counts(least: int = 1, /, **options: Any) -> None:
    """Raise `ValueError` unless each option is an integer of at least `least`."""
    for name, value in options.items():
        integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not integer or value < least:
            raise ValueError(f"{name} must be an integer of at least {least}, got {value!r}.")


def check_finite(least: int, /, **options: Any) -> None:
    """Raise `ValueError` unless each option is finite and at least `least`."""
    for name, value in options.items():
        if not least <= value < inf:
            raise ValueError(f"{name} must be finite and at least {least}, got {value!r}.")


def check_radius(radius: ArrayLike) -> None:
    """`ValueError` for what is no real number, or, where it has a value, negative or not finite."""
    if jnp.shape(radius) != ():
        raise ValueError(f"radius must be one number, got shape {jnp.shape(radius)}.")
    kind = jnp.result_type(radius)
    if not (jnp.issubdtype(kind, jnp.floating) or jnp.issubdtype(kind, jnp.integer)):
        raise ValueError(f"radius must be a real number, got {radius!r}.")
    if not traced(radius):
        check_finite(0, radius=np.asarray(radius, float).item())


def check_effort(effort: str) -> None:
    """`ValueError` for what is none of the efforts of solvers and certificates."""
    if effort not in EFFORTS:
        raise ValueError(f"effort must be one of {EFFORTS}, got {effort!r}.")


def float_dtype(dtype: DTypeLike | None) -> jnp.dtype:
    """`dtype`, or JAX's default float where it is None; `TypeError` unless floating."""
    chosen = jnp.result_type(float) if dtype is None else jnp.dtype(dtype)
    if not jnp.issubdtype(chosen, jnp.floating):
        raise TypeError(f"dtype must be floating, got {chosen}.")
    return chosen


def require_single_or_double(name: str, x: Array) -> None:
    """Raise `TypeError` unless JAX has matrix decompositions for the dtype of `x`."""
    if x.dtype not in (jnp.float32, jnp.float64):
        raise TypeError(f"{name} must be float32 or float64, got {x.dtype}.")
