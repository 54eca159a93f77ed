"""Run a sweep: `jit(shard_map(vmap(cell)))` for each point, chunk after chunk."""

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

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
    has fewer seeds; the attribute `axes` names the axes. `compile_seconds` and `run_seconds`, over
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
    provenance = sweep.provenance()
    stored = contextlib.nullcontext() if out is None else chunk_store(out, provenance)
    with stored as store, watching(progress) as watch:
        parts = _parts(sweep, store, watch)
    joined = [_join(chunks) for chunks in parts]
    for axis, values in reversed(list(sweep.axes.items())):
        starts = range(0, len(joined), len(values))
        joined = [xr.concat(joined[at : at + len(values)], axis, join="outer") for at in starts]
    (dataset,) = joined
    dataset = dataset.transpose(*sweep.axes, "seed", ...)
    for name in (*sweep.axes, "seed", *_TIMINGS):
        dataset[name].attrs = axis_quantity(name).attrs()
    for name, variable in sweep.variables.items():  # as they are called today
        dataset[name].attrs = variable.quantity.attrs()
    # Lists as arrays: what netCDF gives back, so that a stored result is the same in every way.
    dataset.attrs = {k: np.array(v) if isinstance(v, list) else v for k, v in provenance.items()}
    if out is not None:
        write_dataset(out / f"{sweep.name}.nc", dataset)
    return dataset


def _parts(
    sweep: Sweep, store: ChunkStore | None, progress: Progress | None
) -> list[list[xr.Dataset]]:
    """The chunks of every point, read or computed."""
    points = sweep.points()
    stored: dict[tuple[int, int], xr.Dataset] = {}
    for at, start, _ in _chunks(sweep):
        chunk = None if store is None else store.read(points[at], start)
        if chunk is not None:
            stored[at, start] = chunk
    missing = {at for at, start, _ in _chunks(sweep) if (at, start) not in stored}
    total, done = sum(sweep.size(point)[0] for point in points), 0
    parts: list[list[xr.Dataset]] = [[] for _ in points]
    # Compilation uses one core and needs no device: the next points compile meanwhile.
    pool = ThreadPoolExecutor(max_workers=2)
    try:
        compiling = {at: pool.submit(_compile, sweep, points[at]) for at in sorted(missing)}
        for at, start, stop in _chunks(sweep):
            if progress is not None:
                waiting = at in compiling and not compiling[at].done()
                progress(f"{sweep.name}, {label(points[at])}{': compiling' * waiting}", done, total)
            chunk = stored.pop((at, start), None)
            if chunk is None:
                compute, seconds = compiling[at].result()
                result = _timed(compute, start, stop)
                chunk = _label(sweep, points[at], np.arange(start, stop), *result)
                chunk["compile_seconds"] = chunk["run_seconds"] * 0 + seconds * (at in missing)
                missing.discard(at)  # its compilation is accounted for
                if store is not None:
                    store.write(points[at], start, chunk)
            parts[at].append(chunk)
            done += stop - start
            if stop == sweep.size(points[at])[0]:
                compiling.pop(at, None)  # frees the program and what it shares
        if progress is not None:
            progress(sweep.name, done, total)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return parts


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


def _compile(sweep: Sweep, point: Point) -> tuple[Callable[[int], Any], float]:
    """Compiled call from the first seed of a chunk to its results; the seconds that it took."""
    began = time.perf_counter()
    shared = sweep.shared(**point)
    mesh = Mesh(np.array(jax.devices()), ("seed",))
    lanes = -(-sweep.size(point)[1] // mesh.size) * mesh.size

    def cells(seeds, shared):
        return jax.vmap(lambda s: sweep.cell(sweep.cell_key(point, s), shared, **point))(seeds)

    cells.__name__ = f"{sweep.name}, {label(point)}"  # what profilers call the program
    spread = jax.shard_map(
        cells,
        mesh=mesh,
        in_specs=(PartitionSpec("seed"), PartitionSpec()),
        out_specs=PartitionSpec("seed"),
        check_vma=False,  # the loops inside start from constants, which do not vary over devices
    )
    # A program that runs for a second or two is not worth the CPU compiler's last efforts: level 1
    # takes two thirds of the time, and the programs are as fast.
    options: dict[str, str | bool] = (
        {"xla_backend_optimization_level": "1"} if jax.default_backend() == "cpu" else {}
    )
    seeds = np.arange(lanes, dtype=np.uint32)
    compiled = jax.jit(spread).lower(seeds, shared).compile(compiler_options=options)
    sharding = NamedSharding(mesh, PartitionSpec("seed"))
    shared = jax.device_put(shared, NamedSharding(mesh, PartitionSpec()))

    def compute(start: int) -> Any:
        return compiled(jax.device_put(seeds + np.uint32(start), sharding), shared)

    return compute, time.perf_counter() - began


def _timed(compute: Callable[[int], Any], start: int, stop: int) -> tuple[Any, float]:
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
