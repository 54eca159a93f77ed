"""Chunks that travel: submitted to any executor as plain data, and computed wherever it says.

What travels is how to make the sweep again, by name, and which of its seeds. The worker makes it,
checks that it is the caller's, keeps its compiled programs, and sends back labelled numbers; it
also stores them where it sees the caller's folder, so that they outlive the caller.
"""

import contextlib
import functools
import importlib
import importlib.util
import json
import os
import platform
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from concurrent.futures import BrokenExecutor
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple, Protocol, TypeAlias, runtime_checkable

import xarray as xr

from .._code import digest_of_files
from .._settings import settings, under
from ._chunk import Chunk, Program, compiled, finished, lower, once
from ._notes import note_failure
from ._spec import Sweep, label
from ._store import ChunkStore, differences

_TOLD = 3  # failures in an error
_KEPT = 32  # programs of a worker
_PAUSE = 0.02  # seconds between two looks at what is ready


@runtime_checkable
class Executor(Protocol):
    """What computes elsewhere: any `concurrent.futures.Executor`, and what resembles one.

    `submit(function, argument)` returns an object with `done()` and `result()`, and `cancel()`
    where it can. The function is found by its name in `fracture`; the argument is plain data.
    """

    def submit(self, function: Callable[..., Any], /, *arguments: Any) -> Any:
        """Have a function called elsewhere."""
        ...


class FailedChunksError(ChildProcessError):
    """Chunks that failed elsewhere, with their errors; all other sweeps are done."""


class Begun(NamedTuple):
    """A sweep, and what is there of it."""

    sweep: Sweep
    store: ChunkStore | None
    stored: dict[Chunk, xr.Dataset]
    missing: list[Chunk]


Say: TypeAlias = Callable[[str], None]
Computed: TypeAlias = Generator[tuple[Chunk, xr.Dataset], None, None]
Compute: TypeAlias = Callable[[Begun, Say], Computed]
"""The missing chunks of a sweep, each as soon as it is finished; calls what tells people."""


class Task(NamedTuple):
    """A chunk that another process computes: plain data."""

    sweep: str  # as `describe` says
    chunk: Chunk
    folder: str | None  # of its store here
    token: str
    attempt: int


class Answer(NamedTuple):
    """What comes back of a task."""

    result: xr.Dataset | None  # None where it failed
    stored: bool
    error: str


# Here, where the sweep is known


@contextlib.contextmanager
def elsewhere(begun: Iterable[Begun], executor: Executor) -> Iterator[Compute]:
    """Compute in an executor: the missing chunks of all sweeps are submitted at once.

    The first chunks of all points of a sweep come first, of as many as a worker keeps: while one
    worker compiles a point, the others compile others, and find it later in JAX's compilation
    cache, where they share one.
    """
    waiting: dict[str, dict[Any, Task]] = {}
    try:
        for one in begun:
            futures = waiting.setdefault(one.sweep.name, {})
            for task in _tasks(one):
                futures[_submit(executor, task)] = task
        yield lambda one, say: _answers(one, waiting[one.sweep.name], executor, say)
    finally:
        for future in (future for futures in waiting.values() for future in futures):
            if hasattr(future, "cancel"):
                future.cancel()


def _tasks(begun: Begun) -> list[Task]:
    described, store = describe(begun.sweep), begun.store
    folder = None if store is None else str(store.folder.resolve())
    token = "" if store is None else store.token
    return [Task(described, chunk, folder, token, 0) for chunk in _spread(begun.missing)]


