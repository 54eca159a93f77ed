"""Strided convolution whose input gradient is fast on CPUs."""

from functools import partial

import jax
import jax.numpy as jnp
from flax import nnx
from jax.custom_derivatives import SymbolicZero
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ._parts import RECTIFIED


@partial(jax.custom_jvp, nondiff_argnums=(2,))
def strided_convolution(
    x: Float[Array, "height width channels"],
    kernel: Float[Array, "rows columns channels features"],
    stride: int,
) -> Float[Array, "out_height out_width features"]:
    """Convolution of one image with "SAME" padding.

    XLA's CPU gradient of a strided convolution with respect to its input can take ten times as
    long as the convolution (odd sides; kernels that differ from network to network under `vmap`),
    so the derivative in that direction is written as `by_blocks`, the same function. The values
    and the derivative with respect to the kernel stay XLA's, where it is the faster one.
    """
    return _convolve(x, kernel, stride, "SAME")


def _derivative(stride, primals, tangents):
    (x, kernel), (dx, dkernel) = primals, tangents
    value = strided_convolution(x, kernel, stride)
    change = jnp.zeros_like(value)
    if not isinstance(dx, SymbolicZero):
        change = change + by_blocks(dx, kernel, stride)
    if not isinstance(dkernel, SymbolicZero):
        change = change + _convolve(x, dkernel, stride, "SAME")
    return value, change


strided_convolution.defjvp(_derivative, symbolic_zeros=True)


def by_blocks(
    x: Float[Array, "height width channels"],
    kernel: Float[Array, "rows columns channels features"],
    stride: int,
) -> Float[Array, "out_height out_width features"]:
    """`strided_convolution` as space-to-depth and a convolution with unit stride.

    Every block of stride × stride pixels becomes one pixel with stride² times the channels, and
    the kernel, padded with zeros to a multiple of the stride, is cut alike.
    """
    x, rows = _blocks(x, kernel.shape[0], stride, 0)
    x, columns = _blocks(x, kernel.shape[1], stride, 1)
    padding = [(0, rows - kernel.shape[0]), (0, columns - kernel.shape[1]), (0, 0), (0, 0)]
    kernel = jnp.pad(kernel, padding)
    _, _, channels, features = kernel.shape
    height, width = x.shape[0] // stride, x.shape[1] // stride
    x = x.reshape(height, stride, width, stride, channels).transpose(0, 2, 1, 3, 4)
    x = x.reshape(height, width, stride**2 * channels)
    shape = (rows // stride, stride, columns // stride, stride, channels, features)
    kernel = kernel.reshape(shape).transpose(0, 2, 1, 3, 4, 5)
    kernel = kernel.reshape(rows // stride, columns // stride, stride**2 * channels, features)
    return _convolve(x, kernel, 1, "VALID")


def _convolve(x: Array, kernel: Array, stride: int, padding: str) -> Array:
    numbers = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(
        x[None], kernel, (stride, stride), padding, dimension_numbers=numbers
    )[0]


def _blocks(x: Array, size: int, stride: int, axis: int) -> tuple[Array, int]:
    """Pad one axis as "SAME" does, then to what a kernel of a multiple of the stride reads."""
    length = x.shape[axis]
    outputs = -(-length // stride)
    padded_size = -(-size // stride) * stride
    low = max((outputs - 1) * stride + size - length, 0) // 2
    high = (outputs - 1) * stride + padded_size - length - low
    padding = [(0, 0)] * x.ndim
    padding[axis] = (low, high)
    return jnp.pad(x, padding), padded_size


class Conv(nnx.Module):
    """`strided_convolution` with a learned square kernel and a bias."""

    def __init__(
        self,
        channels: int,
        features: int,
        *,
        kernel_size: int,
        stride: int,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ):
        shape = (kernel_size, kernel_size, channels, features)
        self.stride = stride
        self.kernel = nnx.Param(RECTIFIED(rngs.params(), shape, dtype))
        self.bias = nnx.Param(jnp.zeros((1, 1, features), dtype))

    def __call__(
        self, x: Float[Array, "height width channels"]
    ) -> Float[Array, "out_height out_width features"]:
        """Feature maps of one image."""
        return strided_convolution(x, self.kernel[...], self.stride) + self.bias[...]
