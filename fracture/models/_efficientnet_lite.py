"""EfficientNet-Lite, as it is evaluated: batch normalisation is part of the convolutions."""

import math
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array

from .._checks import check_counts
from ._conv import Conv
from ._depthwise import depthwise_convolution
from ._network import Network, functional
from ._parts import LINEAR, RECTIFIED, Staged, Stages, layer_names, takes_input

# Pixels in [0, 1] become (x - MEAN) / SCALE, as in training.
MEAN, SCALE = 0.498, 0.502


class Size(NamedTuple):
    """What tells one EfficientNet-Lite from another.

    Attributes
    ----------
    width
        Factor of the channels.
    depth
        Factor of the blocks in a group.
    side
        Height and width of the images, in pixels.
    """

    width: float
    depth: float
    side: int


SIZES = {"lite0": Size(1.0, 1.0, 224), "lite1": Size(1.0, 1.1, 240), "lite2": Size(1.1, 1.2, 260)}


class Group(NamedTuple):
    """Blocks of one resolution: the first may have a stride, the others skip to their sum."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    channels: int


GROUPS = (
    Group(1, 3, 1, 1, 16),
    Group(2, 3, 2, 6, 24),
    Group(2, 5, 2, 6, 40),
    Group(3, 3, 2, 6, 80),
    Group(3, 5, 1, 6, 112),
    Group(4, 5, 2, 6, 192),
    Group(1, 3, 1, 6, 320),
)
STEM, HEAD = 32, 1280


class Block(nnx.Module):
    """Inverted bottleneck: widen, convolve every channel by itself, narrow; may add its input."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int,
        stride: int,
        expansion: int,
        skip: bool,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ):
        middle = inputs * expansion
        linear = partial(nnx.Linear, param_dtype=dtype, rngs=rngs)
        self.expand = linear(inputs, middle, kernel_init=RECTIFIED) if expansion > 1 else None
        self.depthwise = nnx.Param(RECTIFIED(rngs.params(), (kernel, kernel, middle), dtype))
        self.bias = nnx.Param(jnp.zeros((1, 1, middle), dtype))
        self.project = linear(middle, outputs, kernel_init=LINEAR)
        self.stride = stride
        self.skip = skip

    def __call__(self, x: Array) -> Array:
        """Features of the next block."""
        h = x if self.expand is None else jax.nn.relu6(_pointwise(self.expand, x))
        h = depthwise_convolution(h, self.depthwise[...], self.stride) + self.bias[...]
        h = _pointwise(self.project, jax.nn.relu6(h))
        return h + x if self.skip else h


class EfficientNetLite(Staged):
    """A convolution, inverted bottlenecks, a linear head; see `efficientnet_lite`."""

    def __init__(
        self,
        size: str = "lite0",
        num_outputs: int = 1000,
        *,
        side: int | None = None,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        if size not in SIZES:
            raise ValueError(f"size must be one of {list(SIZES)}, got {size!r}.")
        side = SIZES[size].side if side is None else side
        check_counts(side=side)
        self.input_shape = (side, side, 3)
        self.stem = Conv(3, STEM, kernel_size=3, stride=2, dtype=dtype, rngs=rngs)
        blocks, channels = [], STEM
        for group, (number, width) in zip(GROUPS, _scaled(SIZES[size]), strict=True):
            for i in range(number):
                blocks.append(
                    Block(
                        channels,
                        width,
                        kernel=group.kernel,
                        stride=group.stride if i == 0 else 1,
                        expansion=group.expansion,
                        skip=i > 0,
                        dtype=dtype,
                        rngs=rngs,
                    )
                )
                channels = width
        self.blocks = nnx.List(blocks)
        self.widen = nnx.Linear(channels, HEAD, kernel_init=RECTIFIED, param_dtype=dtype, rngs=rngs)
        self.head = nnx.Linear(HEAD, num_outputs, kernel_init=LINEAR, param_dtype=dtype, rngs=rngs)

    def stages(self) -> Stages:
        """`block_00`, the first convolution, the bottlenecks, `block_mean`, `logits`.

        `block_mean` holds the means of the last maps over positions.
        """
        names = layer_names("block", len(self.blocks))
        first = "block_" + "0" * len(names[0].removeprefix("block_"))
        stages: Stages = {first: lambda x: jax.nn.relu6(self.stem((x - MEAN) / SCALE))}
        stages |= dict(zip(names, self.blocks, strict=True))
        stages["block_mean"] = lambda h: jax.nn.relu6(_pointwise(self.widen, h)).mean((0, 1))
        stages["logits"] = self.head
        return takes_input(stages, self.input_shape, flat=False)


def efficientnet_lite(
    size: str = "lite0",
    num_outputs: int = 1000,
    *,
    side: int | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Network:
    """EfficientNet-Lite, a network for ImageNet that needs little work.

    For one image `(side, side, 3)` of pixels in [0, 1]. It is the network
    in evaluation mode: batch normalisation is folded into the weights and biases of the
    convolutions, and there is no dropout. `pretrained` reads published weights.

    Parameters
    ----------
    size
        "lite0", "lite1" or "lite2".
    num_outputs
        Number K of logits; 1000 for the published weights.
    side
        Pixels a side of the images. The weights are the same for all: None for 224, 240 or 260, the
        side that the published ones of this size were trained with.
    dtype
        Dtype of the parameters; inputs should have the same.

    Returns
    -------
    Network
        `init(key)` draws parameters, `apply(params, x)` maps one input to `num_outputs` logits;
        `features` and `stages` give its layers.

    Raises
    ------
    ValueError
        If `size` is unknown, or `side` below 1.

    References
    ----------
    Tan, Le (2019), "EfficientNet: rethinking model scaling for convolutional neural networks",
    arXiv:1905.11946; the Lite variants, without squeeze-and-excitation and with ReLU6, are of the
    TensorFlow authors' EfficientNet-Lite (2020).
    """
    make = partial(EfficientNetLite, size, num_outputs, side=side, dtype=dtype)
    return functional(lambda rngs: make(rngs=rngs))


def _scaled(size: Size) -> Sequence[tuple[int, int]]:
    """Number of blocks and channels of each group; the first and last are never deeper."""
    inner = range(1, len(GROUPS) - 1)
    return [
        (
            math.ceil(size.depth * group.blocks) if i in inner else group.blocks,
            _channels(size.width * group.channels),
        )
        for i, group in enumerate(GROUPS)
    ]


def _channels(wanted: float) -> int:
    """The nearest multiple of 8 that is not more than a tenth too small."""
    nearest = max(8, int(wanted + 4) // 8 * 8)
    return nearest if nearest >= 0.9 * wanted else nearest + 8


def _pointwise(layer: nnx.Linear, x: Array) -> Array:
    """A 1×1 convolution: one matrix product over all positions."""
    height, width, channels = x.shape
    return layer(x.reshape(-1, channels)).reshape(height, width, -1)
