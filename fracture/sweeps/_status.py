"""What is done of the sweeps in a folder, what is being computed, and what failed."""

import collections
import fcntl
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ._atomic import LOCK
from ._chunk import chunks
from ._netcdf import DamagedFileError, read_dataset
from ._notes import COMPUTING, FAILED, HOLDER, NOTES, read_note
from ._spec import Point, Sweep
from ._store import SWEEP, ChunkStore, StoreMismatchError, read_description

_MOST = 10**6  # chunks of a sweep


class Status(NamedTuple):
    """How far a sweep is.

    Attributes
    ----------
    name
        Of the sweep.
    holder
        Who is at it, and since when; empty where no process is.
    counts
        How many chunks are `done`, `computing`, `failed`, `damaged`, `foreign` or `missing`.
    remarks
        What is to be said of single files: name, state, and who computes it, or why it is so.
    """

    name: str
    holder: str
    counts: Mapping[str, int]
    remarks: list[tuple[str, str, str]]


def status(out: Path) -> list[Status]:
    """How far the sweeps in a folder are; nothing is changed, whatever is found.

    Every stored chunk is read: it is done where it is whole, and of the sweep. One that is damaged
    is set aside and computed again when the sweep goes on.
    """
    return [_status(folder) for folder in sorted((out / "chunks").glob("*")) if folder.is_dir()]


def _status(folder: Path) -> Status:
    held, remarks, expected, provenance = _is_held(folder), [], {}, None
    try:
        provenance = read_description(folder / SWEEP)
        expected = _expected(ChunkStore(folder, provenance))
    except FileNotFoundError:
        pass  # no chunk is finished yet
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        remarks.append((SWEEP, "damaged", f"{type(error).__name__}: {error}"))
    notes = [path.stem for path in (folder / NOTES).glob("*") if path.name != HOLDER]
    there = [path.stem for path in folder.glob("*.nc")]
    counts: collections.Counter[str] = collections.Counter()
    for name in [*expected, *sorted({*notes, *there} - expected.keys())]:
        state, why = "missing", ""
        if name in there:
            state, why = _stored(folder, name, expected, provenance)
        elif (folder / NOTES / f"{name}{COMPUTING}").exists():
            who = _who(read_note(folder / NOTES / f"{name}{COMPUTING}"))
            state, why = ("computing", who) if held else ("missing", f"interrupted: {who}")
        elif failed := read_note(folder / NOTES / f"{name}{FAILED}"):
            state, why = "failed", f"{failed.get('error')} ({_who(failed)})"
        counts[state] += 1
        if why:
            remarks.append((name, state, why))
    holder = _who(read_note(folder / NOTES / HOLDER)) if held else ""
    return Status(folder.name, holder, counts, remarks)


def _is_held(folder: Path) -> bool:
    """Whether a process holds the lock of a folder."""
    try:
        with open(folder / LOCK, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def _expected(store: ChunkStore) -> dict[str, tuple[Point, int]]:
    """Point and first seed of every chunk, by name; none for what is no grid, as photographs."""
    said = store.provenance
    if "grid" not in said:
        return {}
    axes = json.loads(said["grid"])
    sweep = Sweep(said["experiment"], _nothing, axes, said["seeds"], said["chunks"], {})
    count = math.prod(map(len, sweep.axes.values()))
    if count > _MOST or count * max(said["seeds"]) > _MOST * min(said["chunks"]):
        raise ValueError("more chunks than any sweep has")
    points = sweep.points()
    return {
        store.path(points[at], start).stem: (points[at], start) for at, start, _ in chunks(sweep)
    }


def _nothing(key: Any, shared: Any, **point: Any) -> Any:
    """No cell: the numbers are there, or they are not."""


def _stored(
    folder: Path,
    name: str,
    expected: Mapping[str, tuple[Point, int]],
    provenance: Mapping[str, Any] | None,
) -> tuple[str, str]:
    """The state of a chunk of which there is a file, and why."""
    try:
        if name in expected and provenance is not None:
            ChunkStore(folder, provenance).checked(*expected[name])
        else:
            read_dataset(folder / f"{name}.nc", checked=True)
            if expected:
                return "foreign", "no chunk of this sweep has this name"
    except DamagedFileError as error:
        return "damaged", str(error)
    except (StoreMismatchError, OSError) as error:
        return "foreign", str(error)
    return "done", ""


def _who(note: Mapping[str, str]) -> str:
    if not note:
        return "by an unreadable note"
    return "{host}, process {pid}, since {since}".format_map(collections.defaultdict(str, note))
