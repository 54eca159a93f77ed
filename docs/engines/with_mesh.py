"""Inputs of several processes: python with_mesh.py HOST:PORT 2 0, and … 2 1; alone without them."""

import sys

import jax
import jax.numpy as jnp
from jax.experimental.multihost_utils import process_allgather
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from fracture.analysis import analyze
from fracture.perturbation import solve


def network(weights, x):
    return weights @ jnp.tanh(x)


def measure(weights, inputs, labels, references, reference_labels):
    return analyze(network, weights, inputs, labels, references, reference_labels, solver="ddn")


if __name__ == "__main__":
    if sys.argv[1:]:
        address, processes, process = sys.argv[1:]
        jax.distributed.initialize(address, int(processes), int(process))
    mesh = Mesh(jax.devices(), ("inputs",))
    spread, everywhere = PartitionSpec("inputs"), PartitionSpec()

    # What all inputs share is the same in every process.
    weights, references = jnp.split(jax.random.normal(jax.random.key(0), (19, 8)), [3])
    reference_labels = jax.vmap(network, (None, 0))(weights, references).argmax(1)

    # Of the inputs each process has its own, here parts of the references, all of one size.
    rows = len(references) // jax.process_count()
    mine = slice(rows * jax.process_index(), rows * (jax.process_index() + 1))
    inputs, labels = (
        jax.make_array_from_process_local_data(NamedSharding(mesh, spread), all_of_them[mine])
        for all_of_them in (references, reference_labels)
    )

    # No device waits for another: `solve` shares the inputs out, `analyze` is told to.
    found = solve(network, weights, inputs, labels, solver="fab", mesh=mesh, key=jax.random.key(1))
    shared_out = jax.shard_map(
        measure,
        mesh=mesh,
        in_specs=(everywhere, spread, spread, everywhere, everywhere),
        out_specs=spread,
        check_vma=False,
    )
    analysis = jax.jit(shared_out)(weights, inputs, labels, references, reference_labels)

    # Results are where their inputs are, until someone gathers them.
    for name, results in (("radii", found.norm), ("ratios", analysis.ratio)):
        print(name, process_allgather(results, tiled=True).tolist())
