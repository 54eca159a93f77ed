"""Photographs as ImageNet classifiers take them, and the names of the 1000 classes."""

import csv
import io
import re
from collections.abc import Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from .._checks import check_counts, float_dtype
from .._files import open_regular
from .._packages import folder_of, missing
from ._load import LabelledData, PathLike

if TYPE_CHECKING:
    from PIL import Image

BORDER = 32  # pixels of the resized picture's shorter side that the crop leaves out
FORMATS = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")  # none of which runs a program
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")  # of 8 bits a channel


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
    central square of `side` pixels cut out. Pictures are turned upright as their EXIF data say,
    16 bits of grey become 8, and CMYK becomes RGB without a colour profile.

    Parameters
    ----------
    folder
        Folder of the pictures: BMP, GIF, JPEG, PNG, PPM, TIFF or WebP; of several in one file,
        the first.
    labels
        Text file in UTF-8 with a line `FILE,LABEL` for each picture that is wanted: its name in the
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
        If a line cannot be understood, there are none, or `side` is below 1; if a file is no
        picture, is damaged, has transparent pixels or levels without a known range (floats, 32-bit
        integers), or has more pixels than Pillow's limit. The file is named.
    TypeError
        If `dtype` is not floating.
    """
    with open_regular(labels) as file:
        try:
            text = io.TextIOWrapper(file, "utf-8-sig", newline="")
            lines = [(number, row) for number, row in enumerate(csv.reader(text), 1) if row]
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{labels}: not lines FILE,LABEL in UTF-8: {error}.") from error
    if lines and [cell.strip().lower() for cell in lines[0][1][1:]] == ["label"]:
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

    Returns
    -------
    tuple of str
        Name c is that of label c.
    """
    text = resources.files("fracture.data").joinpath("imagenet_classes.txt").read_text("utf-8")
    return tuple(text.splitlines())


def _load(
    files: Sequence[Path], labels: Sequence[int], side: int, dtype: DTypeLike
) -> LabelledData:
    dtype = float_dtype(dtype)
    check_counts(side=side)
    try:
        from PIL import Image, UnidentifiedImageError
    except ModuleNotFoundError:
        raise missing("pillow", "imagenet", "it reads pictures") from None
    pixels = []
    for path in files:
        with open_regular(path) as file:
            try:
                with Image.open(file, formats=FORMATS) as picture:
                    pixels.append(np.asarray(crop(rgb(picture), side)))
            except UnidentifiedImageError as error:
                raise ValueError(f"{path}: not a picture; wanted {', '.join(FORMATS)}.") from error
            except Exception as error:  # a damaged picture makes Pillow raise anything
                said = f"{type(error).__name__}: {error}"
                raise ValueError(f"{path}: cannot be used as a picture ({said}).") from error
    inputs = np.stack(pixels).astype(dtype) / np.asarray(255, dtype)
    return LabelledData(jnp.asarray(inputs), jnp.asarray(labels, jnp.int32))


def rgb(picture: "Image.Image") -> "Image.Image":
    """The picture upright in 8-bit RGB; `ValueError` where that would be a guess."""
    from PIL import Image, ImageOps
    from PIL.TiffImagePlugin import TiffImageFile

    mode, written, info = picture.mode, picture.format, picture.info
    bits = picture.tag_v2.get(258) if isinstance(picture, TiffImageFile) else None
    transparent = mode in ("LA", "PA", "RGBA") or "transparency" in info
    picture = ImageOps.exif_transpose(picture)
    if mode.startswith("I;16") or (mode == "I" and written in ("PNG", "PPM")):
        if transparent or bits not in (None, 16, (16,)):
            raise ValueError(f"its grey levels have {bits} bits, or some are transparent")
        levels = np.asarray(picture).astype(np.uint32)
        return Image.fromarray(((levels * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if mode not in MODES:
        raise ValueError(
            f"mode {mode!r} has no known range; wanted 8 bits a channel, or 16 of grey"
        )
    if transparent:
        picture = picture.convert("RGBA")
        if picture.getchannel("A").getextrema() != (255, 255):
            raise ValueError("it has transparent pixels; put it on a background first")
    return picture.convert("RGB")


def crop(picture: "Image.Image", side: int) -> Any:
    """The central square of a picture whose shorter side was resized to `side + 32` pixels."""
    from PIL import Image

    shorter, (width, height) = side + BORDER, picture.size
    if width <= height:
        size = shorter, shorter * height // width
    else:
        size = shorter * width // height, shorter
    if Image.MAX_IMAGE_PIXELS is not None and size[0] * size[1] > 2 * Image.MAX_IMAGE_PIXELS:
        raise ValueError(f"its {width} × {height} pixels would become {size[0]} × {size[1]}")
    picture = picture.resize(size, Image.Resampling.BICUBIC)
    left, top = (round((length - side) / 2) for length in size)
    return picture.crop((left, top, left + side, top + side))
