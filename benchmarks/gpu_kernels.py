"""What solvers launch on a GPU, and what those launches move, without a GPU.

    pip install "jax-cuda13-plugin[with-cuda]"  # in an environment with jax; or cuda12
    python benchmarks/gpu_kernels.py
    python benchmarks/gpu_kernels.py --batch 8192 --only ddn,fmn

XLA compiles for a card that is described, not there. For each loop of a compiled solver the table
says how often it runs, how many kernels one iteration launches and how many megabytes those read
and write, beside the same for bare forward and backward passes: with few inputs a launch is what
takes time, with many the memory is. Loops within loops are listed by themselves.
"""

import re
from collections.abc import Iterator
from functools import partial
from math import prod
from typing import NamedTuple

import click
import jax
import jax.numpy as jnp
import numpy as np
from _timing import bare_passes
from jax.experimental import topologies
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from fracture import models, perturbation

# Of an H200, as XLA states it; of these figures its choices depend on.
CARD = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448
  shared_memory_per_core: 233472 threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  memory_bandwidth: 4800000000000 l2_cache_size: 62914560 clock_rate_ghz: 1.98
  device_memory_size: 150000000000
  cuda_compute_capability { major: 9 minor: 0 }
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 patch: 0 }
runtime_version { major: 13 minor: 0 patch: 0 }
device_description_str: "NVIDIA H200"
"""
BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "f64": 8, "s64": 8, "u64": 8}  # else 4
FREE = ("get-tuple-element", "parameter", "constant", "tuple", "bitcast", "while")
SHAPE = re.compile(r"(\w+)\[([\d,]*)\]")
INSTRUCTION = re.compile(
    r"\s+(?:ROOT )?%([\w.\-]+) = (\((?:[^()]|\([^()]*\))*\)|\S+) ([\w\-]+)\((.*)"
)


class Loop(NamedTuple):
    """One loop of a compiled program."""

    where: str  # in which computation
    trips: str
    kernels: int
    read: float  # MB an iteration
    written: float


def compiled(function, *arguments) -> str:
    """The program that XLA makes for the card, as text."""
    described = topologies.get_topology_desc(
        topology_name="", platform="cuda", target_config=CARD, topology="1x1x1"
    )
    mesh = Mesh(np.array(described.devices), ("device",))
    there = NamedSharding(mesh, PartitionSpec())
    placed = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=there), arguments
    )
    traced = jax.jit(function).trace(*placed)
    return traced.lower(lowering_platforms=("cuda",)).compile().as_text()


def loops(program: str) -> Iterator[Loop]:
    """Every loop with what its body launches."""
    bodies: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in program.splitlines():
        if opened := re.match(r"(?:ENTRY )?%([\w.\-]+) \(.*\{$", line):
            lines = bodies[opened[1]] = []
        lines.append(line)
    for name, body in bodies.items():
        for line in body:
            if " while(" in line:
                inside = re.search(r"body=%([\w.\-]+)", line)[1]
                trips = re.search(r'known_trip_count":\{"n":"(\d+)"', line)
                launched = list(_launched(bodies[inside]))
                read, written = (sum(part) / 1e6 for part in zip(*launched, strict=True))
                yield Loop(name, trips[1] if trips else "?", len(launched), read, written)


def _launched(body: list[str]) -> Iterator[tuple[int, int]]:
    """Bytes that each kernel of a computation reads and writes."""
    shapes: dict[str, str] = {}
    for line in body:
        if found := INSTRUCTION.match(line):
            name, shape, operation, rest = found.groups()
            shapes[name] = shape
            if operation not in FREE:
                given = re.findall(r"%([\w.\-]+)", rest.split("), ")[0])
                yield sum(_size(shapes.get(one, "")) for one in given), _size(shape)


def _size(shape: str) -> int:
    """Bytes of an array, or of a tuple of them."""
    elements = lambda dims: prod(map(int, filter(None, dims.split(","))))
    return sum(BYTES.get(kind, 4) * elements(dims) for kind, dims in SHAPE.findall(shape))


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--batch", type=click.IntRange(min=1), default=512, show_default=True)
@click.option("--only", default="ddn,fmn,minimal", show_default=True, help="Solvers.")
def main(batch: int, only: str) -> None:
    network = models.mlp((28, 28, 1), 10)
    params = jax.eval_shape(network.init, jax.random.key(0))
    inputs = jax.ShapeDtypeStruct((batch, 28, 28, 1), jnp.float32)
    labels = jax.ShapeDtypeStruct((batch,), jnp.int32)

    def solving(name):
        solver = partial(perturbation.SOLVERS[name], bounds=(0.0, 1.0))
        one = lambda params, x, label: solver(lambda z: network.apply(params, z), x, label)
        return jax.vmap(one, (None, 0, 0))

    programs = {"bare passes": bare_passes(network.apply, 100)}
    programs |= {name: solving(name) for name in only.split(",")}
    print(
        f"{'MLP 784-256-256-10':20} {'loop':>12} {'trips':>5} {'kernels':>8} {'MB read':>8} "
        f"{'written':>8}"
    )
    for name, function in programs.items():
        for loop in loops(compiled(function, params, inputs, labels)):
            where = "outer" if loop.where.startswith("main") else "in another"
            print(
                f"{name:20} {where:>12} {loop.trips:>5} {loop.kernels:8} {loop.read:8.1f} "
                f"{loop.written:8.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
