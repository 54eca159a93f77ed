"""Real handwritten digits, shipped with the package."""

from importlib import resources
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from .._checks import float_dtype
from ._resize import area_resize


class Digits(NamedTuple):
    """Ten thousand images of handwritten digits.

    Attributes
    ----------
    inputs
        Images of grey levels in [0, 1].
    labels
        The digits, 0 … 9.
    """

    inputs: Float[Array, "n side side 1"]
    labels: Int[Array, " n"]


def digits(side: int = 28, *, dtype: DTypeLike = jnp.float32) -> Digits:
    """10,000 MNIST digits at any resolution.

    In a fixed random order: `split(digits(), 8000)` is the customary split. The images are
    28×28 and resized by area averaging, so that every resolution shows the same content.

    Parameters
    ----------
    side
        Pixels a side, at least 1.
    dtype
        Floating dtype of the images.

    Returns
    -------
    task
        `inputs` `(10000, side, side, 1)` in [0, 1] and `labels` `(10000,)`.

    Raises
    ------
    ValueError
        If `side` is below 1.
    TypeError
        If `dtype` is not floating.

    References
    ----------
    LeCun, Bottou, Bengio, Haffner (1998), "Gradient-based learning applied to document
    recognition"; `MNIST_NOTICE.md` beside the data says where this subset comes from.
    """
    dtype = float_dtype(dtype)
    path = resources.files("fracture.data").joinpath("mnist_10k.npz")
    with path.open("rb") as file, np.load(file) as archive:
        images, labels = archive["images"], archive["labels"]
    inputs = jnp.asarray(images[..., None], dtype) / 255
    return Digits(area_resize(inputs, side), jnp.asarray(labels, jnp.int32))
