"""Exact resizing of images by area averaging."""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._checks import check_counts


def area_resize(images: Float[Array, "*n h w c"], side: int) -> Float[Array, "*n {side} {side} c"]:
    r"""Images as seen by `side` × `side` pixels, each the mean over the area that it covers.

    $W I V^\top$ with the overlap matrices W and V of the old and new pixels, whose rows sum to 1:
    constant images stay constant, halving averages 2×2 pixels, doubling repeats them, and any
    other factor weighs pixels by the share of their area.

    Parameters
    ----------
    images
        One or more images, height × width × channels in the last axes; floating.
    side
        New height and width, at least 1.

    Returns
    -------
    images
        Shape `(..., side, side, c)`, same dtype.

    Raises
    ------
    ValueError
        If `side` is below 1 or `images` has fewer than three axes or no pixels.
    TypeError
        If `images` is not floating (divide 8-bit images by 255 first).
    """
    if images.ndim < 3 or 0 in images.shape[-3:-1]:
        raise ValueError(f"images must have shape (..., h, w, c), got {images.shape}.")
    if not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(f"images must be floating, got {images.dtype}.")
    check_counts(side=side)
    height, width = images.shape[-3:-1]
    rows = jnp.asarray(_overlap(side, height), images.dtype)
    columns = jnp.asarray(_overlap(side, width), images.dtype)
    resized = images
    if height != side:
        resized = jnp.einsum("ih,...hwc->...iwc", rows, resized, precision="highest")
    if width != side:
        resized = jnp.einsum("jw,...hwc->...hjc", columns, resized, precision="highest")
    return resized


def _overlap(new: int, old: int) -> np.ndarray:
    """Share of each of `old` cells in each of `new` cells of the same interval."""
    start = np.arange(new)[:, None] * old  # in units of 1 / (old · new): exact integers
    cell = np.arange(old)[None] * new
    covered = np.minimum(start + old, cell + new) - np.maximum(start, cell)
    return np.maximum(covered, 0) / old
