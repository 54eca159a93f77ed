"""Convolutional networks."""

import itertools
from collections.abc import Sequence
from functools import partial

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array

from .._checks import check_counts
from ._conv import Conv
from ._network import Network, functional
from ._parts import (
    LINEAR,
    Activation,
    Staged,
    Stages,
    as_counts,
    find_activation,
    image_shape,
    layer_names,
    normalizations,
    takes_input,
)


class CNN(Staged):
    """Strided convolutions and a linear head on one image; see `cnn`."""

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        *,
        channels: Sequence[int] = (16, 32),
        kernel_size: int = 5,
        stride: int = 2,
        activation: Activation = "relu",
        normalization: str | None = None,
        head: str = "flatten",
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.input_shape = image_shape(input_shape)
        if head not in ("average", "flatten"):
            raise ValueError(f'head must be "average" or "flatten", got {head!r}.')
        channels = as_counts("channels", channels)
        check_counts(num_outputs=num_outputs, kernel_size=kernel_size, stride=stride)
        self.activation = find_activation(activation)
        self.average = head == "average"
        height, width, depth = self.input_shape
        maps = [depth, *channels]
        self.layers = nnx.List(
            Conv(n, m, kernel_size=kernel_size, stride=stride, dtype=dtype, rngs=rngs)
            for n, m in itertools.pairwise(maps)
        )
        self.norms = nnx.List(normalizations(normalization, channels, dtype=dtype, rngs=rngs))
        for _ in channels:
            height, width = -(-height // stride), -(-width // stride)
        positions = 1 if self.average else height * width
        self.head = nnx.Linear(
            positions * maps[-1], num_outputs, param_dtype=dtype, kernel_init=LINEAR, rngs=rngs
        )

    def stages(self) -> Stages:
        """The convolutions, each with its activation, applied in turn: `conv_1`, …, `logits`.

        With the head "average", `conv_mean` holds the mean of the last maps over positions.
        """
        names = layer_names("conv", len(self.layers))
        stages: Stages = {name: partial(self._convolve, i) for i, name in enumerate(names)}
        if self.average:
            stages["conv_mean"] = lambda h: h.mean((0, 1))
        stages["logits"] = lambda h: self.head(h.ravel())
        return takes_input(stages, self.input_shape, flat=False)

    def _convolve(self, i: int, h: Array) -> Array:
        h = self.layers[i](h)
        return self.activation(self.norms[i](h) if self.norms else h)


def cnn(
    input_shape: Sequence[int],
    num_outputs: int,
    *,
    channels: Sequence[int] = (16, 32),
    kernel_size: int = 5,
    stride: int = 2,
    activation: Activation = "relu",
    normalization: str | None = None,
    head: str = "flatten",
    dtype: DTypeLike = jnp.float32,
) -> Network:
    """Convolutional network: strided convolutions, then a linear head.

    Every convolution divides the sides by `stride`, rounding up ("SAME" padding), so that any
    side works.

    Parameters
    ----------
    input_shape
        `(height, width, channels)` of one image.
    num_outputs
        Number K of logits; one output f stands for (f/2, -f/2).
    channels
        Feature maps of each convolution.
    kernel_size, stride
        Side of the kernels and step of all convolutions, in pixels.
    activation
        As for `mlp`.
    normalization
        "layer" normalises over the feature maps, position by position, before the activation.
    head
        "flatten" reads every position of the last maps, "average" their means over positions.
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
        If a size is not an integer of at least 1, or an option is unknown.
    """
    return functional(
        lambda rngs: CNN(
            input_shape,
            num_outputs,
            channels=channels,
            kernel_size=kernel_size,
            stride=stride,
            activation=activation,
            normalization=normalization,
            head=head,
            dtype=dtype,
            rngs=rngs,
        )
    )
