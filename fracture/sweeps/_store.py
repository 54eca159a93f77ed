"""Finished chunks on disk: written atomically, skipped when a sweep goes on."""

import contextlib
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import xarray as xr


class StoreMismatchError(ValueError):
    """The folder holds the chunks of another sweep."""


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` on a temporary file beside `path`, flush it to disk, and rename it.

    Whenever the process dies, `path` is whole: what it was before, or what it is now.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    try:
        write(Path(name))
        with open(name, "rb") as file:
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(name, 0o666 & ~umask)  # mkstemp hides its files from others
        os.replace(name, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(name)
        raise


def write_dataset(path: Path, dataset: xr.Dataset) -> None:
    """One netCDF-4 file, atomically."""
    write_atomically(path, lambda name: dataset.to_netcdf(name, engine="h5netcdf"))


def read_dataset(path: Path) -> xr.Dataset:
    """The whole file in memory; a file that is not one of ours is named in the error."""
    try:
        return xr.load_dataset(path, engine="h5netcdf")
    except OSError as error:
        raise ValueError(f"{path} cannot be read as netCDF-4 ({error}); delete it.") from error


class ChunkStore:
    """The folder `out/chunks/<sweep>`: a description of the sweep and a file per chunk."""

    def __init__(self, out: Path, provenance: dict[str, Any]):
        self._folder = out / "chunks" / provenance["experiment"]
        for stale in self._folder.glob(".*"):  # left by a process that was killed
            stale.unlink()
        description = self._folder / "sweep.json"
        if description.exists():
            stored = json.loads(description.read_text())
            changed = sorted(
                name
                for name in stored.keys() | provenance.keys()
                if stored.get(name) != provenance.get(name)
            )
            if changed:
                there = ", ".join(f"{name} = {stored.get(name)}" for name in changed)
                here = ", ".join(f"{name} = {provenance.get(name)}" for name in changed)
                raise StoreMismatchError(
                    f"{out} holds another {provenance['experiment']} sweep ({there}; now {here}): "
                    "choose another folder, or go on with the same options."
                )
        else:
            text = json.dumps(provenance, indent=1, sort_keys=True)
            write_atomically(description, lambda name: name.write_text(text))

    def path(self, dim: int, start: int) -> Path:
        """Where the chunk of `dim` that starts at seed `start` is, or will be."""
        return self._folder / f"dim{dim}-seed{start}.nc"
