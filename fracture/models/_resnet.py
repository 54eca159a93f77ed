"""Residual convolutional networks with batch normalisation."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array

from .._checks import check_counts
from ._conv import Conv
from ._network import Network, functional
from ._parts import (
    LINEAR,
    BatchNorm,
    Staged,
    Stages,
    as_counts,
    image_shape,
    layer_names,
    takes_input,
)


class NormConv(nnx.Module):
    """Convolution and batch normalisation, which has the bias."""

    def __init__(
        self,
        channels: int,
        features: int,
        *,
        kernel_size: int = 3,
        stride: int = 1,
        dtype: DTypeLike,
        rngs: nnx.Rngs,
    ):
        self.conv = Conv(
            channels,
            features,
            kernel_size=kernel_size,
            stride=stride,
            use_bias=False,
            dtype=dtype,
            rngs=rngs,
        )
        self.norm = BatchNorm(features, dtype=dtype, rngs=rngs)

    def __call__(self, h: Array) -> Array:
        """Normalised feature maps of one image."""
        return self.norm(self.conv(h))


class Residual(nnx.Module):
    """Two convolutions, added to their input; a third one fits it where the shapes differ."""

    def __init__(
        self, channels: int, features: int, *, stride: int, dtype: DTypeLike, rngs: nnx.Rngs
    ):
        self.first = NormConv(channels, features, stride=stride, dtype=dtype, rngs=rngs)
        self.second = NormConv(features, features, dtype=dtype, rngs=rngs)
        same = stride == 1 and channels == features
        self.shortcut = (
            None
            if same
            else NormConv(channels, features, kernel_size=1, stride=stride, dtype=dtype, rngs=rngs)
        )

    def __call__(self, h: Array) -> Array:
        """Feature maps of one image, after the block."""
        short = h if self.shortcut is None else self.shortcut(h)
        return jax.nn.relu(short + self.second(jax.nn.relu(self.first(h))))


class ResNet(Staged):
    """Residual network on one image; see `resnet`."""

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        *,
        channels: Sequence[int] = (16, 32),
        blocks_per_stage: int = 1,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.input_shape = image_shape(input_shape)
        channels = as_counts("channels", channels)
        if not channels:
            raise ValueError(f"channels must have an entry for each stage, got {channels}.")
        check_counts(num_outputs=num_outputs, blocks_per_stage=blocks_per_stage)
        maps = channels[0]
        self.conv = NormConv(self.input_shape[2], maps, stride=2, dtype=dtype, rngs=rngs)
        layers = []
        for stage, features in enumerate(channels):
            for block in range(blocks_per_stage):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(Residual(maps, features, stride=stride, dtype=dtype, rngs=rngs))
                maps = features
        self.layers = nnx.List(layers)
        self.head = nnx.Linear(maps, num_outputs, param_dtype=dtype, kernel_init=LINEAR, rngs=rngs)

    def stages(self) -> Stages:
        """The first convolution and the blocks, applied in turn: `conv`, `layer_1`, ….

        `layer_mean` holds the mean of the last maps over positions, `logits` an affine function
        of it.
        """
        blocks: Stages = dict(zip(layer_names("layer", len(self.layers)), self.layers, strict=True))
        stages: Stages = {
            "conv": lambda h: jax.nn.relu(self.conv(h)),
            **blocks,
            "layer_mean": lambda h: h.mean((0, 1)),
            "logits": self.head,
        }
        return takes_input(stages, self.input_shape, flat=False)


def resnet(
    input_shape: Sequence[int],
    num_outputs: int,
    *,
    channels: Sequence[int] = (16, 32),
    blocks_per_stage: int = 1,
    dtype: DTypeLike = jnp.float32,
) -> Network:
    """Residual network with batch normalisation.

    A first convolution, then stages of blocks. A block is two convolutions, each followed by
    batch normalisation, whose output is added to the input, and a ReLU. Kernels are 3×3, ReLUs
    stand after the first convolution and inside the blocks, too. The first convolution and the
    first block of every stage but the first halve the sides, rounding up; where a block changes
    the shape, its input passes a 1×1 convolution before it is added. The logits are an affine
    function of the mean over positions.

    To train it, give `fracture.training.fit` the batch statistics as well:
    `fit(key, network.apply, params, …, train_apply=network.train_apply)`. Without, the stored ones
    stay as they are.

    Parameters
    ----------
    input_shape
        `(height, width, channels)` of one image.
    num_outputs
        Number K of logits; one output f stands for (f/2, -f/2).
    channels
        Feature maps of each stage.
    blocks_per_stage
        Number of blocks in each of them.
    dtype
        Dtype of the parameters; inputs should have the same.

    Returns
    -------
    Network
        Its parameters contain, as `mean` and `var`, the statistics that `apply` normalises with:
        0 and 1 at first, then averages over the batches seen in training that forget 10 % at each.

    Raises
    ------
    ValueError
        If a size is not an integer of at least 1.

    References
    ----------
    He, Zhang, Ren, Sun (2016), "Deep residual learning for image recognition". arXiv:1512.03385.
    Ioffe, Szegedy (2015), "Batch normalization". arXiv:1502.03167.
    """
    return functional(
        lambda rngs: ResNet(
            input_shape,
            num_outputs,
            channels=channels,
            blocks_per_stage=blocks_per_stage,
            dtype=dtype,
            rngs=rngs,
        )
    )
