"""Images and labels from a user's own files."""

import gzip
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Int

from .._checks import float_dtype
from .._files import check_expansion, open_regular

PathLike: TypeAlias = str | os.PathLike[str]

_INPUT_NAMES = ("inputs", "images", "x")
_LABEL_NAMES = ("labels", "y")
_IDX_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_NPY_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
# What a damaged archive makes `zipfile` and NumPy raise.
_DAMAGED = (
    *(ValueError, TypeError, KeyError, RuntimeError, OSError, EOFError, MemoryError),
    *(SyntaxError, OverflowError, struct.error, zlib.error, zipfile.BadZipFile),
)


class LabelledData(NamedTuple):
    """Inputs and labels read from files.

    Attributes
    ----------
    inputs
        Images or vectors, one an item.
    labels
        Class of each item, from 0.
    """

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
        If the file is not an `.npz` archive, is damaged or encrypted, claims to hold more than
        1 GiB and more than 100 times its own size, a name is missing or ambiguous, shapes
        disagree, there are no items, a value is not finite (also: too large for `dtype`) or a
        label is negative.
    TypeError
        If the inputs are neither uint8 nor floating, or the labels not integers.
    """
    with open_regular(path) as file:
        if not zipfile.is_zipfile(file):
            raise ValueError(f"{path}: not an .npz file.")
        try:
            with zipfile.ZipFile(file) as archive:
                size = os.fstat(file.fileno()).st_size
                members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
                inputs, labels = (
                    _read_member(archive, members[_pick(list(members), names)], size)
                    for names in (_INPUT_NAMES, _LABEL_NAMES)
                )
        except _DAMAGED as error:
            said = str(error) or type(error).__name__
            raise ValueError(f"{path}: not an .npz file of inputs and labels: {said}.") from error
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
        If a file is not IDX, or shorter or longer than its header says, claims far more than its
        own size, or as in `load_npz`.
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


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, size: int) -> np.ndarray:
    """An array of an archive, whose header is checked before memory is taken."""
    name = member.filename
    if member.flag_bits & 1:
        raise ValueError(f"{name!r} is encrypted")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{name!r} is compressed by another method than NumPy's")
    check_expansion(member.file_size, min(member.compress_size, size))
    with archive.open(member) as file:
        version = np.lib.format.read_magic(file)
        if version not in _NPY_HEADERS:
            raise ValueError(f"{name!r} is of version {version} of NumPy's format")
        shape, _, dtype = _NPY_HEADERS[version](file)
        wanted = file.tell() + math.prod(shape) * dtype.itemsize
    if wanted != member.file_size and not dtype.hasobject:
        raise ValueError(f"{name!r} has {member.file_size} bytes, but its header needs {wanted}")
    with archive.open(member) as file:
        return np.lib.format.read_array(file, allow_pickle=False)


def _read_idx(path: PathLike) -> np.ndarray:
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        if not zipped:
            return _parse_idx(file.read, path, size, size)
        try:
            return _parse_idx(gzip.open(file).read, path, size, None)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: damaged gzip file: {error}.") from error


def _parse_idx(
    read: Callable[[int], bytes], path: PathLike, stored: int, length: int | None
) -> np.ndarray:
    """The array of a file, of which no more is read than its header says."""
    head = read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _IDX_DTYPES or head[3] == 0:
        raise ValueError(f"{path}: not an IDX file: it starts with {head.hex() or 'nothing'}.")
    dtype, ndim = np.dtype(_IDX_DTYPES[head[2]]), head[3]
    sizes = read(4 * ndim)
    start = 4 + 4 * ndim
    if len(sizes) < 4 * ndim:
        raise ValueError(f"{path}: truncated in the header, {4 + len(sizes)} of {start} bytes.")
    shape = tuple(int(size) for size in np.frombuffer(sizes, ">u4"))
    wanted = start + math.prod(shape) * dtype.itemsize
    data = b""
    if length is None:  # one byte more than wanted says that there are more
        try:
            check_expansion(wanted, stored)
        except ValueError as error:
            raise ValueError(f"{path}: {error}.") from error
        data = read(wanted - start + 1)
        length = start + len(data)
    if length != wanted:
        raise ValueError(f"{path}: {length} bytes, but its shape {shape} needs {wanted}.")
    return np.frombuffer(data or read(wanted - start), dtype).reshape(shape)


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
