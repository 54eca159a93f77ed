"""A function of one example for many: in chunks of one size, on one device or many.

A program maps one chunk at a time, so that its memory does not grow with the number of examples.
All chunks have one size, the last one padded, so that there is one program to compile.
"""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from jaxtyping import PyTree

from ._checks import traced

__all__ = ["in_chunks", "map_examples"]

# Examples at a time. Larger chunks are hardly faster on a CPU, and slower where a loop ends early.
CHUNK = {"cpu": 256}
CHUNK_ELSEWHERE = 8192
SHARE = 0.5  # of a device's memory that a program may use for its intermediate results


def map_examples(
    function: Callable[..., PyTree],
    static: tuple[Any, ...],
    shared: PyTree,
    examples: PyTree,
    *,
    batch_size: int | None = None,
    mesh: Mesh | None = None,
) -> PyTree:
    """`function(*static, shared, example)` for every example, in one compiled call.

    A second call with the same function and equal `static`, and arrays of the same shapes, does
    not compile again. Composes with `jax.jit` and `jax.vmap`.

    Parameters
    ----------
    function
        A pure function of one example; the same object in every call.
    static
        Its first arguments: hashable, compiled into the program.
    shared
        Arrays that all examples share.
    examples
        Arrays with a leading axis n; the first of them a non-scalar array.
    batch_size
        At most so many examples at a time on each device. None for 256 on a CPU and 8192
        elsewhere, less where the compiled program would need more than half of the device's
        memory (not checked under an outer `jit` or `vmap`): each smaller chunk that is tried costs
        one more compilation.
    mesh
        Devices to share the examples among, along all axes of the mesh, without communication;
        None for one device.

    Returns
    -------
    The results, with a leading axis n.

    Raises
    ------
    ValueError
        If `static` is not hashable.
    """
    fixed = (function, static)
    count = len(jax.tree.leaves(examples)[0])
    if count == 0:
        some = jax.tree.map(lambda leaf: jnp.zeros((1, *leaf.shape[1:]), leaf.dtype), examples)
        shapes = jax.eval_shape(partial(_mapped, *fixed, None, None), shared, some)
        return jax.tree.map(lambda leaf: jnp.zeros((0, *leaf.shape[1:]), leaf.dtype), shapes)

    shards = 1 if mesh is None else mesh.size
    examples = _padded(examples, shards)
    tracing = traced(shared, examples)
    device = _device(examples, mesh)
    if mesh is not None:
        shared = _placed(shared, NamedSharding(mesh, P()), tracing)
        examples = _placed(examples, NamedSharding(mesh, P(mesh.axis_names)), tracing)
    local = -(-count // shards)
    most = CHUNK.get(device.platform, CHUNK_ELSEWHERE) if batch_size is None else batch_size
    chunk = _even(local, most)
    if batch_size is None and not tracing:
        chunk = _fitting((*fixed, mesh), chunk, shared, examples, local, device)
    results = _mapped(*fixed, mesh, chunk if chunk < local else None, shared, examples)
    if len(jax.tree.leaves(results)[0]) == count:
        return results
    if mesh is not None:  # a part of the last shard is not a shard
        results = _placed(results, NamedSharding(mesh, P()), tracing)
    return jax.tree.map(lambda leaf: leaf[:count], results)


def in_chunks(function: Callable[[PyTree], PyTree], examples: PyTree, chunk: int | None) -> PyTree:
    """`function(example)` for every example, `chunk` of them at a time.

    Parameters
    ----------
    function
        A pure function of one example.
    examples
        Arrays with a leading axis n.
    chunk
        How many at a time; None for all. One at a time is a loop without `vmap`, which large
        networks compile in half the time.

    Returns
    -------
    The results, with a leading axis n.
    """
    if chunk is None:
        return jax.vmap(function)(examples)
    if chunk == 1:
        return jax.lax.map(function, examples)
    count = len(jax.tree.leaves(examples)[0])
    split = lambda leaf: leaf.reshape(-1, chunk, *leaf.shape[1:])
    join = lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:count]
    chunks = jax.tree.map(split, _padded(examples, chunk))
    return jax.tree.map(join, jax.lax.map(jax.vmap(function), chunks))


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _mapped(function, static, mesh, chunk, shared, examples):
    def every(shared, examples):
        return in_chunks(partial(function, *static, shared), examples, chunk)

    if mesh is not None:
        spec = P(mesh.axis_names)
        # The check of what varies over the mesh would reject networks with loops of their own.
        every = jax.shard_map(
            every, mesh=mesh, in_specs=(P(), spec), out_specs=spec, check_vma=False
        )
    return every(shared, examples)


def _placed(tree: PyTree, sharding: NamedSharding, tracing: bool) -> PyTree:
    """The arrays where they shall be; under a trace, only axes of type Explicit ask for it."""
    if not tracing:
        return jax.tree.map(lambda leaf: _put(leaf, sharding), tree)
    explicit = jax.sharding.AxisType.Explicit in sharding.mesh.axis_types
    return jax.reshard(tree, sharding) if explicit else tree


def _put(leaf: Any, sharding: NamedSharding) -> jax.Array:
    """An array on devices, of which some may be those of other processes."""
    if not jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key):
        return jax.device_put(leaf, sharding)
    numbers = jax.device_put(jax.random.key_data(leaf), sharding)  # keys cannot leave a process
    return jax.random.wrap_key_data(numbers, impl=jax.random.key_impl(leaf))


def _padded(examples: PyTree, multiple: int) -> PyTree:
    """The examples, the last one repeated up to a multiple."""

    def pad(leaf):
        extra = -len(leaf) % multiple
        return jnp.concatenate([leaf, jnp.repeat(leaf[-1:], extra, axis=0)]) if extra else leaf

    return jax.tree.map(pad, examples)


def _even(count: int, limit: int) -> int:
    """The size of the fewest chunks of at most `limit`."""
    return -(-count // -(-count // limit))


def _fitting(
    fixed: tuple[Any, ...],
    chunk: int,
    shared: PyTree,
    examples: PyTree,
    local: int,
    device: jax.Device,
) -> int:
    """`chunk`, or a smaller one whose program fits the device; the call reuses what compiles."""
    memory = _memory(device)
    while memory is not None and chunk > 1:
        size = chunk if chunk < local else None
        compiled = _mapped.lower(*fixed, size, shared, examples).compile()
        analysis = compiled.memory_analysis()
        if analysis is None or analysis.temp_size_in_bytes <= SHARE * memory:
            break
        share = SHARE * memory / analysis.temp_size_in_bytes
        chunk = _even(local, max(1, min(int(share * chunk), chunk - 1)))
    return chunk


def _memory(device: jax.Device) -> int | None:
    """Bytes of memory, where they are known."""
    stats = device.memory_stats()
    if stats is not None and "bytes_limit" in stats:
        return stats["bytes_limit"]
    if device.platform != "cpu" or not hasattr(os, "sysconf"):
        return None
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _device(examples: PyTree, mesh: Mesh | None) -> jax.Device:
    """One of the devices that compute: of the mesh, or those of the first array."""
    if mesh is not None:
        return mesh.local_devices[0]
    first = jax.tree.leaves(examples)[0]
    if isinstance(first, jax.core.Tracer):
        return jax.devices()[0]
    return min(first.devices(), key=lambda device: device.id)
