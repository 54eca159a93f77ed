"""PyTorch checkpoints read without PyTorch, and without trusting them.

A pickle is a program that may call whatever it can name. This reader lets it name four things, the
ones that a dict of tensors needs, and builds NumPy arrays in their place.
"""

import os
import pickle
import struct
from collections import OrderedDict
from typing import Any, BinaryIO, NamedTuple

import numpy as np

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
        Name of each tensor, and its values.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file is of another format, damaged, or names any function or class besides those
        that a dict of tensors needs; nothing that it names is called.
    """
    with open(path, "rb") as file:
        try:
            if _unpickle(file) != MAGIC or _unpickle(file) != PROTOCOL:
                raise ValueError("it has another header")
            if _unpickle(file).get("little_endian") is not True:
                raise ValueError("its numbers are not little endian")
            tensors, keys = _unpickle(file), _unpickle(file)
            if not isinstance(tensors, dict) or not all(
                isinstance(tensor, Tensor) for tensor in tensors.values()
            ):
                raise ValueError("it holds something else than a dict of tensors")
            wanted = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
            storages = {key: _read_storage(file, wanted[key]) for key in keys}
            return {name: _view(storages, tensor) for name, tensor in tensors.items()}
        except (
            *(pickle.UnpicklingError, ValueError, TypeError, KeyError, IndexError, EOFError),
            *(AttributeError, MemoryError, OverflowError, struct.error),
        ) as error:
            raise ValueError(
                f"{path}: not a state dict in PyTorch's legacy format: {error}."
            ) from error


class _Unpickler(pickle.Unpickler):
    """Knows four names; everything else is refused before it is looked up."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild
        if module == "torch" and name in DTYPES:
            return DTYPES[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no dict of tensors needs")

    def persistent_load(self, pid: Any) -> Storage:
        kind, dtype, key, _, size, view = pid
        if kind != "storage" or view is not None or dtype not in DTYPES.values():
            raise pickle.UnpicklingError(f"it refers to {pid!r}")
        return Storage(key, dtype, size)


def _unpickle(file: BinaryIO) -> Any:
    return _Unpickler(file).load()


def _rebuild(storage: Storage, offset: int, shape: Any, strides: Any, *_: Any) -> Tensor:
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _read_storage(file: BinaryIO, storage: Storage) -> np.ndarray:
    """The next storage of the file: the number of its elements, then the elements."""
    (size,) = struct.unpack("<q", file.read(8))
    if size != storage.size:
        raise ValueError(f"a storage has {size} elements, wanted {storage.size}")
    data = file.read(size * storage.dtype.itemsize)
    return np.frombuffer(data, storage.dtype, size)


def _view(storages: dict[str, np.ndarray], tensor: Tensor) -> np.ndarray:
    flat = storages[tensor.storage.key]
    reach = tensor.offset + sum(
        (n - 1) * step for n, step in zip(tensor.shape, tensor.strides, strict=True)
    )
    if tensor.offset < 0 or min((0, *tensor.strides)) < 0 or min((1, *tensor.shape)) < 0:
        raise ValueError("a tensor has a negative size")
    if 0 not in tensor.shape and reach >= flat.size:
        raise ValueError("a tensor reaches beyond its storage")
    steps = tuple(step * flat.itemsize for step in tensor.strides)
    view = np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.shape, steps)
    return view.copy()
