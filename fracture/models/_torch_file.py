"""PyTorch checkpoints read without PyTorch, and without trusting them.

A pickle is a program that may call whatever it can name. This reader lets it name four things, the
ones that a dict of tensors needs, and gives NumPy arrays in their place: views of what is in the
file, which take no more memory than the file has bytes.
"""

import math
import os
import struct
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from .._files import open_regular
from ._pickle import read_pickle, take

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001
DTYPES = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class Storage(NamedTuple):
    """A flat run of numbers, which follows the pickles in the file."""

    key: str
    dtype: np.dtype
    size: int


class Tensor(NamedTuple):
    """A view of a storage; offset and strides in elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch_file(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Arrays of a state dict that `torch.save` wrote in its format before version 1.6.

    Parameters
    ----------
    path
        File that holds one dict of float32 or int64 tensors.

    Returns
    -------
    dict
        Name of each tensor, and its values, which are read-only.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is of another format, damaged, no regular file, claims more than it holds, or
        names any function or class besides those that a dict of tensors needs; nothing that it
        names is called.
    """
    with open_regular(path) as file:
        try:
            if _unpickle(file) != MAGIC or _unpickle(file) != PROTOCOL:
                raise ValueError("it has another header")
            if _dict(_unpickle(file)).get("little_endian") is not True:
                raise ValueError("its numbers are not little endian")
            tensors, keys = _dict(_unpickle(file)), _unpickle(file)
            if not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
                raise ValueError("it holds something else than a dict of tensors")
            if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
                raise ValueError("its storages have no names")
            wanted = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
            storages = {key: _read_storage(file, wanted[key]) for key in keys}
            return {name: _view(storages, tensor) for name, tensor in tensors.items()}
        except (ValueError, TypeError, LookupError, MemoryError, OverflowError) as error:
            raise ValueError(
                f"{path}: not a state dict in PyTorch's legacy format: {error}."
            ) from error


def _unpickle(file: BinaryIO) -> Any:
    return read_pickle(file, NAMES, _storage)


def _dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"it holds a {type(value).__name__} in place of a dict")
    return value


def _storage(identity: Any) -> Storage:
    kind, dtype, key, _, size, view = identity
    if (
        kind != "storage"
        or not isinstance(dtype, np.dtype)
        or type(key) is not str
        or view is not None
    ):
        raise ValueError("it refers to something else than storages")
    return Storage(key, dtype, _count(size))


def _rebuild(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> Tensor:
    if not isinstance(storage, Storage):
        raise ValueError("a tensor has no storage")
    return Tensor(storage, _count(offset), tuple(map(_count, shape)), tuple(map(_count, strides)))


def _count(value: Any) -> int:
    if type(value) is not int or not 0 <= value < 2**40:
        raise ValueError("a tensor has a size, a stride or an offset that is no count")
    return value


NAMES = {
    "collections.OrderedDict": lambda: {},
    "torch._utils._rebuild_tensor_v2": _rebuild,
    **{f"torch.{name}": dtype for name, dtype in DTYPES.items()},
}


def _read_storage(file: BinaryIO, storage: Storage) -> np.ndarray:
    """The next storage of the file: the number of its elements, then the elements."""
    (size,) = struct.unpack("<q", take(file, 8))
    if size != storage.size:
        raise ValueError(f"a storage has {size} elements, wanted {storage.size}")
    return np.frombuffer(take(file, size * storage.dtype.itemsize), storage.dtype, size)


def _view(storages: dict[str, np.ndarray], tensor: Tensor) -> np.ndarray:
    flat = storages[tensor.storage.key]
    reach = tensor.offset + sum(
        (n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True)
    )
    elements = math.prod(tensor.shape)
    if elements > flat.size or (elements > 0 and reach >= flat.size):
        raise ValueError("a tensor reaches beyond its storage")
    steps = tuple(step * flat.itemsize for step in tensor.strides)
    return np.lib.stride_tricks.as_strided(
        flat[tensor.offset :], tensor.shape, steps, writeable=False
    )
