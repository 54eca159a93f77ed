"""Finished chunks on disk: skipped when a sweep goes on, and checked before they are believed."""

import contextlib
import itertools
import json
import os
import secrets
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import xarray as xr

from .._files import open_regular
from ._atomic import exclusive, write_atomically
from ._netcdf import DamagedFileError, read_dataset, write_dataset
from ._notes import COMPUTING, FAILED, HOLDER, NOTES, computing, read_note, remove_notes, write_note
from ._spec import Point, checked_name

_CHUNK, SWEEP = "chunk", "sweep.json"
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
    token: str = ""  # of the process that holds the folder

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
        if not (self.folder / SWEEP).exists():
            text = json.dumps(self.provenance, indent=1, sort_keys=True)
            write_atomically(self.folder / SWEEP, lambda path: path.write_text(text, "utf-8"))

    def read(self, point: Point, start: int) -> xr.Dataset | None:
        """A stored chunk; None where there is none, or a damaged one, which is set aside.

        Raises
        ------
        StoreMismatchError
            Where the file of that name is whole and something else.
        """
        try:
            return self.checked(point, start)
        except FileNotFoundError:
            return None
        except DamagedFileError as error:
            _set_aside(self.path(point, start), error)
            return None

    def checked(self, point: Point, start: int) -> xr.Dataset:
        """A stored chunk, or an error that says why there is none."""
        path = self.path(point, start)
        chunk = read_dataset(path, checked=True)
        described = _told(chunk.attrs.pop(_CHUNK, "{}"))
        compare(described, self._description(point, start), f"{path} belongs to another sweep")
        return chunk

    def computing(self, point: Point, start: int) -> contextlib.AbstractContextManager[None]:
        """A note, for as long as a chunk is computed, and one of its failure."""
        return computing(self.folder, self.path(point, start).stem)

    def is_seen(self) -> bool:
        """Whether the folder that another process holds is here too, and may be written."""
        return self.holder() == self.token and os.access(self.folder, os.W_OK)

    def holder(self) -> str:
        """The token of the process that holds the folder, as its note says; empty without one."""
        return read_note(self.folder / NOTES / HOLDER).get("token", "")

    def _description(self, point: Point, start: int) -> dict[str, Any]:
        return {**self.provenance, "chunk_point": point, "chunk_start": start}


@contextlib.contextmanager
def chunk_store(
    out: Path, provenance: Mapping[str, Any], *, process: int = 0
) -> Iterator[ChunkStore]:
    """The chunks of a sweep in `out`, for this process alone, or each of several by its number.

    Raises
    ------
    StoreMismatchError
        Where they are those of another sweep.
    BlockingIOError
        Where another process computes them.
    """
    name = checked_name(provenance["experiment"])
    folder = out / "chunks" / name
    with exclusive(folder, process=process):
        stored = None
        with contextlib.suppress(FileNotFoundError):
            try:
                stored = read_description(folder / SWEEP)
            except ValueError as error:
                _set_aside(folder / SWEEP, error)
        if stored is not None:
            compare(stored, provenance, f"{out} holds another {name} sweep")
        store = ChunkStore(folder, provenance, secrets.token_hex(8))
        if any(folder.glob("*.nc*")):  # else with the first chunk: options that fail leave nothing
            store.describe()
        if process:
            yield store
            return
        remove_notes(folder, HOLDER, COMPUTING, FAILED)  # of processes that are no more
        write_note(folder / NOTES / HOLDER, token=store.token)
        try:
            yield store
        finally:
            remove_notes(folder, HOLDER)


def read_description(path: Path) -> dict[str, Any]:
    """What `sweep.json` says.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is damaged; the error names it.
    """
    try:
        with open_regular(path) as file:
            content = file.read(_LONGEST + 1)
        stored = json.loads(content)
        if len(content) > _LONGEST or not isinstance(stored, dict):
            raise ValueError("not a description of a sweep")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read ({type(error).__name__}: {error}).") from error
    return stored


def _told(text: Any) -> dict[str, Any]:
    """What a chunk says of itself; nothing, where it is none of ours."""
    with contextlib.suppress(ValueError, TypeError, RecursionError):
        if isinstance(told := json.loads(text), dict):
            return told
    return {}


def compare(stored: Mapping[str, Any], wanted: Mapping[str, Any], what: str) -> None:
    """Raise a `StoreMismatchError` unless both say the same."""
    if said := differences(stored, wanted):
        raise StoreMismatchError(
            f"{what} ({said}): choose another folder, or go on with the same options."
        )


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """What two descriptions do not say alike; empty where they do."""
    names = sorted(there.keys() | here.keys())
    changed = [name for name in names if there.get(name) != here.get(name)]
    one, other = (
        ", ".join(f"{name} = {str(said.get(name))[:300]}" for name in changed)
        for said in (there, here)
    )
    return f"{one}; now {other}" if changed else ""


def _set_aside(path: Path, error: Exception) -> None:
    """Rename a damaged file, and say so."""
    names = (path.with_name(f"{path.name}.damaged{number or ''}") for number in itertools.count())
    aside = next(name for name in names if not os.path.lexists(name))
    try:
        path.rename(aside)
    except FileNotFoundError:  # another process, of those that share the folder, was first
        return
    warnings.warn(f"{error} It is now called {aside.name}, and made again.", stacklevel=4)
