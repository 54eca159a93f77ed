"""Images and labels from a user's own files."""

import gzip
import math
import os
import zipfile
from pathlib import Path
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from ._checks import float_dtype

PathLike: TypeAlias = str | os.PathLike[str]

_INPUT_NAMES = ("inputs", "images", "x")
_LABEL_NAMES = ("labels", "y")
_IDX_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}


class LabelledData(NamedTuple):
    """Inputs and labels read from files."""

    inputs: Float[Array, "n ..."]
    labels: Int[Array, " n"]


def load_npz(path: PathLike, *, dtype: DTypeLike = jnp.float32) -> LabelledData:
    """Inputs and labels from one `.npz` file.

    Parameters
    ----------
    path
        File with an array named "inputs", "images" or "x", shape `(n, ...)`, and one named
        "labels" or "y", shape `(n,)`. Inputs of dtype uint8 are divided by 255; floating ones
        are taken as they are.
    dtype
        Floating dtype of the result.

    Returns
    -------
    data
        `inputs` with the shape found, `labels` as int32.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is not an `.npz` archive, a name is missing or ambiguous, shapes disagree,
        there are no items, a value is not finite (also: too large for `dtype`) or a label is
        negative.
    TypeError
        If the inputs are neither uint8 nor floating, or the labels not integers.
    """
    with open(path, "rb") as file:
        if not zipfile.is_zipfile(file):
            raise ValueError(f"{path}: not an .npz file.")
        file.seek(0)
        try:
            with np.load(file, allow_pickle=False) as archive:
                inputs = archive[_pick(archive.files, _INPUT_NAMES)]
                labels = archive[_pick(archive.files, _LABEL_NAMES)]
        except (ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: not an .npz file of inputs and labels: {error}.") from error
    return _checked(inputs, labels, str(path), dtype)


def load_idx(
    images_path: PathLike, labels_path: PathLike, *, dtype: DTypeLike = jnp.float32
) -> LabelledData:
    """Images and labels from two files in the IDX format of the MNIST database.

    Parameters
    ----------
    images_path, labels_path
        IDX files, gzipped or not. Images of bytes are divided by 255; floating ones are taken
        as they are.
    dtype
        Floating dtype of the result.

    Returns
    -------
    data
        `inputs` `(n, height, width, 1)`: a last axis of length 1 is added to three-dimensional
        arrays. `labels` `(n,)` as int32.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    ValueError
        If a file is not IDX, or shorter or longer than its header says, or as in `load_npz`.
    TypeError
        As in `load_npz`.
    """
    images, labels = _read_idx(images_path), _read_idx(labels_path)
    if images.ndim == 3:
        images = images[..., None]
    return _checked(images, labels, f"{images_path}, {labels_path}", dtype)


def _pick(available: list[str], names: tuple[str, ...]) -> str:
    present = [name for name in names if name in available]
    if len(present) != 1:
        raise ValueError(f"wanted one array named {' or '.join(names)}, found {available}")
    return present[0]


def _read_idx(path: PathLike) -> np.ndarray:
    data = Path(path).read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError) as error:
            raise ValueError(f"{path}: damaged gzip file: {error}.") from error
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _IDX_DTYPES or data[3] == 0:
        raise ValueError(f"{path}: not an IDX file: it starts with {data[:4].hex() or 'nothing'}.")
    dtype, ndim = np.dtype(_IDX_DTYPES[data[2]]), data[3]
    start = 4 + 4 * ndim
    if len(data) < start:
        raise ValueError(f"{path}: truncated in the header, {len(data)} of {start} bytes.")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", ndim, 4))
    wanted = start + math.prod(shape) * dtype.itemsize
    if len(data) != wanted:
        raise ValueError(f"{path}: {len(data)} bytes, but its shape {shape} needs {wanted}.")
    return np.frombuffer(data, dtype, offset=start).reshape(shape)


def _checked(inputs: np.ndarray, labels: np.ndarray, where: str, dtype: DTypeLike) -> LabelledData:
    dtype = float_dtype(dtype)
    if inputs.dtype != np.uint8 and not np.issubdtype(inputs.dtype, np.floating):
        raise TypeError(f"{where}: inputs must be uint8 or floating, got {inputs.dtype}.")
    if not np.issubdtype(labels.dtype, np.integer):
        raise TypeError(f"{where}: labels must be integers, got {labels.dtype}.")
    if inputs.ndim < 2 or labels.ndim != 1 or len(inputs) != len(labels):
        raise ValueError(
            f"{where}: wanted inputs (n, ...) and labels (n,), got {inputs.shape} and "
            f"{labels.shape}."
        )
    if inputs.size == 0:
        raise ValueError(f"{where}: no items, inputs have shape {inputs.shape}.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0 or high > np.iinfo(np.int32).max:
        raise ValueError(f"{where}: labels must be 0 … 2^31 − 1, got {low} … {high}.")
    scale = 255 if inputs.dtype == np.uint8 else 1
    with np.errstate(over="ignore"):  # reported below as not finite
        values = inputs.astype(dtype) / np.asarray(scale, dtype)
    if not np.isfinite(values).all():
        count = int((~np.isfinite(values)).reshape(len(values), -1).any(axis=1).sum())
        raise ValueError(f"{where}: {count} of {len(values)} inputs are not finite in {dtype}.")
    return LabelledData(jnp.asarray(values), jnp.asarray(labels.astype(np.int32)))
