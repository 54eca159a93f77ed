"""Pieces that the modules share: activations, normalisation, checks of options."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import ArrayLike, DTypeLike
from jaxtyping import Array, Float

from .._checks import check_counts
from ._network import BATCH

Stages = dict[str, Callable[..., Array]]
Activation = str | Callable[[Array], Array]

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "elu": jax.nn.elu,
    "gelu": jax.nn.gelu,
    "identity": lambda x: x,
    "leaky_relu": jax.nn.leaky_relu,
    "relu": jax.nn.relu,
    "sigmoid": jax.nn.sigmoid,
    "silu": jax.nn.silu,
    "softplus": jax.nn.softplus,
    "tanh": jnp.tanh,
}

# Keeps the scale of a signal through layers followed by a ReLU, and by nothing.
RECTIFIED = nnx.initializers.he_normal()
LINEAR = nnx.initializers.lecun_normal()


class Staged(nnx.Module):
    """A network that is given by its method `stages`: functions by name, to be applied in turn."""

    def stages(self) -> Stages:
        """The layers as functions; the last one is `logits`."""
        raise NotImplementedError

    def features(self, x: Float[ArrayLike, "..."]) -> dict[str, Array]:
        """Output of each stage, by name."""
        outputs: dict[str, Array] = {}
        h: ArrayLike = x
        for name, stage in self.stages().items():
            h = outputs[name] = stage(h)
        return outputs

    def __call__(self, x: Float[ArrayLike, "..."]) -> Float[Array, " K"]:
        """Logits of one input."""
        return self.features(x)["logits"]


class LayerNorm(nnx.Module):
    """Layer normalisation over the last axis."""

    def __init__(self, width: int, *, dtype: DTypeLike, rngs: nnx.Rngs):
        self.norm = nnx.LayerNorm(width, param_dtype=dtype, rngs=rngs)

    def __call__(self, x: Array) -> Array:
        """Normalise `x`; Flax mixes float32 statistics with the input's dtype."""
        with jax.numpy_dtype_promotion("standard"):
            return self.norm(x).astype(x.dtype)


class BatchNorm(nnx.Module):
    """Batch normalisation over the last axis, in evaluation mode unless told to `train()`."""

    def __init__(self, width: int, *, dtype: DTypeLike, rngs: nnx.Rngs):
        self.norm = nnx.BatchNorm(
            width,
            use_running_average=True,
            use_fast_variance=False,  # whose differences of squares cancel
            momentum=0.9,
            axis_name=BATCH,
            param_dtype=dtype,
            rngs=rngs,
        )
        # Flax stores statistics in float32, whatever the dtype of the parameters.
        self.norm.mean = nnx.BatchStat(jnp.zeros(width, dtype))
        self.norm.var = nnx.BatchStat(jnp.ones(width, dtype))

    def __call__(self, x: Array) -> Array:
        """Normalise `x`; Flax mixes float32 constants with the input's dtype."""
        with jax.numpy_dtype_promotion("standard"):
            return self.norm(x).astype(x.dtype)


def find_activation(choice: Activation) -> Callable[[Array], Array]:
    """The function of that name, or the function itself."""
    if callable(choice):
        return choice
    if choice not in ACTIVATIONS:
        raise ValueError(
            f"activation must be a function or one of {sorted(ACTIVATIONS)}, got {choice!r}."
        )
    return ACTIVATIONS[choice]


def normalizations(
    choice: str | None, widths: Sequence[int], *, dtype: DTypeLike, rngs: nnx.Rngs
) -> list[LayerNorm]:
    """One normalisation per width, or none at all."""
    if choice not in (None, "layer"):
        raise ValueError(f'normalization must be None or "layer", got {choice!r}.')
    return [LayerNorm(width, dtype=dtype, rngs=rngs) for width in widths if choice]


def layer_names(prefix: str, number: int) -> list[str]:
    """`prefix_1`, …, with zeros in front so that names in alphabetical order are in depth order.

    JAX sorts the keys of a dict; "logits" comes last.
    """
    digits = len(str(number))
    return [f"{prefix}_{i + 1:0{digits}d}" for i in range(number)]


def as_counts(name: str, values: Sequence[int]) -> tuple[int, ...]:
    """`values` as a tuple, after a check that they are integers of at least 1."""
    for value in values:
        check_counts(**{name: value})
    return tuple(values)


def image_shape(shape: Sequence[int]) -> tuple[int, int, int]:
    """The input shape of a network on images, checked."""
    shape = as_counts("input_shape", shape)
    if len(shape) != 3:
        raise ValueError(f"input_shape must be (height, width, channels), got {shape}.")
    height, width, channels = shape
    return height, width, channels


def takes_input(stages: Stages, shape: tuple[int, ...], *, flat: bool) -> Stages:
    """The stages, of which the first checks that it is given ONE input, and may flatten it."""
    name, first = next(iter(stages.items()))

    def check(x: ArrayLike) -> Array:
        x = jnp.asarray(x)
        if x.shape != shape:
            raise ValueError(
                f"the network takes one input of shape {shape}, got {x.shape}; map over a batch "
                "with jax.vmap."
            )
        return first(x.ravel() if flat else x)

    return stages | {name: check}
