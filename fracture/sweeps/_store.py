"""Finished chunks on disk: skipped when a sweep goes on, and checked before they are believed."""

import contextlib
import itertools
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import xarray as xr

from .._files import open_regular
from ._atomic import exclusive, write_atomically
from ._netcdf import DamagedFileError, read_dataset, write_dataset
from ._spec import Point, checked_name

_CHUNK, _SWEEP = "chunk", "sweep.json"
_LONGEST = 2**20  # bytes of a description of a sweep


class StoreMismatchError(ValueError):
    """The folder holds the chunks of another sweep."""


class ChunkStore(NamedTuple):
    """The folder `out/chunks/<sweep>`: a description of the sweep and a file per chunk.

    Every file says what it is, the sweep and its coordinates, and has a checksum: its name is not
    believed.
    """

    folder: Path
    provenance: Mapping[str, Any]

    def path(self, point: Point, start: int) -> Path:
        """Where the chunk of a point that starts at seed `start` is, or will be."""
        return self.folder / f"{'-'.join(f'{k}{v}' for k, v in point.items())}-seed{start}.nc"

    def write(self, point: Point, start: int, chunk: xr.Dataset) -> None:
        """Store a finished chunk, atomically, and before the first one what the sweep is."""
        self.describe()
        described = json.dumps(self._description(point, start), sort_keys=True)
        write_dataset(self.path(point, start), chunk.assign_attrs({_CHUNK: described}))

    def describe(self) -> None:
        """Write down what the sweep is, where that does not stand there yet."""
        if not (self.folder / _SWEEP).exists():
            text = json.dumps(self.provenance, indent=1, sort_keys=True)
            write_atomically(self.folder / _SWEEP, lambda path: path.write_text(text, "utf-8"))

    def read(self, point: Point, start: int) -> xr.Dataset | None:
        """A stored chunk; None where there is none, or a damaged one, which is set aside.

        Raises
        ------
        StoreMismatchError
            Where the file of that name is whole and something else.
        """
        path = self.path(point, start)
        try:
            chunk = read_dataset(path, checked=True)
        except FileNotFoundError:
            return None
        except DamagedFileError as error:
            _set_aside(path, error)
            return None
        described = json.loads(chunk.attrs.pop(_CHUNK, "{}"))
        compare(described, self._description(point, start), f"{path} belongs to another sweep")
        return chunk

    def _description(self, point: Point, start: int) -> dict[str, Any]:
        return {**self.provenance, "chunk_point": point, "chunk_start": start}


@contextlib.contextmanager
def chunk_store(out: Path, provenance: Mapping[str, Any]) -> Iterator[ChunkStore]:
    """The chunks of a sweep in `out`, for this process alone.

    Raises
    ------
    StoreMismatchError
        Where they are those of another sweep.
    BlockingIOError
        Where another process computes them.
    """
    name = checked_name(provenance["experiment"])
    folder = out / "chunks" / name
    with exclusive(folder):
        stored = _read_description(folder / _SWEEP)
        if stored is not None:
            compare(stored, provenance, f"{out} holds another {name} sweep")
        store = ChunkStore(folder, provenance)
        if any(folder.glob("*.nc*")):  # else with the first chunk: options that fail leave nothing
            store.describe()
        yield store


def _read_description(path: Path) -> dict[str, Any] | None:
    """What `sweep.json` says; None where there is none, or a damaged one, which is set aside."""
    try:
        with open_regular(path) as file:
            content = file.read(_LONGEST + 1)
        stored = json.loads(content)
        if len(content) > _LONGEST or not isinstance(stored, dict):
            raise ValueError("not a description of a sweep")
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        _set_aside(path, ValueError(f"{path} cannot be read ({type(error).__name__}: {error})."))
        return None
    return stored


def compare(stored: Mapping[str, Any], wanted: Mapping[str, Any], what: str) -> None:
    """Raise a `StoreMismatchError` unless both say the same."""
    names = sorted(stored.keys() | wanted.keys())
    changed = [name for name in names if stored.get(name) != wanted.get(name)]
    if changed:
        there, here = (
            ", ".join(f"{name} = {str(said.get(name))[:300]}" for name in changed)
            for said in (stored, wanted)
        )
        raise StoreMismatchError(
            f"{what} ({there}; now {here}): choose another folder, or go on with the same options."
        )


def _set_aside(path: Path, error: Exception) -> None:
    """Rename a damaged file, and say so."""
    names = (path.with_name(f"{path.name}.damaged{number or ''}") for number in itertools.count())
    aside = next(name for name in names if not os.path.lexists(name))
    path.rename(aside)
    warnings.warn(f"{error} It is now called {aside.name}, and made again.", stacklevel=4)
