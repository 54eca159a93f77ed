"""Strided convolution whose gradients are fast on CPUs."""

from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from ._bilinear import with_derivatives
from ._parts import RECTIFIED

Axes: TypeAlias = tuple[str, str, str]  # of image, kernel and output

FAST: Axes = ("NHWC", "HWIO", "NHWC")


def by_blocks(
    x: Float[Array, "height width channels"],
    kernel: Float[Array, "rows columns channels features"],
    stride: int,
) -> Float[Array, "out_height out_width features"]:
    """`strided_convolution`, whose transpose in `x` is fast: one convolution with unit stride.

    Every block of stride × stride pixels becomes one pixel with stride² times the channels, and
    the kernel, padded with zeros such that it starts and ends with a block, is cut alike.
    """
    height, width, channels = x.shape
    features = kernel.shape[-1]
    (rows, down), (columns, across) = (_blocks(x, kernel, stride, axis) for axis in (0, 1))
    x = jnp.pad(x, [(0, -height % stride), (0, -width % stride), (0, 0)])
    x = x.reshape(-(-height // stride), stride, -(-width // stride), stride, channels)
    x = x.transpose(0, 2, 1, 3, 4).reshape(*x.shape[0:4:2], stride**2 * channels)
    kernel = jnp.pad(kernel, [rows, columns, (0, 0), (0, 0)])
    blocks = [size // stride for size in kernel.shape[:2]]
    kernel = kernel.reshape(blocks[0], stride, blocks[1], stride, channels, features)
    kernel = kernel.transpose(0, 2, 5, 1, 3, 4)
    kernel = kernel.reshape(*blocks, features, stride**2 * channels)
    return _convolve(x, kernel, 1, [down, across], ("NHWC", "HWOI", "NHWC"))


def by_patches(
    x: Float[Array, "height width channels"],
    kernel: Float[Array, "rows columns channels features"],
    stride: int,
) -> Float[Array, "out_height out_width features"]:
    """`strided_convolution`, whose transpose in `kernel` is fast: one matrix product.

    It stays one when kernels differ from network to network under `vmap`.
    """
    for axis in (1, 0):  # then the pixels of a patch are in the order of the kernel's
        length, size = x.shape[axis], kernel.shape[axis]
        outputs = -(-length // stride)
        total = max((outputs - 1) * stride + size - length, 0)
        padding = [(0, 0)] * 3
        padding[axis] = total // 2, total - total // 2
        x = jnp.pad(x, padding)
        last = (outputs - 1) * stride + 1
        shifts = [jax.lax.slice_in_dim(x, i, i + last, stride, axis) for i in range(size)]
        x = jnp.concatenate(shifts, axis=2)
    return x @ kernel.reshape(-1, kernel.shape[-1])


def _convolve(x: Array, kernel: Array, stride: int, padding: Any, axes: Axes) -> Array:
    return jax.lax.conv_general_dilated(
        x[None], kernel, (stride, stride), padding, dimension_numbers=axes
    )[0]


def _blocks(
    x: Array, kernel: Array, stride: int, axis: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Along one axis, zeros to add to the kernel, and blocks to add to the image, on both sides.

    "SAME" padding in front, extended to whole blocks; behind, what the last output reads.
    """
    length, size = x.shape[axis], kernel.shape[axis]
    outputs = -(-length // stride)
    low = max((outputs - 1) * stride + size - length, 0) // 2
    front = -low % stride
    back = -(front + size) % stride
    before = (low + front) // stride
    return (front, back), (before, (front + size + back) // stride - 1 - before)


@with_derivatives(by_blocks, by_patches)
def strided_convolution(
    x: Float[Array, "height width channels"],
    kernel: Float[Array, "rows columns channels features"],
    stride: int,
) -> Float[Array, "out_height out_width features"]:
    """Convolution of one image with "SAME" padding.

    Inside a loop, XLA's CPU compiler has a fast convolution for one order of the axes only, and
    the gradients that JAX derives have another: they can take a hundred times as long as the
    convolution. So the derivatives in the two arguments are the same function, written such that
    what reverse mode makes of them is fast: `by_blocks` and `by_patches`.
    """
    return _convolve(x, kernel, stride, "SAME", FAST)


class Conv(nnx.Module):
    """`strided_convolution` with a learned square kernel, and a bias unless told otherwise."""

    def __init__(
        self,
        channels: int,
        features: int,
        *,
        kernel_size: int,
        stride: int,
        use_bias: bool = True,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ):
        shape = (kernel_size, kernel_size, channels, features)
        self.stride = stride
        self.kernel = nnx.Param(RECTIFIED(rngs.params(), shape, dtype))
        self.bias = nnx.Param(jnp.zeros((1, 1, features), dtype)) if use_bias else None

    def __call__(
        self, x: Float[Array, "height width channels"]
    ) -> Float[Array, "out_height out_width features"]:
        """Feature maps of one image."""
        maps = strided_convolution(x, self.kernel[...], self.stride)
        return maps if self.bias is None else maps + self.bias[...]
