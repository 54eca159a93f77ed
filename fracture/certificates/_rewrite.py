"""Primitives of several values, written as affine, elementwise and bilinear steps.

A maximum of two is b + max(a − b, 0), one elementwise step of a difference; a maximum of many is a
tree of those. Softmax is 1/Σ_j exp(x_j − x_i): no product is left to relax.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array


def maximum(a: Array, b: Array, **_: Any) -> Array:
    """max(a, b)."""
    return b + jax.lax.max(a - b, jnp.zeros_like(a - b))


def minimum(a: Array, b: Array, **_: Any) -> Array:
    """min(a, b)."""
    return a - jax.lax.max(a - b, jnp.zeros_like(a - b))


def over_axes(x: Array, axes: Sequence[Any]) -> Array:
    """The maximum over axes, by halves."""
    axes = [int(axis) for axis in axes]
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    shape = [x.shape[axis] for axis in kept]
    rows = jnp.transpose(x, (*axes, *kept)).reshape(-1, *shape)
    while len(rows) > 1:
        half = len(rows) // 2
        larger = maximum(rows[:half], rows[half : 2 * half])
        rows = jnp.concatenate([larger, rows[2 * half :]]) if len(rows) % 2 else larger
    return rows[0]


def reduce_max(x: Array, *, axes: Sequence[Any], **_: Any) -> Array:
    """The maximum over axes."""
    return over_axes(x, axes)


def reduce_min(x: Array, *, axes: Sequence[Any], **_: Any) -> Array:
    """The minimum over axes."""
    return -over_axes(-x, axes)


def window_max(
    x: Array,
    *,
    window_dimensions: Sequence[Any],
    window_strides: Sequence[Any],
    padding: Sequence[Any],
    base_dilation: Sequence[Any],
    window_dilation: Sequence[Any],
) -> Array:
    """Max-pooling; what is padded never wins, so a window is cut at the border."""
    if max(*base_dilation, *window_dilation, 1) > 1:
        raise NotImplementedError("there are no bounds for max-pooling with dilation.")
    sizes = [
        (n + low + high - window) // stride + 1
        for n, window, stride, (low, high) in zip(
            x.shape, window_dimensions, window_strides, padding, strict=True
        )
    ]
    shifted = []
    for offset in np.ndindex(*window_dimensions):
        part = x
        for axis, start in enumerate(offset):
            if window_dimensions[axis] == 1 and window_strides[axis] == 1:
                continue
            # The nearest entry of the array is in the window too.
            places = np.arange(sizes[axis]) * window_strides[axis] + start - padding[axis][0]
            places = np.clip(places, 0, x.shape[axis] - 1)
            part = jnp.take(part, jnp.asarray(places), axis=axis, mode="clip")
        shifted.append(part)
    return over_axes(jnp.stack(shifted), (0,))


def quotient(a: Array, b: Array, **_: Any) -> Array:
    """a / b."""
    return a * (1 / b)


def softmax(x: Array, *, axes: Sequence[Any]) -> Array:
    """exp(x) over its sum along axes, as 1/Σ_j exp(x_j − x_i)."""
    axes = [int(axis) % x.ndim for axis in axes]
    kept = [axis for axis in range(x.ndim) if axis not in axes]
    rows = jnp.transpose(x, (*kept, *axes))
    shape = rows.shape
    rows = rows.reshape(*shape[: len(kept)], -1)
    apart = jnp.expand_dims(rows, -2) - jnp.expand_dims(rows, -1)  # [..., i, j]: x_j - x_i
    out = (1 / jnp.sum(jnp.exp(apart), axis=-1)).reshape(shape)
    return jnp.transpose(out, np.argsort((*kept, *axes)).tolist())


REWRITES: dict[str, Callable[..., Array]] = {
    "max": maximum,
    "min": minimum,
    "reduce_max": reduce_max,
    "reduce_min": reduce_min,
    "reduce_window_max": window_max,
    "div": quotient,
}
