"""Vision transformers."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from .._checks import check_counts
from ._network import Network, functional
from ._parts import (
    LINEAR,
    LayerNorm,
    Staged,
    Stages,
    image_shape,
    layer_names,
    takes_input,
)


def attention(
    query: Float[Array, "tokens heads dim"],
    key: Float[Array, "tokens heads dim"],
    value: Float[Array, "tokens heads dim"],
) -> Float[Array, "tokens heads dim"]:
    r"""Scaled dot-product attention of every token to all: $\mathrm{softmax}(Q K^\top/\sqrt d) V$.

    References
    ----------
    Vaswani et al. (2017), "Attention is all you need", Equation 1. arXiv:1706.03762.
    """
    scores = jnp.einsum("qhd,khd->hqk", query, key) / math.sqrt(query.shape[-1])
    return jnp.einsum("hqk,khd->qhd", jax.nn.softmax(scores), value)


class Block(nnx.Module):
    """Attention, then an MLP: each reads the normalised tokens and adds to the tokens."""

    def __init__(
        self, width: int, num_heads: int, hidden: int, *, dtype: DTypeLike, rngs: nnx.Rngs
    ):
        def linear(inputs: int, outputs: int) -> nnx.Linear:
            return nnx.Linear(inputs, outputs, param_dtype=dtype, kernel_init=LINEAR, rngs=rngs)

        self.num_heads = num_heads
        self.attention_norm = LayerNorm(width, dtype=dtype, rngs=rngs)
        self.query_key_value = linear(width, 3 * width)
        self.project = linear(width, width)
        self.mlp_norm = LayerNorm(width, dtype=dtype, rngs=rngs)
        self.up = linear(width, hidden)
        self.down = linear(hidden, width)

    def __call__(self, h: Float[Array, "tokens width"]) -> Float[Array, "tokens width"]:
        """Tokens of one image, after the block."""
        projections = self.query_key_value(self.attention_norm(h))
        split = projections.reshape(len(h), 3, self.num_heads, -1)
        h = h + self.project(attention(*split.transpose(1, 0, 2, 3)).reshape(h.shape))
        return h + self.down(jax.nn.gelu(self.up(self.mlp_norm(h))))


class ViT(Staged):
    """Vision transformer on one image; see `vit`."""

    def __init__(
        self,
        input_shape: Sequence[int],
        num_outputs: int,
        *,
        patch_size: int = 4,
        width: int = 64,
        depth: int = 2,
        num_heads: int = 4,
        mlp_ratio: int = 2,
        dtype: DTypeLike = jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.input_shape = image_shape(input_shape)
        check_counts(num_outputs=num_outputs, patch_size=patch_size, width=width)
        check_counts(depth=depth, num_heads=num_heads, mlp_ratio=mlp_ratio)
        *sides, channels = self.input_shape
        if any(side % patch_size for side in sides):
            raise ValueError(
                f"patch_size must divide the sides of the image, got {patch_size} and {sides}."
            )
        if width % num_heads:
            raise ValueError(f"num_heads must divide width, got {num_heads} and {width}.")
        self.patch_size = patch_size
        tokens = math.prod(sides) // patch_size**2
        self.embed = nnx.Linear(
            patch_size**2 * channels, width, param_dtype=dtype, kernel_init=LINEAR, rngs=rngs
        )
        # As large as what digits in [0, 1] add: from 0.02, the custom, training takes longer.
        scale = nnx.initializers.normal(0.3)
        self.position = nnx.Param(scale(rngs.params(), (tokens, width), dtype))
        self.layers = nnx.List(
            Block(width, num_heads, mlp_ratio * width, dtype=dtype, rngs=rngs) for _ in range(depth)
        )
        self.norm = LayerNorm(width, dtype=dtype, rngs=rngs)
        self.head = nnx.Linear(width, num_outputs, param_dtype=dtype, kernel_init=LINEAR, rngs=rngs)

    def stages(self) -> Stages:
        """The patches' embedding and the blocks, applied in turn: `embedding`, `layer_1`, ….

        `layer_mean` holds the mean of the normalised tokens, `logits` an affine function of it.
        """
        blocks: Stages = dict(zip(layer_names("layer", len(self.layers)), self.layers, strict=True))
        stages: Stages = {
            "embedding": self._embed,
            **blocks,
            "layer_mean": lambda h: self.norm(h).mean(0),
            "logits": self.head,
        }
        return takes_input(stages, self.input_shape, flat=False)

    def _embed(self, x: Array) -> Array:
        height, width, channels = x.shape
        size = self.patch_size
        patches = x.reshape(height // size, size, width // size, size, channels)
        patches = patches.transpose(0, 2, 1, 3, 4).reshape(-1, size**2 * channels)
        return self.embed(patches) + self.position[...]


def vit(
    input_shape: Sequence[int],
    num_outputs: int,
    *,
    patch_size: int = 4,
    width: int = 64,
    depth: int = 2,
    num_heads: int = 4,
    mlp_ratio: int = 2,
    dtype: DTypeLike = jnp.float32,
) -> Network:
    """Vision transformer: normalisation before each layer, and the mean of the tokens at the end.

    The image is cut into square patches. Each becomes a token, an affine function of its pixels
    plus a learned vector for its position. Blocks of attention and an MLP (GELU) add to the tokens
    in turn; the logits are an affine function of the mean of the tokens, normalised. There is no
    class token.

    Parameters
    ----------
    input_shape
        `(height, width, channels)` of one image.
    num_outputs
        Number K of logits; one output f stands for (f/2, -f/2).
    patch_size
        Side of the patches in pixels; divides height and width.
    width
        Length of a token.
    depth
        Number of blocks.
    num_heads
        Heads of each attention, of width / num_heads units; divides `width`.
    mlp_ratio
        Hidden units of each block's MLP, as a multiple of `width`.
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
        If a size is not an integer of at least 1, or does not divide what it has to.

    References
    ----------
    Dosovitskiy et al. (2021), "An image is worth 16x16 words". arXiv:2010.11929.
    """
    return functional(
        lambda rngs: ViT(
            input_shape,
            num_outputs,
            patch_size=patch_size,
            width=width,
            depth=depth,
            num_heads=num_heads,
            mlp_ratio=mlp_ratio,
            dtype=dtype,
            rngs=rngs,
        )
    )