def _spread(missing: list[Chunk]) -> list[Chunk]:
    """The first chunk of each point, then all others; of no more points than a worker keeps."""
    first = {chunk.at: chunk for chunk in reversed(missing)}
    places = {at: place for place, at in enumerate(sorted(first))}
    return sorted(missing, key=lambda chunk: (places[chunk.at] // _KEPT, chunk != first[chunk.at]))


def _submit(executor: Executor, task: Task) -> Any:
    try:
        return executor.submit(compute_chunk, task)
    except BrokenExecutor as error:
        raise ChildProcessError(
            f"the executor is broken, as a worker of it died ({error}). "
            "What was finished is stored where there is a folder for it: start again."
        ) from error


def _answers(
    begun: Begun, waiting: dict[Any, Task], executor: Executor, say: Say
) -> Generator[tuple[Chunk, xr.Dataset], None, None]:
    """The chunks of a sweep as they come; those that fail are submitted once more."""
    sweep, store = begun.sweep, begun.store
    points, failed = sweep.points(), {}
    while waiting:
        ready = [future for future in waiting if future.done()]
        if not ready:
            time.sleep(_PAUSE)  # not `wait`: what submitit and others return, it does not know
        for future in ready:
            task = waiting.pop(future)
            chunk, answer = task.chunk, _answer(future)
            point = points[chunk.at]
            if answer.result is not None:
                if store is not None and not answer.stored:
                    store.write(point, chunk.start, answer.result)
                yield chunk, answer.result
            elif task.attempt == 0:
                again = task._replace(attempt=1)
                waiting[_submit(executor, again)] = again
            else:
                failed[chunk_label(sweep, chunk)] = answer.error
                if store is not None:
                    with contextlib.suppress(OSError):  # a full disk, say: it is raised below, too
                        note_failure(
                            store.folder, store.path(point, chunk.start).stem, answer.error
                        )
            said = f"{sweep.name}, {label(point)}, elsewhere"
            say(f"{said}: {len(failed)} failed" if failed else said)
    if failed:
        raise failed_twice(sweep, failed)


def chunk_label(sweep: Sweep, chunk: Chunk) -> str:
    """A chunk for people."""
    return f"{label(sweep.points()[chunk.at])}, seeds {chunk.start} to {chunk.stop - 1}"


def failed_twice(sweep: Sweep, failed: Mapping[str, str]) -> FailedChunksError:
    """What says that chunks failed in two places, and why."""
    listed = "; ".join(f"{name}: {error}" for name, error in list(failed.items())[:_TOLD])
    more = "; …" if len(failed) > _TOLD else ""
    return FailedChunksError(
        f"{len(failed)} chunks of {sweep.name} failed twice ({listed}{more}); all others are "
        "finished, and stored where there is a folder."
    )


def _answer(future: Any) -> Answer:
    try:
        return future.result()
    except Exception as error:  # the engine's own: a worker that died, say
        return Answer(None, False, f"{type(error).__name__}: {error}")


def describe(sweep: Sweep) -> str:
    """How to make a sweep again, and what it must then be, as JSON.

    Raises
    ------
    ValueError
        Where no name is known by which other processes could import it.
    """
    name, arguments = sweep.origin or (_name(sweep), {})
    origin = [name, dict(arguments)]
    return json.dumps({"origin": origin, "settings": settings(), **_identity(sweep, name)})


def _name(sweep: Sweep) -> str:
    """Where a sweep stands in the module of its cell."""
    known = sys.modules.get(getattr(sweep.cell, "__module__", ""))
    if known is not None:
        for name, value in vars(known).items():
            if value is sweep:
                return f"{_importable(known)}:{name}"
    raise ValueError(
        f"other processes cannot make the sweep {sweep.name}: give it a name at the top of the "
        "module of its cell, or say origin=('module:name', {…}), a function that returns it."
    )


def _importable(module: ModuleType) -> str:
    """The name by which another process imports a module: for a script, that of its file."""
    if module.__name__ != "__main__":
        return module.__name__
    file = Path(getattr(module, "__file__", None) or "?")
    found = importlib.util.find_spec(file.stem) if file.exists() else None
    if found is None or found.origin is None or not file.samefile(found.origin):
        raise ValueError("a sweep that other processes shall compute must stand in a file.")
    return file.stem


def _identity(sweep: Sweep, name: str) -> dict[str, Any]:
    """What a sweep is, for comparison; also by the code of the file in which it is made."""
    found = importlib.util.find_spec(name.partition(":")[0])
    file = found and found.origin
    identity = {
        "cell": getattr(sweep.cell, "__qualname__", ""),
        "file": digest_of_files(Path(file)) if file and file.endswith(".py") else "",
        **sweep.provenance(),
    }
    return {"identity": json.loads(json.dumps(identity))}


# In a worker


def compute_chunk(task: Task) -> Answer:
    """Compute a chunk, and store it if its folder is seen; an error is an answer too."""
    try:
        described = json.loads(task.sweep)
        with under(described["settings"]):
            with _LOOKING_UP:
                sweep = _sweep(task.sweep)
                program = _program(task.sweep, task.chunk.at)
            return _finished(task, sweep, program)
    except Exception as error:  # as text: not every exception can be sent
        where = f"{platform.node()}, process {os.getpid()}"
        return Answer(None, False, f"{type(error).__name__}: {error} (on {where})")


_LOOKING_UP = threading.Lock()


@functools.lru_cache(maxsize=_KEPT)
def _sweep(described: str) -> Sweep:
    """The caller's sweep; an error says what is different here."""
    wanted = json.loads(described)
    name, arguments = wanted["origin"]
    module, _, attribute = name.partition(":")
    made = getattr(importlib.import_module(module), attribute)
    sweep = made if isinstance(made, Sweep) else made(**arguments)
    identity = _identity(sweep, name)["identity"]
    if said := differences(identity, wanted["identity"]):
        raise ValueError(f"{name} is another sweep on this worker ({said}).")
    return sweep


@functools.lru_cache(maxsize=_KEPT)
def _program(described: str, at: int) -> Callable[[], Program]:
    sweep = _sweep(described)
    return once(lambda: compiled(lower(sweep, sweep.points()[at])))


def _finished(task: Task, sweep: Sweep, program: Callable[[], Program]) -> Answer:
    """Compute a chunk; store it where the caller's folder is seen, and it is the caller's still."""
    chunk, point, here = task.chunk, sweep.points()[task.chunk.at], contextlib.nullcontext()
    store = ChunkStore(Path(task.folder or ""), sweep.provenance(), task.token)
    if task.folder is None or not store.is_seen():
        return Answer(finished(sweep, chunk, program, None, here), False, "")
    with store.computing(point, chunk.start):
        result = finished(sweep, chunk, program, None, here)
        # Whoever submitted may have ended, and another sweep have begun there.
        stored = store.is_seen()
        if stored:
            store.write(point, chunk.start, result)
    return Answer(result, stored, "")
