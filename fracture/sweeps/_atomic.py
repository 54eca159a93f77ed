"""Files that are whole whenever a process dies, and folders that one process writes to."""

import contextlib
import errno
import functools
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import filelock

PARTIAL_FOLDER, PARTIAL = ".fracture-partial", ".partial"
LOCK = ".fracture-lock"
_PATIENCE = 0.2  # seconds; whoever only looks whether a folder is held holds it for a moment
_STALE = 3600  # seconds after which an unfinished file is taken for one of a killed process
_TRIES = 100  # to make a file; each is lost only where another process is as fast
Made = TypeVar("Made")


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Call `write` on an unfinished file near `path`, flush it to disk, and rename it.

    Whenever the process dies, `path` is whole: what it was before, or what it is now. Unfinished
    files are in a folder of their own, from which those of killed processes are removed an hour
    later; nothing else is ever removed. File systems need not know hard links.

    Raises
    ------
    OSError
        Where it cannot be written, as the disk is full, say; the error names `path`.
    """
    folder = path.parent / PARTIAL_FOLDER
    with writing(path):
        unfinished = _unfinished(folder, path.name)
        try:
            write(unfinished)
            with open(unfinished, "rb") as file:
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
            _tidy(folder)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """Where a file cannot be written, the error names it, and says what to do."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        do = "make room" if full else "make it possible to write there"
        said = f"{os.strerror(error.errno)}; {do}, and start again"
        raise OSError(error.errno, said, str(path)) from error


def make_inside(folder: Path, make: Callable[[], Made]) -> Made:
    """Make a file in a folder that other processes remove whenever they find it empty."""
    for _ in range(_TRIES):
        with contextlib.suppress(FileExistsError):  # `exist_ok` looks twice: it may be gone by then
            folder.mkdir(parents=True)
        with contextlib.suppress(FileNotFoundError):
            return make()
    return make()


def _unfinished(folder: Path, name: str) -> Path:
    # Not `mkstemp`, which hides its files from others.
    path = folder / f"{name[:100]}-{secrets.token_hex(8)}{PARTIAL}"
    make_inside(folder, functools.partial(path.touch, exist_ok=False))
    return path


def _tidy(folder: Path) -> None:
    with contextlib.suppress(OSError):  # gone, or not empty: others are writing
        for path in folder.glob(f"*{PARTIAL}"):
            with contextlib.suppress(OSError):  # another process may be as tidy
                if time.time() - path.stat().st_mtime > _STALE:
                    path.unlink()
        folder.rmdir()


@contextlib.contextmanager
def exclusive(folder: Path, *, process: int = 0) -> Iterator[None]:
    """Hold the lock of a folder, made if need be.

    Parameters
    ----------
    folder
        The folder.
    process
        Number of this process among those that share the folder by agreement, as of
        `jax.process_index()`: each has a lock of its own.

    Raises
    ------
    BlockingIOError
        Where another process, or another thread, holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(folder / (f"{LOCK}-{process}" if process else LOCK))
    try:
        lock.acquire(timeout=_PATIENCE, poll_interval=_PATIENCE / 4)
    except filelock.Timeout:
        raise BlockingIOError(f"another process is writing to {folder}.") from None
    try:
        yield
    finally:
        lock.release()
