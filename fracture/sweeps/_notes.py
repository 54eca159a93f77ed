"""Notes beside stored chunks, for people: who computes which of them, and which failed."""

import contextlib
import json
import os
import platform
from collections.abc import Iterator
from concurrent.futures import CancelledError
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .._files import open_regular, printable
from ._atomic import make_inside, writing

NOTES = ".fracture-notes"
HOLDER, COMPUTING, FAILED = "sweep.holder", ".computing", ".failed"
_LONGEST = 2**16  # bytes


def write_note(path: Path, **said: Any) -> None:
    """Who says something, when, and what; a reader may find half of it."""
    who = {"host": platform.node(), "pid": os.getpid()}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    text = json.dumps({**who, "since": now, **said})
    with writing(path):
        make_inside(path.parent, lambda: path.write_text(text, "utf-8"))


def read_note(path: Path) -> dict[str, str]:
    """What a note says, printable; empty where there is none, or none that can be read."""
    with contextlib.suppress(OSError, ValueError, RecursionError), open_regular(path) as file:
        said = json.loads(file.read(_LONGEST))
        if isinstance(said, dict):
            return {str(name): printable(str(value)) for name, value in said.items()}
    return {}


def remove_notes(folder: Path, *kinds: str) -> None:
    """Remove the notes of some kinds in the folder of a sweep."""
    for kind in kinds:
        with contextlib.suppress(FileNotFoundError):  # another process removed the empty folder
            for path in (folder / NOTES).glob(f"*{kind}"):
                path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty, or not there
        (folder / NOTES).rmdir()


@contextlib.contextmanager
def computing(folder: Path, name: str) -> Iterator[None]:
    """Note that a chunk is being computed, and afterwards that it failed, if it did."""
    path = folder / NOTES / f"{name}{COMPUTING}"
    write_note(path)
    try:
        yield
    except CancelledError:  # nobody waits for it any more
        raise
    except Exception as error:
        with contextlib.suppress(OSError):  # of a full disk, say: `error` is what is to be told
            note_failure(folder, name, f"{type(error).__name__}: {error}")
        raise
    else:
        path.with_suffix(FAILED).unlink(missing_ok=True)  # of an earlier try
    finally:
        path.unlink(missing_ok=True)


def note_failure(folder: Path, name: str, error: str) -> None:
    """Note that a chunk failed."""
    write_note(folder / NOTES / f"{name}{FAILED}", error=error[:1000])
