"""One chunk: `jit(shard_map(vmap(cell)))` of a point, compiled, computed, labelled and stored."""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ._spec import Point, Sweep, label
from ._store import ChunkStore

TIMINGS = ["compile_seconds", "run_seconds"]


class Chunk(NamedTuple):
    """Which seeds of which point, by its number."""

    at: int
    start: int
    stop: int


class Lowered(NamedTuple):
    """The traced call of all seeds of a chunk, and what it is called with."""

    lowered: jax.stages.Lowered
    seeds: np.ndarray
    shared: Any
    mesh: Mesh
    seconds: float  # that it took


class Program(NamedTuple):
    """The compiled call from the first seed of a chunk to its results."""

    compute: Callable[[int], Any]
    seconds: float  # that tracing and compiling took


def chunks(sweep: Sweep) -> Iterator[Chunk]:
    """Every chunk, point by point."""
    for at, point in enumerate(sweep.points()):
        num_seeds, size = sweep.size(point)
        for start in range(0, num_seeds, size):
            yield Chunk(at, start, min(start + size, num_seeds))


def finished(
    sweep: Sweep,
    chunk: Chunk,
    program: Callable[[], Program],
    store: ChunkStore | None,
    devices: contextlib.AbstractContextManager[object],
) -> xr.Dataset:
    """The results of a chunk, computed by what `program` returns, and stored.

    Computes within the context `devices`, which may let one at a time do so.
    """
    point = sweep.points()[chunk.at]
    with contextlib.ExitStack() as noted:
        with devices:
            if store is not None:
                noted.enter_context(store.computing(point, chunk.start))
            compute, seconds = program()
            computed = _timed(compute, chunk)
        result = _label(sweep, point, chunk, *computed)
        result["compile_seconds"] = result["run_seconds"] * 0 + seconds
        if store is not None:
            store.write(point, chunk.start, result)
    return result


def once(make: Callable[[], Program]) -> Callable[[], Program]:
    """The program that the first call makes, for all calls; its seconds count in the first one."""
    made: list[Program] = []
    making = threading.Lock()

    def program() -> Program:
        with making:
            if made:
                return made[0]._replace(seconds=0.0)
            made.append(make())
            return made[0]

    return program


def lower(sweep: Sweep, point: Point) -> Lowered:
    """Trace a point, under the settings of the calling thread."""
    began = time.perf_counter()
    mesh = Mesh(np.array(jax.local_devices()), ("seed",))
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
    return Lowered(lowered, seeds, shared, mesh, time.perf_counter() - began)


def _least_effort() -> dict[str, str | bool]:
    """Options of the CPU compiler, but those that `XLA_FLAGS` chooses.

    A program that runs for a second or two is not worth its last efforts. LLVM's level 1 takes two
    thirds of the time. Fusions that do not go through MLIR, and code in one piece, as programs
    compile side by side, save a sixth to a half of what is left; sweeps run 6 % longer. XLA
    refuses options that it does not know: these two are for the releases that were seen to have
    them.
    """
    options: dict[str, str | bool] = {"xla_backend_optimization_level": "1"}
    if jax.__version__.startswith("0.10."):
        options["xla_cpu_use_fusion_emitters"] = False
        options["xla_cpu_parallel_codegen_split_count"] = "1"
    chosen = os.environ.get("XLA_FLAGS", "")
    return {name: value for name, value in options.items() if name not in chosen}


def compiled(program: Lowered) -> Program:
    """Compile a traced point: one core's work, which needs no device."""
    began = time.perf_counter()
    options = _least_effort() if jax.default_backend() == "cpu" else {}
    call = program.lowered.compile(compiler_options=options)
    sharding = NamedSharding(program.mesh, PartitionSpec("seed"))

    def compute(start: int) -> Any:
        return call(jax.device_put(program.seeds + np.uint32(start), sharding), program.shared)

    return Program(compute, program.seconds + time.perf_counter() - began)


def _timed(compute: Callable[[int], Any], chunk: Chunk) -> tuple[Any, float]:
    """Results of the cells of a chunk as NumPy arrays, and the seconds they took."""
    began = time.perf_counter()
    record = jax.device_get(compute(chunk.start))
    count = chunk.stop - chunk.start
    return jax.tree.map(lambda a: a[:count], record), time.perf_counter() - began


def _label(sweep: Sweep, point: Point, chunk: Chunk, record: Any, seconds: float) -> xr.Dataset:
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
    seeds = np.arange(chunk.start, chunk.stop)
    dataset = xr.Dataset(variables, {**coordinates, "seed": seeds})
    dataset["run_seconds"] = (tuple(point), np.full((1,) * len(point), seconds))
    return dataset
