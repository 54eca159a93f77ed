"""Run a sweep: `jit(shard_map(vmap(cell)))` for each point, chunk after chunk."""

import collections
import contextlib
import functools
import os
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np
import xarray as xr
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ..vocabulary import axis_quantity
from ._netcdf import write_dataset
from ._progress import Progress, watching
from ._spec import Point, Sweep, label
from ._store import ChunkStore, chunk_store

_TIMINGS = ["compile_seconds", "run_seconds"]


_AHEAD = 6  # programs that are traced, and compile, before the one that runs

_Compute: TypeAlias = Callable[[int], Any]


class _Begun(NamedTuple):
    """A sweep, and what is there of it."""

    sweep: Sweep
    store: ChunkStore | None
    stored: dict[tuple[int, int], xr.Dataset]  # by number of the point and first seed
    missing: list[int]  # points of which a chunk is


def run(
    sweep: Sweep, *, out: Path | None = None, progress: Progress | bool | None = None
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
        (dataset,) = run_each([sweep], out=out, progress=watch)
    if out is not None:
        write_dataset(out / f"{sweep.name}.nc", dataset)
    return dataset


def run_each(
    sweeps: Iterable[Sweep], *, out: Path | None = None, progress: Progress | None = None
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

    Yields
    ------
    Dataset of each sweep, as soon as it is complete; whole ones are the caller's to store.

    Raises
    ------
    StoreMismatchError, BlockingIOError
        As `run`, once the sweeps before are complete.

    Notes
    -----
    The folders of the sweeps stay locked until the last one is complete or the generator is closed.
    """
    with contextlib.ExitStack() as held:
        pool = ThreadPoolExecutor(max_workers=2)
        held.callback(pool.shutdown, wait=False, cancel_futures=True)
        known = tuple(sweeps)
        begin = functools.cache(lambda number: _begin(known[number], out, held))

        def missing() -> Iterator[tuple[Sweep, int]]:
            for number, sweep in enumerate(known):
                try:
                    begun = begin(number)
                except Exception:
                    return  # it is raised again when its turn has come
                yield from ((sweep, at) for at in begun.missing)

        programs = _programs(missing(), pool)
        for number, sweep in enumerate(known):
            yield _joined(sweep, _parts(begin(number), programs, progress))


def _begin(sweep: Sweep, out: Path | None, held: contextlib.ExitStack) -> _Begun:
    """Read what is there of a sweep; its store stays open as long as the others."""
    store = None if out is None else held.enter_context(chunk_store(out, sweep.provenance()))
    points, stored, missing = sweep.points(), {}, []
    for at, start, _ in _chunks(sweep):
        chunk = None if store is None else store.read(points[at], start)
        if chunk is not None:
            stored[at, start] = chunk
        elif at not in missing:
            missing.append(at)
    return _Begun(sweep, store, stored, missing)


def _programs(
    points: Iterable[tuple[Sweep, int]], pool: ThreadPoolExecutor
) -> Iterator[Future[tuple[_Compute, float]]]:
    """The compiled call of every point, in their order; the next ones compile meanwhile.

    Traced here, where the caller's settings hold, which JAX keeps for each thread; compilation uses
    one core and needs no device. What cannot be traced raises in its turn, not in that of others.
    """
    waiting: collections.deque[Future[tuple[_Compute, float]]] = collections.deque()
    for sweep, at in points:
        try:
            waiting.append(pool.submit(_compile, _lower(sweep, sweep.points()[at])))
        except Exception as error:
            waiting.append(Future())
            waiting[-1].set_exception(error)
            break
        if len(waiting) > _AHEAD:
            yield waiting.popleft()
    yield from waiting


def _parts(
    begun: _Begun, programs: Iterator[Future[tuple[_Compute, float]]], progress: Progress | None
) -> list[list[xr.Dataset]]:
    """The chunks of every point, read or computed."""
    sweep, store, stored = begun.sweep, begun.store, begun.stored
    points, missing, done = sweep.points(), set(begun.missing), 0
    total = sum(sweep.size(point)[0] for point in points)
    parts: list[list[xr.Dataset]] = [[] for _ in points]
    compiled: dict[int, _Compute] = {}  # of one point, the current one
    for at, start, stop in _chunks(sweep):
        said = f"{sweep.name}, {label(points[at])}"
        chunk = stored.pop((at, start), None)
        first = chunk is None and at in missing
        if progress is not None:
            progress(f"{said}: compiling" if first else said, done, total)
        if chunk is None:
            seconds = 0.0
            if first:
                missing.remove(at)
                compute, seconds = next(programs).result()
                compiled = {at: compute}
                if progress is not None:
                    progress(said, done, total)
            result = _timed(compiled[at], start, stop)
            chunk = _label(sweep, points[at], np.arange(start, stop), *result)
            chunk["compile_seconds"] = chunk["run_seconds"] * 0 + seconds
            if store is not None:
                store.write(points[at], start, chunk)
        parts[at].append(chunk)
        done += stop - start
    if progress is not None:
        progress(sweep.name, done, total)
    return parts


def _joined(sweep: Sweep, parts: list[list[xr.Dataset]]) -> xr.Dataset:
    """All points of a sweep in one dataset, which says what it is."""
    joined = [_join(chunks) for chunks in parts]
    truths = {name for name in sweep.variables if joined[0][name].dtype == bool}
    for axis, values in reversed(list(sweep.axes.items())):
        starts = range(0, len(joined), len(values))
        joined = [xr.concat(joined[at : at + len(values)], axis, join="outer") for at in starts]
    (dataset,) = joined
    dataset = dataset.transpose(*sweep.axes, "seed", ...)
    for name in (*sweep.axes, "seed", *_TIMINGS):
        dataset[name].attrs = axis_quantity(name).attrs()
    for name, variable in sweep.variables.items():  # as they are called today
        dataset[name].attrs = variable.quantity.attrs()
        if name in truths and dataset[name].dtype != bool:  # numbers, as some are missing
            dataset[name].attrs |= {"flag_meanings": "false true"}
    # Lists as arrays: what netCDF gives back, so that a stored result is the same in every way.
    attrs = sweep.provenance().items()
    dataset.attrs = {key: np.array(v) if isinstance(v, list) else v for key, v in attrs}
    return dataset


def _chunks(sweep: Sweep) -> Iterator[tuple[int, int, int]]:
    """Every chunk as (number of the point, first seed, one past the last seed)."""
    for at, point in enumerate(sweep.points()):
        num_seeds, size = sweep.size(point)
        for start in range(0, num_seeds, size):
            yield at, start, min(start + size, num_seeds)


def _join(chunks: list[xr.Dataset]) -> xr.Dataset:
    """All seeds of one point; the timings of its chunks add up and become coordinates."""
    part = xr.concat([chunk.drop_vars(_TIMINGS) for chunk in chunks], "seed")
    return part.assign_coords({name: sum(chunk[name] for chunk in chunks) for name in _TIMINGS})


class _Lowered(NamedTuple):
    """The traced call of all seeds of a chunk, and what it is called with."""

    lowered: jax.stages.Lowered
    seeds: np.ndarray
    shared: Any
    mesh: Mesh
    seconds: float  # that it took


def _lower(sweep: Sweep, point: Point) -> _Lowered:
    began = time.perf_counter()
    mesh = Mesh(np.array(jax.devices()), ("seed",))
    shared = jax.device_put(sweep.shared(**point), NamedSharding(mesh, PartitionSpec()))
    lanes = -(-sweep.size(point)[1] // mesh.size) * mesh.size

    def cell(seed, shared):
        number = {"seed": seed} if sweep.numbered else {}
        return sweep.cell(sweep.cell_key(point, seed), shared, **number, **point)

    def cells(seeds, shared):
        return jax.vmap(cell, (0, None))(seeds, shared)

    cells.__name__ = f"{sweep.name}, {label(point)}"  # what profilers call the program
    spread = jax.shard_map(
        cells,
        mesh=mesh,
        in_specs=(PartitionSpec("seed"), PartitionSpec()),
        out_specs=PartitionSpec("seed"),
        check_vma=False,  # the loops inside start from constants, which do not vary over devices
    )
    seeds = np.arange(lanes, dtype=np.uint32)
    lowered = jax.jit(spread).lower(seeds, shared)
    return _Lowered(lowered, seeds, shared, mesh, time.perf_counter() - began)


def _least_effort() -> dict[str, str | bool]:
    """Options of the CPU compiler, but those that `XLA_FLAGS` chooses.

    A program that runs for a second or two is not worth its last efforts. LLVM's level 1 takes two
    thirds of the time. Fusions that do not go through MLIR, and code in one piece, as programs
    compile side by side, save a sixth to a half of what is left; programs run up to 4 % longer. XLA
    refuses options that it does not know: these two are for the releases that were seen to have
    them.
    """
    options: dict[str, str | bool] = {"xla_backend_optimization_level": "1"}
    if jax.__version__.startswith("0.10."):
        options["xla_cpu_use_fusion_emitters"] = False
        options["xla_cpu_parallel_codegen_split_count"] = "1"
    chosen = os.environ.get("XLA_FLAGS", "")
    return {name: value for name, value in options.items() if name not in chosen}


def _compile(program: _Lowered) -> tuple[_Compute, float]:
    """Compiled call from the first seed of a chunk to its results; the seconds that it all took."""
    began = time.perf_counter()
    options = _least_effort() if jax.default_backend() == "cpu" else {}
    compiled = program.lowered.compile(compiler_options=options)
    sharding = NamedSharding(program.mesh, PartitionSpec("seed"))

    def compute(start: int) -> Any:
        return compiled(jax.device_put(program.seeds + np.uint32(start), sharding), program.shared)

    return compute, program.seconds + time.perf_counter() - began


def _timed(compute: _Compute, start: int, stop: int) -> tuple[Any, float]:
    """Results of the cells `start` to `stop` as NumPy arrays, and the seconds they took."""
    began = time.perf_counter()
    record = jax.device_get(compute(start))
    return jax.tree.map(lambda a: a[: stop - start], record), time.perf_counter() - began


def _label(
    sweep: Sweep, point: Point, seeds: np.ndarray, record: Any, seconds: float
) -> xr.Dataset:
    fields = record._asdict()
    if fields.keys() != sweep.variables.keys():
        raise ValueError(
            f"the cell of {sweep.name} must return the fields {sorted(sweep.variables)}, "
            f"got {sorted(fields)}."
        )
    ahead = tuple(None for _ in point)
    variables = {
        name: ((*point, "seed", *variable.dims), fields[name][ahead], variable.quantity.attrs())
        for name, variable in sweep.variables.items()
    }
    coordinates = {axis: [value] for axis, value in point.items()}
    dataset = xr.Dataset(variables, {**coordinates, "seed": seeds})
    dataset["run_seconds"] = (tuple(point), np.full((1,) * len(point), seconds))
    return dataset
