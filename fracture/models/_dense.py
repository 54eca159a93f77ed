"""Fully connected networks, linear and not."""

import itertools
import math
from collections.abc import Sequence
from functools import partial

import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array

from .._checks import check_counts
from ._network import Network, functional
from ._parts import (
    LINEAR,
    RECTIFIED,
    Activation,
    Staged,
    Stages,
    as_counts,
    find_activation,
    layer_names,
    normalizations,
    takes_input,
)


class DeepLinear(Staged):
    """Product of matrices applied to one flattened input; see `deep_linear`."""

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        *,
        widths: Sequence[int] = (),
        bias: bool = False,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.input_shape = as_counts("input_shape", input_shape)
        sizes = _sizes(self.input_shape, widths, num_outputs)
        self.layers = nnx.List(
            nnx.Linear(n, m, use_bias=bias, param_dtype=dtype, kernel_init=LINEAR, rngs=rngs)
            for n, m in itertools.pairwise(sizes)
        )

    def stages(self) -> Stages:
        """The layers as functions applied in turn: `layer_1`, …, `logits`."""
        names = [*layer_names("layer", len(self.layers) - 1), "logits"]
        stages: Stages = dict(zip(names, self.layers, strict=True))
        return takes_input(stages, self.input_shape, flat=True)


class MLP(Staged):
    """Multilayer perceptron on one flattened input; see `mlp`."""

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        *,
        widths: Sequence[int] = (256, 256),
        activation: Activation = "relu",
        normalization: str | None = None,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.input_shape = as_counts("input_shape", input_shape)
        self.activation = find_activation(activation)
        sizes = _sizes(self.input_shape, widths, num_outputs)
        self.layers = nnx.List(
            nnx.Linear(n, m, param_dtype=dtype, kernel_init=RECTIFIED, rngs=rngs)
            for n, m in itertools.pairwise(sizes[:-1])
        )
        self.head = nnx.Linear(*sizes[-2:], param_dtype=dtype, kernel_init=LINEAR, rngs=rngs)
        self.norms = nnx.List(normalizations(normalization, sizes[1:-1], dtype=dtype, rngs=rngs))

    def stages(self) -> Stages:
        """The layers, each with its activation, applied in turn: `layer_1`, …, `logits`."""
        names = layer_names("layer", len(self.layers))
        stages: Stages = {name: partial(self._hidden, i) for i, name in enumerate(names)}
        return takes_input(stages | {"logits": self.head}, self.input_shape, flat=True)

    def _hidden(self, i: int, h: Array) -> Array:
        h = self.layers[i](h)
        return self.activation(self.norms[i](h) if self.norms else h)


def deep_linear(
    input_shape: int | Sequence[int],
    num_outputs: int,
    *,
    widths: Sequence[int] = (),
    bias: bool = False,
    dtype: DTypeLike = jnp.float32,
) -> Network:
    """Linear network of depth `len(widths) + 1`.

    Weights are drawn with variance 1 / fan_in, which keeps the scale of a signal at any depth.

    Parameters
    ----------
    input_shape
        Shape of one input (an integer d stands for `(d,)`); it is flattened.
    num_outputs
        Number K of logits; one output f stands for (f/2, -f/2).
    widths
        Width of each hidden layer.
    bias
        Whether the layers are affine (the paper's have no biases).
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
        If a size is not an integer of at least 1.
    """
    shape = _shape(input_shape)
    return functional(
        lambda rngs: DeepLinear(
            shape, num_outputs, widths=widths, bias=bias, dtype=dtype, rngs=rngs
        )
    )


def mlp(
    input_shape: int | Sequence[int],
    num_outputs: int,
    *,
    widths: Sequence[int] = (256, 256),
    activation: Activation = "relu",
    normalization: str | None = None,
    dtype: DTypeLike = jnp.float32,
) -> Network:
    """Multilayer perceptron with `len(widths)` hidden layers.

    Parameters
    ----------
    input_shape
        Shape of one input (an integer d stands for `(d,)`); it is flattened.
    num_outputs
        Number K of logits; one output f stands for (f/2, -f/2).
    widths
        Width of each hidden layer; none of them makes an affine network.
    activation
        "relu", "gelu", "tanh", "sigmoid", "softplus", "silu", "elu", "leaky_relu", "identity", or
        any function of an array.
    normalization
        "layer" normalises every hidden layer before its activation; None does not.
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
    shape = _shape(input_shape)
    return functional(
        lambda rngs: MLP(
            shape,
            num_outputs,
            widths=widths,
            activation=activation,
            normalization=normalization,
            dtype=dtype,
            rngs=rngs,
        )
    )


def _shape(input_shape: int | Sequence[int]) -> tuple[int, ...]:
    return (input_shape,) if isinstance(input_shape, int) else tuple(input_shape)


def _sizes(
    input_shape: tuple[int, ...], widths: Sequence[int], num_outputs: int
) -> tuple[int, ...]:
    """Number of units from the input to the logits."""
    check_counts(num_outputs=num_outputs)
    return (math.prod(input_shape), *as_counts("widths", widths), num_outputs)
