"""Labelled arrays as netCDF-4 files that are checked before they are believed."""

import errno
import hashlib
import io
import json
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import xarray as xr
from xarray.backends import H5NetCDFStore

from .._files import check_expansion, open_regular, printable
from ._atomic import write_atomically

CHECKSUM = "checksum"
_MOST_STRINGS = 1000  # of one attribute
_NO_VARIABLE = b"This is a netCDF dimension but not a netCDF variable"


class DamagedFileError(ValueError):
    """A file that cannot be read, or does not hold what was written."""


def write_dataset(path: Path, dataset: xr.Dataset) -> None:
    """One netCDF-4 file, atomically, with a checksum of its contents as an attribute."""
    dataset = _cleaned(dataset)
    dataset = dataset.assign_attrs({CHECKSUM: checksum(dataset)})
    # Not by HDF5 itself: on a full disk, it reports no error, or not as one, and crashes later.
    memory = io.BytesIO()
    store = H5NetCDFStore.open(memory, mode="w", lock=False)  # in Dask's workers, none would do
    dataset.dump_to_store(store)
    store.close()
    contents = memory.getvalue()  # a view would outlive the memory where writing fails
    write_atomically(path, lambda name: name.write_bytes(contents))


def read_dataset(path: Path, *, checked: bool = False) -> xr.Dataset:
    """The whole file in memory, checked against its checksum.

    Nothing is read from elsewhere, whatever the file refers to; characters that would steer a
    terminal are replaced.

    Parameters
    ----------
    path
        A netCDF-4 file.
    checked
        Whether a file without a checksum is refused: one that `write_dataset` did not write.

    Raises
    ------
    OSError
        If there is no such file, or it cannot be read now: locked, or too large for the memory.
    DamagedFileError
        A `ValueError` that names the file, if it is none of ours, or damaged.
    """
    try:
        open_regular(path).close()
        _inspect(path)
        dataset = _cleaned(xr.load_dataset(path, engine="h5netcdf"))
    except MemoryError as error:
        raise OSError(errno.ENOMEM, "not enough memory to read", str(path)) from error
    except Exception as error:  # a damaged file makes its readers raise anything
        if isinstance(error, OSError) and error.errno is not None:
            # No file, or locked, or unreadable for now: no fault of what it holds.
            raise OSError(error.errno, os.strerror(error.errno), str(path)) from error
        raise DamagedFileError(
            f"{path} cannot be read as netCDF-4 ({type(error).__name__}: {error})."
        ) from error
    stored = dataset.attrs.pop(CHECKSUM, None)
    if stored is None and checked:
        raise DamagedFileError(f"{path} has no checksum.")
    if stored is not None and stored != checksum(dataset):
        raise DamagedFileError(
            f"{path} does not hold what was written: its checksum is another. (Delete the "
            f"attribute {CHECKSUM!r} of a file that you changed.)"
        )
    return dataset


def checksum(dataset: xr.Dataset) -> str:
    """Digest of names, dimensions, types, values and attributes; the same when read back."""
    digest = hashlib.blake2b(digest_size=16)
    whole = [sorted(map(str, dataset.coords)), _plain(dataset.attrs)]
    digest.update(json.dumps(whole, sort_keys=True).encode())
    for name in sorted(dataset.variables, key=str):
        variable = dataset.variables[name]
        values = np.asarray(variable.values)
        if values.dtype.kind in "biufc":
            if values.dtype.kind in "fc":  # one NaN is as good as another
                values = np.where(np.isnan(values), np.array(np.nan, values.dtype), values)
            kind = values.dtype.newbyteorder("<")
            content = np.ascontiguousarray(values, kind).tobytes()
            described = kind.str
        else:
            content = json.dumps([str(value) for value in values.ravel()]).encode()
            described = "text"
        part = [str(name), variable.dims, variable.shape, described, _plain(variable.attrs)]
        digest.update(json.dumps(part, sort_keys=True).encode() + content)
    return digest.hexdigest()


def _plain(attributes: Any) -> dict[str, list[Any]]:
    """Attributes as lists: netCDF makes arrays of lists, and scalars of lists of one."""
    return {str(name): np.ravel(value).tolist() for name, value in attributes.items()}


def _cleaned(dataset: xr.Dataset) -> xr.Dataset:
    """The dataset with printable text only; names that are not are refused."""
    names = [*dataset.variables, *dataset.dims, *dataset.attrs]
    for variable in dataset.variables.values():
        names.extend(variable.attrs)
    for name in names:
        if str(name) != printable(str(name)):
            raise ValueError(f"the name {printable(str(name))!r} has invisible characters")
    # How a file stored numbers is no matter of the next one, in which some may be missing.
    dataset = dataset.copy().drop_encoding()
    for name, variable in dataset.variables.items():
        if variable.dtype.kind in "OSUT":
            cleaned = [printable(_text(value)) for value in np.ravel(variable.values)]
            values = np.array(cleaned, dtype=object).reshape(variable.shape)
            dataset[name] = variable.copy(data=values)
    for attributes in (dataset.attrs, *(dataset[name].attrs for name in dataset.variables)):
        for key, value in attributes.items():
            if np.asarray(value).dtype.kind in "OSUT":
                texts = [printable(_text(one)) for one in np.ravel(value)]
                attributes[key] = texts[0] if np.ndim(value) == 0 else texts
    return dataset


def _text(value: Any) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _inspect(path: Path) -> None:
    """Raise unless the file is arrays of its own, of sizes that it can have."""
    size = path.stat().st_size
    with h5py.File(path, "r") as file:
        total = _check_attributes(file)
        for name in file:
            if not isinstance(file.get(name, getlink=True), h5py.HardLink):
                raise ValueError(f"{name!r} is a link to elsewhere")
            item = file[name]
            if isinstance(item, h5py.Datatype):  # that of complex numbers, say
                continue
            if not isinstance(item, h5py.Dataset):
                raise ValueError(f"{name!r} is no array")
            if item.is_virtual or item.external:
                raise ValueError(f"the values of {name!r} are in another file")
            total += _check_attributes(item)
            if not item.attrs.get("NAME", b"").startswith(_NO_VARIABLE):
                total += _bytes(item, size)
        check_expansion(total, size)


def _check_attributes(item: Any) -> int:
    """Bytes of the attributes; `ValueError` for one that is many strings."""
    total = 0
    for name in item.attrs:
        attribute = item.attrs.get_id(name)
        count = int(np.prod(attribute.shape, dtype=object))
        if attribute.dtype.kind == "O" and count > _MOST_STRINGS:
            raise ValueError(f"its attribute {name!r} has {count:,} entries")
        total += count * attribute.dtype.itemsize
    return total


def _bytes(item: Any, most: int) -> int:
    """Bytes of an array in memory; those of strings, which may be one in the file, are counted."""
    if item.dtype.kind != "O":
        return int(np.prod(item.shape, dtype=object)) * item.dtype.itemsize
    if np.prod(item.shape, dtype=object) > most:  # every string is a reference in the file
        raise ValueError(f"{item.name!r} has more strings than it can hold")
    total = 0
    for index in np.ndindex(item.shape):
        total += len(item[index])
        if total > most:
            raise ValueError(f"{item.name!r} repeats strings")
    return total
