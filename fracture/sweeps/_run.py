"""Run a sweep: `jit(shard_map(vmap(cell)))` for each dimension, chunk after chunk."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax.sharding import Mesh, PartitionSpec

from ._spec import Sweep
from ._store import ChunkStore, read_dataset, write_dataset

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
        already is read instead of computed. Nothing is written where it is None.
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

    Notes
    -----
    The cells of a chunk are spread over all devices by `shard_map` without collectives, so that no
    device waits for another before its lanes have ended.
    """
    provenance = sweep.provenance()
    store = None if out is None else ChunkStore(out, provenance)
    total, done = sum(sweep.seeds), 0
    parts = []
    for dim, num_seeds, size in zip(sweep.dims, sweep.seeds, sweep.chunks, strict=True):
        chunks, compute = [], None
        for start in range(0, num_seeds, size):
            stop = min(start + size, num_seeds)
            path = None if store is None else store.path(dim, start)
            if path is not None and path.exists():
                chunk = read_dataset(path)
            else:
                seconds = 0.0
                if compute is None:
                    if progress is not None:
                        progress(f"{sweep.name}, d = {dim}: compiling", done, total)
                    began = time.perf_counter()
                    compute = _compile(sweep, dim, min(size, num_seeds))
                    seconds = time.perf_counter() - began
                if progress is not None:
                    progress(f"{sweep.name}, d = {dim}", done, total)
                chunk = _label(sweep, dim, np.arange(start, stop), *_timed(compute, start, stop))
                chunk["compile_seconds"] = ("dim", [seconds])
                if path is not None:
                    write_dataset(path, chunk)
            chunks.append(chunk)
            done += stop - start
            if progress is not None:
                progress(f"{sweep.name}, d = {dim}", done, total)
        timings = ["compile_seconds", "run_seconds"]
        part = xr.concat([chunk.drop_vars(timings) for chunk in chunks], "seed")
        parts.append(part.assign_coords({n: sum(chunk[n] for chunk in chunks) for n in timings}))
    dataset = xr.concat(parts, "dim", join="outer")
    dataset["dim"].attrs = {"long_name": "input dimension d"}
    dataset["seed"].attrs = {"long_name": "seed: one independent draw of everything random"}
    for name in timings:
        dataset[name].attrs = {"units": "s"}
    dataset.attrs = provenance
    return dataset


def _compile(sweep: Sweep, dim: int, size: int) -> Callable[[int], Any]:
    """Compiled call from the first seed of a chunk to the results of `size` (or more) cells."""
    shared = sweep.shared(dim)
    mesh = Mesh(np.array(jax.devices()), ("seed",))
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
    seeds = jnp.arange(lanes, dtype=jnp.uint32)
    compiled = jax.jit(spread).lower(seeds, shared).compile()
    return lambda start: compiled(seeds + jnp.uint32(start), shared)


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
