"""Depthwise convolution whose value and gradient are fast on CPUs."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._bilinear import with_derivatives


@partial(jax.jit, static_argnums=2)
def by_slices(x: Array, kernel: Array, stride: int) -> Array:
    """`depthwise_convolution`: for every weight of the kernel, a slice of the padded image."""
    (_, height), (_, width) = _frame(x, kernel, stride)
    total: Any = 0
    for row, column, phase, weight in _terms(x, kernel, stride):
        stop = (row + height, column + width, x.shape[2])
        total = total + _times(jax.lax.slice(phase, (row, column, 0), stop), weight)
    return total


@partial(jax.jit, static_argnums=2)
def by_pads(x: Array, kernel: Array, stride: int) -> Array:
    """`depthwise_convolution`, whose transpose in `x` is fast: a sum of shifted images."""
    (down, height), (across, width) = _frame(x, kernel, stride)
    total: Any = 0
    for row, column, phase, weight in _terms(x, kernel, stride):
        shifts = [(down - row, row, 0), (across - column, column, 0), (0, 0, 0)]
        shifted = jax.lax.pad(_times(phase, weight), jnp.zeros((), phase.dtype), shifts)
        total = total + shifted
    return total[down : down + height, across : across + width]


@with_derivatives(by_pads, by_slices)
def depthwise_convolution(
    x: Float[Array, "height width channels"],
    kernel: Float[Array, "rows columns channels"],
    stride: int,
) -> Float[Array, "out_height out_width channels"]:
    """One kernel per channel of one image, "SAME" padding, as a sum of shifted products.

    XLA's CPU compiler makes one loop of the sum, several times faster than its own depthwise
    convolution. What reverse mode makes of slices is a sum of padded arrays, for which its loops
    are slow; so the derivative in `x` is the same function as a sum of padded arrays, of which
    reverse mode makes slices.
    """
    return by_slices(x, kernel, stride)


def _terms(x: Array, kernel: Array, stride: int) -> Iterator[tuple[int, int, Array, Array]]:
    """For every weight: by how many outputs it lies off the first, the pixels it meets, itself."""
    dtype = jnp.result_type(x, kernel)
    x, kernel = x.astype(dtype), kernel.astype(dtype)
    phases = _phases(jnp.pad(x, [*_margins(x, kernel, stride), (0, 0)]), stride)
    rows, columns, channels = kernel.shape
    weights = jax.lax.split(kernel.reshape(-1, channels), [1] * (rows * columns))
    for (i, j), weight in zip(np.ndindex(rows, columns), weights, strict=True):
        yield i // stride, j // stride, phases[i % stride][j % stride], weight


def _times(maps: Array, weight: Array) -> Array:
    """All maps times their weights, by primitives: there are many to trace."""
    return jax.lax.mul(maps, jax.lax.broadcast_in_dim(weight, maps.shape, (1, 2)))


def _phases(x: Array, stride: int) -> list[list[Array]]:
    """Every `stride`-th row and column, from each start; what splits is joined in reverse."""
    height, width, channels = x.shape
    x = x.reshape(height // stride, stride, width // stride, stride, channels)
    rows = jax.lax.split(x, [1] * stride, axis=1)
    columns = [jax.lax.split(row, [1] * stride, axis=3) for row in rows]
    return [[part[:, 0, :, 0] for part in row] for row in columns]


def _frame(x: Array, kernel: Array, stride: int) -> list[tuple[int, int]]:
    """By axis: by how many outputs a weight can lie off the first, and the number of outputs."""
    return [((kernel.shape[a] - 1) // stride, -(-x.shape[a] // stride)) for a in (0, 1)]


def _margins(x: Array, kernel: Array, stride: int) -> list[tuple[int, int]]:
    """By axis, pixels to add before and after, for whole strides: "SAME" padding and more."""
    margins = []
    for axis, (off, outputs) in enumerate(_frame(x, kernel, stride)):
        size = x.shape[axis]
        before = max((outputs - 1) * stride + kernel.shape[axis] - size, 0) // 2
        margins.append((before, (outputs + off) * stride - size - before))
    return margins
