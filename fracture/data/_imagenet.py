"""Photographs as ImageNet classifiers take them, and the names of the 1000 classes."""

import csv
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from .._packages import folder_of, missing
from ._checks import float_dtype
from ._load import LabelledData, PathLike

if TYPE_CHECKING:
    from PIL import Image

BORDER = 32  # pixels of the resized picture's shorter side that the crop leaves out


def imagenet_samples(side: int = 224, *, dtype: DTypeLike = jnp.float32) -> LabelledData:
    """Twenty labelled ImageNet photographs from the installed package foolbox.

    The package is read, not imported; PyTorch is not needed.

    Parameters
    ----------
    side
        Pixels a side; see `load_photographs`.
    dtype
        Floating dtype of the images.

    Returns
    -------
    data
        `inputs` `(20, side, side, 3)` in [0, 1] and `labels` `(20,)`, 0 to 999.

    Raises
    ------
    ModuleNotFoundError
        If foolbox or Pillow is not installed.
    ValueError
        If `side` is below 1.
    TypeError
        If `dtype` is not floating.

    References
    ----------
    Rauber, Zimmermann, Bethge, Brendel (2020), "Foolbox Native", Journal of Open Source Software
    5(53), 2607; Russakovsky et al. (2015), "ImageNet large scale visual recognition challenge".
    """
    folder = folder_of("foolbox", "the sample photographs") / "data"
    files = sorted(folder.glob("imagenet_*.jpg"))
    labels = [int(file.stem.rpartition("_")[2]) for file in files]
    return _load(files, labels, side, dtype)


def load_photographs(
    folder: PathLike, labels: PathLike, side: int = 224, *, dtype: DTypeLike = jnp.float32
) -> LabelledData:
    """A folder of pictures, resized and cropped as ImageNet classifiers are evaluated.

    The shorter side is resized to `side + 32` pixels (bicubic, as Pillow does it) and the
    central square of `side` pixels cut out.

    Parameters
    ----------
    folder
        Folder of the pictures, in any format that Pillow reads.
    labels
        Text file with a line `FILE,LABEL` for each picture that is wanted: its name in the
        folder and its class, 0 to 999 in the order of `imagenet_classes`. A first line
        `…,label` is a heading.
    side
        Pixels a side of the result.
    dtype
        Floating dtype of the images.

    Returns
    -------
    data
        `inputs` `(n, side, side, 3)` in [0, 1], in the order of the lines, and `labels`.

    Raises
    ------
    FileNotFoundError
        If the folder, the file of labels, or a picture does not exist.
    ModuleNotFoundError
        If Pillow is not installed.
    ValueError
        If a line cannot be understood, there are none, a file is no picture, or `side` is below 1.
    TypeError
        If `dtype` is not floating.
    """
    with open(labels, newline="", encoding="utf-8") as file:
        lines = [(number, row) for number, row in enumerate(csv.reader(file), 1) if row]
    if lines and lines[0][1][1:] == ["label"]:
        lines = lines[1:]
    for number, row in lines:
        if len(row) != 2 or not re.fullmatch(r"\s*\d{1,9}\s*", row[1]):
            raise ValueError(f"{labels}, line {number}: got {','.join(row)!r}, wanted FILE,LABEL.")
    if not lines:
        raise ValueError(f"{labels}: no line FILE,LABEL.")
    files = [Path(folder) / row[0].strip() for _, row in lines]
    return _load(files, [int(row[1]) for _, row in lines], side, dtype)


@cache
def imagenet_classes() -> tuple[str, ...]:
    """Names of the 1000 classes of ImageNet's challenge, in their customary order.

    From WordNet; `IMAGENET_NOTICE.md` beside the file says how it came here.
    """
    text = resources.files("fracture.data").joinpath("imagenet_classes.txt").read_text("utf-8")
    return tuple(text.splitlines())


def _load(
    files: Sequence[Path], labels: Sequence[int], side: int, dtype: DTypeLike
) -> LabelledData:
    dtype = float_dtype(dtype)
    if side < 1:
        raise ValueError(f"side must be at least 1, got {side}.")
    try:
        from PIL import Image, UnidentifiedImageError
    except ModuleNotFoundError:
        raise missing("pillow", "imagenet", "it reads pictures") from None
    pixels = []
    for path in files:
        try:
            with Image.open(path) as picture:
                pixels.append(np.asarray(crop(picture.convert("RGB"), side)))
        except UnidentifiedImageError as error:
            raise ValueError(f"{path}: not a picture.") from error
    inputs = np.stack(pixels).astype(dtype) / np.asarray(255, dtype)
    return LabelledData(jnp.asarray(inputs), jnp.asarray(labels, jnp.int32))


def crop(picture: "Image.Image", side: int) -> Any:
    """The central square of a picture whose shorter side was resized to `side + 32` pixels."""
    from PIL import Image

    shorter, (width, height) = side + BORDER, picture.size
    if width <= height:
        size = shorter, shorter * height // width
    else:
        size = shorter * width // height, shorter
    picture = picture.resize(size, Image.Resampling.BICUBIC)
    left, top = (round((length - side) / 2) for length in size)
    return picture.crop((left, top, left + side, top + side))
