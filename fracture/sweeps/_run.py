"""Run sweeps: read the chunks that are there, compute the missing ones, put all together."""

import collections
import contextlib
import functools
import itertools
import os
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr

from .._settings import settings, under
from ..vocabulary import axis_quantity
from ._chunk import (
    TIMINGS,
    Chunk,
    Program,
    chunks,
    compiled,
    finished,
    lower,
    once,
)
from ._executor import (
    Begun,
    Compute,
    Computed,
    Executor,
    FailedChunksError,
    Say,
    chunk_label,
    elsewhere,
    failed_twice,
)
from ._group import next_run, tell, told
from ._netcdf import DamagedFileError, write_dataset
from ._progress import Progress, watching
from ._spec import Sweep, label
from ._store import ChunkStore, chunk_store

_CORES = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
_COMPILING = max(2, min(8, _CORES // 2))  # points at once, a core each
_AHEAD = 3 * _COMPILING  # points that are traced, and compile, before the one that is waited for
_NOT_BEGUN = "it could not begin, its own error says why"  # of a sweep, in one process of several
_PATIENCE = 60  # seconds after which a network's file system shows what another machine wrote


def run(
    sweep: Sweep,
    *,
    out: Path | None = None,
    progress: Progress | bool | None = None,
    executor: Executor | None = None,
) -> xr.Dataset:
    """Compute every cell of a sweep, or what is missing of it.

    Parameters
    ----------
    sweep
        The axes and the cell function.
    out
        Folder in which finished chunks are kept, written atomically; a chunk that is there
        already is read instead of computed. One that is damaged is renamed, with a warning, and
        computed again. The whole result is left there as `NAME.nc`, which `read_dataset` reads and
        `fracture report` shows. Nothing is written where it is None.
    progress
        Called before and after every chunk; True for a bar, `progress_bar`.
    executor
        What computes the missing chunks, in other processes or on other machines: any
        `concurrent.futures.Executor` of processes, such as Dask's or MPI's, or whatever has its
        `submit`. Numbers have the same bits as without. A chunk is submitted as plain data, so the
        workers must be able to import the sweep, as `Sweep.origin` says; they must have as many
        devices as there are here, and the same versions. None for this process.

    Returns
    -------
    Dataset with the axes, `seed` and the dimensions of the variables, padded with NaN where a point
    has fewer seeds; the attribute `axes` names the axes. Truth values that are padded are numbers,
    of which the attribute `flag_meanings` tells. `compile_seconds` and `run_seconds`, over
    the axes, are coordinates: what this result took when it was computed, and no part of what must
    be equal between runs.

    Raises
    ------
    StoreMismatchError
        Where `out` holds chunks of a sweep with other axes, options or versions.
    BlockingIOError
        Where another process runs this sweep in `out`.
    FailedChunksError
        Where chunks failed twice, in an executor or in two of several processes, when all others
        are finished; or where one of several processes could not begin, or ended early.
    ValueError
        Where an executor is given, and other processes could not import the sweep.

    Notes
    -----
    The cells of a chunk are spread over all devices by `shard_map` without collectives, so that no
    device waits for another before its lanes have ended.

    Examples
    --------
    The length of a Gaussian vector in d dimensions is about √d:

    >>> from typing import NamedTuple
    >>> import jax
    >>> from jaxtyping import Array, Float
    >>> from fracture.norms import norm
    >>> from fracture.sweeps import Sweep, run
    >>> from fracture.vocabulary import variables
    >>> class Cell(NamedTuple):
    ...     radius: Float[Array, ""]
    >>> def cell(key, shared, *, dim):
    ...     return Cell(norm(jax.random.normal(key, (dim,))))
    >>> sweep = Sweep("lengths", cell, {"dim": (4, 64)}, 100, 100, variables(Cell))
    >>> dataset = run(sweep)
    >>> print(dict(dataset.sizes), dataset["radius"].attrs["symbol"])
    {'dim': 2, 'seed': 100} r_nn
    """
    with watching(progress) as watch:
        (dataset,) = run_each([sweep], out=out, progress=watch, executor=executor)
    if out is not None:
        write_dataset(out / f"{sweep.name}.nc", dataset)
    return dataset


def run_each(
    sweeps: Iterable[Sweep],
    *,
    out: Path | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Generator[xr.Dataset, None, None]:
    """`run` several sweeps one after the other: while one computes, the next ones compile.

    Parameters
    ----------
    sweeps
        Each has a name of its own.
    out
        As of `run`.
    progress
        Called before and after every chunk.
    executor
        As of `run`; the chunks of all sweeps are submitted at once.

    Yields
    ------
    Dataset of each sweep, as soon as it is complete; whole ones are the caller's to store.

    Raises
    ------
    StoreMismatchError, BlockingIOError
        As `run`, once the sweeps before are complete.
    FailedChunksError
        As `run`, once all other sweeps are complete; what failed is not among what is yielded.

    Notes
    -----
    The folders of the sweeps stay locked until the last one is complete or the generator is closed.
    """
    with contextlib.ExitStack() as held:
        known = tuple(sweeps)

        @functools.cache
        def tried(number: int) -> Begun | Exception:
            try:
                return _begin(known[number], out, held)
            except Exception as error:
                return error  # it is raised when its turn has come

        def begin(number: int) -> Begun:
            one = tried(number)
            if isinstance(one, Exception):
                raise one
            return one

        def begun() -> Iterator[Begun]:
            for one in map(tried, range(len(known))):
                if isinstance(one, Exception):
                    return
                yield one

        if executor is not None:
            start = elsewhere(begun(), executor)
        elif jax.process_count() > 1:
            start = _together(known, begun(), progress)
        else:
            start = _here(begun())
        failures = []
        with start as compute:  # which ends before the folders are given up
            for number, sweep in enumerate(known):
                try:
                    parts = _parts(begin(number), compute, progress)
                except FailedChunksError as error:
                    failures.append(error)  # the others go on
                else:
                    yield _joined(sweep, parts)
        if failures:
            raise FailedChunksError(" ".join(map(str, failures))) from failures[0]


def _begin(sweep: Sweep, out: Path | None, held: contextlib.ExitStack) -> Begun:
    """Read what is there of a sweep; its store stays open as long as the others."""
    if out is None and jax.process_count() > 1:
        raise ValueError("several processes need a folder that all of them see: give out.")
    store = None
    if out is not None:
        opened = chunk_store(out, sweep.provenance(), process=jax.process_index())
        store = held.enter_context(opened)
    points, stored, missing = sweep.points(), {}, []
    for chunk in chunks(sweep):
        found = None if store is None else store.read(points[chunk.at], chunk.start)
        if found is None:
            missing.append(chunk)
        else:
            stored[chunk] = found
    return Begun(sweep, store, stored, missing)


def _parts(begun: Begun, compute: Compute, progress: Progress | None) -> list[list[xr.Dataset]]:
    """The chunks of every point, read or computed."""
    parts = _computed(begun, compute, progress)
    by_point = itertools.groupby(chunks(begun.sweep), key=lambda chunk: chunk.at)
    return [[parts[chunk] for chunk in group] for _, group in by_point]


def _computed(begun: Begun, compute: Compute, progress: Progress | None) -> dict[Chunk, xr.Dataset]:
    """The chunks that are there, and those that were missing."""
    sweep, parts = begun.sweep, dict(begun.stored)
    total = sum(sweep.size(point)[0] for point in sweep.points())
    done = sum(chunk.stop - chunk.start for chunk in parts)

    def say(what: str) -> None:
        if progress is not None:
            progress(what, done, total)

    with contextlib.closing(compute(begun, say)) as computed:
        for chunk, result in computed:
            parts[chunk] = result
            done += chunk.stop - chunk.start
    say(sweep.name)
    return parts


class Started(NamedTuple):
    """A point whose program compiles, and then computes its missing chunks."""

    program: Future[Program]
    results: list[Future[xr.Dataset]]


@contextlib.contextmanager
def _here(begun: Iterable[Begun]) -> Iterator[Compute]:
    """Compute in this process, in a thread of its own: all else is done meanwhile.

    The next points are traced in the caller's thread, where its settings hold, which JAX keeps for
    each thread; they compile in others, which takes a core each, and of a GPU the moments in which
    its compiler tries kernels. Chunks are computed one after the other, and written while the next
    one is computed.
    """
    compiling, computing = ThreadPoolExecutor(_COMPILING), ThreadPoolExecutor(2)

    def check() -> None:
        """Cancel a chunk that nobody waits for: what is queued runs even while Python exits."""
        try:
            compiling.submit(int)  # refused once the sweep was left, and once Python exits
        except RuntimeError as error:
            raise CancelledError("nobody waits for this chunk any more") from error

    starting = _starting(begun, compiling, computing, check)
    started: collections.deque[Started] = collections.deque()

    def start_next() -> bool:
        """Trace one point more, unless enough are; what comes of it is told in its turn."""
        new = next(starting, None) if len(started) < _AHEAD else None
        started.extend([new] if new else [])
        return new is not None

    def awaited(future: Future[Any]) -> Any:
        while not future.done() and start_next():
            pass
        return future.result()

    def compute(begun: Begun, say: Say) -> Computed:
        points = begun.sweep.points()
        for at, missing in itertools.groupby(begun.missing, key=lambda chunk: chunk.at):
            if not started:
                start_next()
            point, said = started.popleft(), f"{begun.sweep.name}, {label(points[at])}"
            if not point.program.done():
                say(f"{said}: compiling")
            awaited(point.program)
            for chunk, result in zip(missing, point.results, strict=True):
                say(said)
                yield chunk, awaited(result)

    try:
        yield compute
    finally:
        compiling.shutdown(wait=False, cancel_futures=True)
        computing.shutdown(cancel_futures=True)  # of what computes, the folder is still held


def _starting(
    begun: Iterable[Begun],
    compiling: ThreadPoolExecutor,
    computing: ThreadPoolExecutor,
    check: Callable[[], None],
) -> Iterator[Started]:
    """Start every point of which chunks are missing, in their order; `check` before each chunk.

    What cannot be traced raises in its turn, not in that of others.
    """
    devices = threading.Lock()  # all of them work on one chunk, whose seconds are its own
    here = settings()

    def finish(one: Begun, program: Callable[[], Program], chunk: Chunk) -> xr.Dataset:
        def asked_for() -> Program:
            check()
            made = program()
            check()
            return made

        with under(here):
            return finished(one.sweep, chunk, asked_for, one.store, devices)

    for one in begun:
        points = one.sweep.points()
        for at, missing in itertools.groupby(one.missing, key=lambda chunk: chunk.at):
            try:
                program = compiling.submit(compiled, lower(one.sweep, points[at]))
            except Exception as error:
                failed: Future[Program] = Future()
                failed.set_exception(error)
                yield Started(failed, [])
                return
            made = once(program.result)
            results = [computing.submit(finish, one, made, chunk) for chunk in missing]
            yield Started(program, results)


class _Shared(NamedTuple):
    """What this process computed of a run that it shares with others, and why it could not."""

    group: str  # the run, by the name that all of them know
    done: dict[tuple[str, Chunk], xr.Dataset]  # by sweep and chunk
    causes: dict[tuple[str, Chunk], Exception]


@contextlib.contextmanager
def _together(
    sweeps: Sequence[Sweep], begun: Iterable[Begun], progress: Progress | None
) -> Iterator[Compute]:
    """Compute each P-th chunk in this process, one of P under `jax.distributed`; await others.

    The others' chunks are those that appear in the folder. Whoever cannot compute one tells the
    others, and goes on; the process that follows it tries once more. Of a sweep that one of them
    cannot begin nothing is awaited.
    """
    shared, mine = _Shared(next_run(), {}, {}), []
    count = itertools.count(-jax.process_index())
    for one in begun:
        turns = {chunk: next(count) % jax.process_count() for chunk in chunks(one.sweep)}
        mine.append(one._replace(missing=[c for c in one.missing if turns[c] == 0]))
        if jax.process_index() == 0:
            tell(f"{shared.group}/{one.sweep.name}/holder", _held(one).token)
    for sweep in sweeps[len(mine) :]:
        tell(f"{shared.group}/{sweep.name}/failed", _NOT_BEGUN)
    left = {one.sweep.name for one in mine}

    def compute(begun: Begun, say: Say) -> Computed:
        sweep, failed, cause = begun.sweep, {}, None
        say(f"{sweep.name}, by all processes")
        for chunk in begun.missing:
            place = sweep.name, chunk
            why = "" if place in shared.done else _awaited(begun, chunk, shared)
            if why:
                failed[chunk_label(sweep, chunk)] = why
                cause = cause or shared.causes.get(place)
            else:
                yield chunk, shared.done.pop(place)
        left.remove(sweep.name)
        if failed:
            raise failed_twice(sweep, failed) from cause

    try:
        _share(mine, shared, progress)
        yield compute
    except (Exception, GeneratorExit):
        for name in left:  # of whoever stops early, nothing is to be awaited
            tell(f"{shared.group}/{name}/failed", "it ended before the others")
        raise


def _share(mine: Iterable[Begun], shared: _Shared, progress: Progress | None = None) -> None:
    """Compute the chunks of this process; tell the others which of them it could not."""
    left = collections.deque(mine)
    while left:
        with _here(tuple(left)) as here:  # what compiles ahead of a chunk that fails is lost
            compute = partial(_until_one_fails, here, shared)
            rest: list[Chunk] = []
            while left and not rest:
                one = left.popleft()
                parts = _computed(one, compute, progress)
                rest = [chunk for chunk in one.missing if chunk not in parts]
        if rest[1:]:
            left.appendleft(one._replace(stored=parts, missing=rest[1:]))


def _until_one_fails(here: Compute, shared: _Shared, begun: Begun, say: Say) -> Computed:
    """Compute chunk after chunk; the others are told of the one that ends it."""
    name, points = begun.sweep.name, begun.sweep.points()
    with contextlib.closing(here(begun, lambda _: None)) as computed:
        for chunk in begun.missing:
            say(f"{name}, {label(points[chunk.at])}")  # whose own errors are none of a chunk
            try:
                _, shared.done[name, chunk] = next(computed)
            except Exception as error:
                shared.causes[name, chunk] = error
                tell(_about(shared, name, chunk), f"{type(error).__name__}: {error}"[:1000])
                return
            yield chunk, shared.done[name, chunk]


def _about(shared: _Shared, name: str, chunk: Chunk) -> str:
    """Where it is told that a chunk failed."""
    return f"{shared.group}/{name}/{chunk.at}-{chunk.start}"


def _awaited(begun: Begun, chunk: Chunk, shared: _Shared) -> str:
    """Wait until a chunk that another process computes is done; why it failed, where it did.

    Computed here, where the process before this one could not.
    """
    store, point, name = _held(begun), begun.sweep.points()[chunk.at], begun.sweep.name
    before = (jax.process_index() - 1) % jax.process_count()
    well, pause = time.monotonic(), 0.05
    while (name, chunk) not in shared.done:
        wrong = ""
        try:
            shared.done[name, chunk] = store.checked(point, chunk.start)
            break
        except FileNotFoundError:
            pass
        except DamagedFileError as error:
            wrong = str(error)
        failed = told(_about(shared, name, chunk))
        if len(failed) > 1:
            return _who(failed)
        if before in failed:
            _share([begun._replace(missing=[chunk])], shared)
            continue
        if gone := told(f"{shared.group}/{name}/failed"):
            raise FailedChunksError(
                f"chunks of {name} failed ({_who(failed | gone)}); what was finished is stored."
            ) from shared.causes.get((name, chunk))
        holders = told(f"{shared.group}/{name}/holder").values()
        if not wrong and holders and store.holder() not in holders:
            wrong = (
                f"{store.folder} is not the folder of process 0, or that one has ended; "
                "several processes need a folder that all of them see"
            )
        well = well if wrong else time.monotonic()
        if time.monotonic() - well > _PATIENCE:
            tell(f"{shared.group}/{name}/failed", wrong)
        time.sleep(pause)
        pause = min(1.2 * pause, 2.0)
    return ""


def _who(failed: dict[int, str]) -> str:
    """Which processes failed, and why."""
    return ", ".join(f"process {number}: {why}" for number, why in sorted(failed.items()))


def _held(begun: Begun) -> ChunkStore:
    """The store of a sweep that several processes share: without one, none has begun."""
    assert begun.store is not None
    return begun.store


def _joined(sweep: Sweep, parts: list[list[xr.Dataset]]) -> xr.Dataset:
    """All points of a sweep in one dataset, which says what it is."""
    joined = [_join(point) for point in parts]
    truths = {name for name in sweep.variables if joined[0][name].dtype == bool}
    for axis, values in reversed(list(sweep.axes.items())):
        starts = range(0, len(joined), len(values))
        joined = [xr.concat(joined[at : at + len(values)], axis, join="outer") for at in starts]
    (dataset,) = joined
    dataset = dataset.transpose(*sweep.axes, "seed", ...)
    for name in (*sweep.axes, "seed", *TIMINGS):
        dataset[name].attrs = axis_quantity(name).attrs()
    for name, variable in sweep.variables.items():  # as they are called today
        dataset[name].attrs = variable.quantity.attrs()
        if name in truths and dataset[name].dtype != bool:  # numbers, as some are missing
            dataset[name].attrs |= {"flag_meanings": "false true"}
    # Lists as arrays: what netCDF gives back, so that a stored result is the same in every way.
    attrs = sweep.provenance().items()
    dataset.attrs = {key: np.array(v) if isinstance(v, list) else v for key, v in attrs}
    return dataset


def _join(parts: list[xr.Dataset]) -> xr.Dataset:
    """All seeds of one point; the timings of its chunks add up and become coordinates."""
    part = xr.concat([chunk.drop_vars(TIMINGS) for chunk in parts], "seed")
    return part.assign_coords({name: sum(chunk[name] for chunk in parts) for name in TIMINGS})
