"""Run a sweep: `jit(shard_map(vmap(cell)))` for each dimension, chunk after chunk."""

import contextlib
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeAlias

import jax
import numpy as np
import xarray as xr
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ._spec import Sweep
from ._store import ChunkStore, chunk_store

_TIMINGS = ["compile_seconds", "run_seconds"]

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called as `progress(what, done, total)`, in cells, before and after every chunk."""


def run(sweep: Sweep, *, out: Path | None = None, progress: Progress | None = None) -> xr.Dataset:
    """Compute every cell of a sweep, or what is missing of it.

    Parameters
    ----------
    sweep
        The axes and the cell function.
    out
        Folder in which finished chunks are kept, written atomically; a chunk that is there
        already is read instead of computed. One that is damaged is renamed, with a warning, and
        computed again. Nothing is written where it is None.
    progress
        Called before and after every chunk.

    Returns
    -------
    Dataset with the dimensions `dim`, `seed` and those of the variables, padded with NaN where a
    dimension has fewer seeds. `compile_seconds` and `run_seconds`, over `dim`, are coordinates:
    what this result took when it was computed, and no part of what must be equal between runs.

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
    """
    provenance = sweep.provenance()
    with contextlib.nullcontext() if out is None else chunk_store(out, provenance) as store:
        parts = _parts(sweep, store, progress)
    dataset = xr.concat([_join(chunks) for chunks in parts.values()], "dim", join="outer")
    dataset["dim"].attrs = {"long_name": "input dimension d"}
    dataset["seed"].attrs = {"long_name": "seed: one independent draw of everything random"}
    for name in _TIMINGS:
        dataset[name].attrs = {"units": "s"}
    # Lists as arrays: what netCDF gives back, so that a stored result is the same in every way.
    dataset.attrs = {k: np.array(v) if isinstance(v, list) else v for k, v in provenance.items()}
    return dataset


def _parts(
    sweep: Sweep, store: ChunkStore | None, progress: Progress | None
) -> dict[int, list[xr.Dataset]]:
    """The chunks of every dimension, read or computed."""
    stored: dict[tuple[int, int], xr.Dataset] = {}
    for dim, start, _ in _chunks(sweep):
        chunk = None if store is None else store.read(dim, start)
        if chunk is not None:
            stored[dim, start] = chunk
    missing = {dim for dim, start, _ in _chunks(sweep) if (dim, start) not in stored}
    total, done = sum(sweep.seeds), 0
    parts: dict[int, list[xr.Dataset]] = {dim: [] for dim in sweep.dims}
    # Compilation uses one core and needs no device: the next dimensions compile meanwhile.
    pool = ThreadPoolExecutor(max_workers=2)
    try:
        compiling = {dim: pool.submit(_compile, sweep, dim) for dim in sweep.dims if dim in missing}
        for dim, start, stop in _chunks(sweep):
            if progress is not None:
                waiting = dim in compiling and not compiling[dim].done()
                progress(f"{sweep.name}, d = {dim}{': compiling' * waiting}", done, total)
            chunk = stored.pop((dim, start), None)
            if chunk is None:
                compute, seconds = compiling[dim].result()
                chunk = _label(sweep, dim, np.arange(start, stop), *_timed(compute, start, stop))
                chunk["compile_seconds"] = ("dim", [seconds if dim in missing else 0.0])
                missing.discard(dim)  # its compilation is accounted for
                if store is not None:
                    store.write(dim, start, chunk)
            parts[dim].append(chunk)
            done += stop - start
            if stop == sweep.seeds[sweep.dims.index(dim)]:
                compiling.pop(dim, None)  # frees the program and what it shares
        if progress is not None:
            progress(sweep.name, done, total)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    return parts


def _chunks(sweep: Sweep) -> Iterator[tuple[int, int, int]]:
    """Every chunk as (dimension, first seed, one past the last seed)."""
    for dim, num_seeds, size in zip(sweep.dims, sweep.seeds, sweep.chunks, strict=True):
        for start in range(0, num_seeds, size):
            yield dim, start, min(start + size, num_seeds)


def _join(chunks: list[xr.Dataset]) -> xr.Dataset:
    """All seeds of one dimension; the timings of its chunks add up and become coordinates."""
    part = xr.concat([chunk.drop_vars(_TIMINGS) for chunk in chunks], "seed")
    return part.assign_coords({name: sum(chunk[name] for chunk in chunks) for name in _TIMINGS})


def _compile(sweep: Sweep, dim: int) -> tuple[Callable[[int], Any], float]:
    """Compiled call from the first seed of a chunk to its results; the seconds that it took."""
    began = time.perf_counter()
    index = sweep.dims.index(dim)
    shared = sweep.shared(dim)
    mesh = Mesh(np.array(jax.devices()), ("seed",))
    size = min(sweep.chunks[index], sweep.seeds[index])
    lanes = -(-size // mesh.size) * mesh.size

    def cells(seeds, shared):
        return jax.vmap(lambda seed: sweep.cell(sweep.cell_key(dim, seed), shared, dim=dim))(seeds)

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


def _label(sweep: Sweep, dim: int, seeds: np.ndarray, record: Any, seconds: float) -> xr.Dataset:
    fields = record._asdict()
    if fields.keys() != sweep.variables.keys():
        raise ValueError(
            f"the cell of {sweep.name} must return the fields {sorted(sweep.variables)}, "
            f"got {sorted(fields)}."
        )
    variables = {
        name: (
            ("dim", "seed", *variable.dims),
            fields[name][None],
            {"long_name": variable.long_name, "units": variable.units},
        )
        for name, variable in sweep.variables.items()
    }
    dataset = xr.Dataset(variables, {"dim": [dim], "seed": seeds})
    dataset["run_seconds"] = ("dim", [seconds])
    return dataset
