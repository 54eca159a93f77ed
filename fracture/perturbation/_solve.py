"""A batch of inputs in one compiled call, on one device or many."""

import inspect
import os
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec as P
from jax.typing import ArrayLike
from jaxtyping import Array, PyTree

from .._checks import as_labels
from .._network import takes_network
from .._typing import Apply, Bounds, Key, Labels
from ..norms import broadcast_bounds, traced
from ._options import check_counts
from ._result import Perturbation
from ._solvers import Solver, as_solver
from .solvers.minimal import minimal

# Inputs at a time. Larger chunks are hardly faster on a CPU, and slower where a loop ends early.
CHUNK = {"cpu": 256}
CHUNK_ELSEWHERE = 8192
SHARE = 0.5  # of a device's memory that a program may use for its intermediate results


@takes_network
def solve(
    apply: Apply,
    params: PyTree,
    inputs: ArrayLike,
    labels: Labels,
    *,
    solver: str | Solver = minimal,
    bounds: Bounds | None = None,
    targets: Labels | None = None,
    batch_size: int | None = None,
    mesh: Mesh | None = None,
    key: Key | None = None,
    **options: Any,
) -> Perturbation:
    """Run a solver on every input; a second call with the same shapes does not compile again.

    Composes with `jax.jit` and `jax.vmap`, for example over the parameters of many networks.

    Parameters
    ----------
    apply, params
        `apply(params, x) -> logits[K]` for one input. The parameters are traced arguments: as
        constants of a closure they would slow down compilation. What an adapter returned stands
        for both: `solve(adapted, inputs, labels)`.
    inputs, labels
        Shapes (n, ...) and (n,); labels of any integer dtype.
    solver
        Any solver, or the name of one of `SOLVERS`. Another function object, such as a new
        lambda, compiles again; a new `functools.partial` of the same hashable parts does not.
    bounds
        `(lower, upper)` for all inputs.
    targets
        Shape (n,): the target class of each input.
    batch_size
        At most so many inputs at a time on each device. Less memory, and an input whose loop is
        long holds up its own chunk alone. None for 256 on a CPU and 8192 elsewhere, less where
        the compiled program would need more than half of the device's memory (not checked under
        an outer `jit` or `vmap`); to find out costs one more compilation.
    mesh
        Devices to share the inputs among, along all axes of the mesh, without communication;
        None for one device.
    key
        For solvers that draw random numbers: input i gets `jax.random.fold_in(key, i)`, whatever
        the chunks and the devices are.
    **options
        Other options of the solver; hashable.

    Returns
    -------
    A `Perturbation` with a leading axis n.

    Raises
    ------
    ValueError
        If the leading axes differ, `batch_size` is below 1, there is no solver of that name, and as
        the solver does.
    TypeError
        If labels or targets are no integers, `mesh` is no `jax.sharding.Mesh`, a `key` is given to
        a solver that takes none, an option is not hashable, and as the solver does.
    """
    inputs, labels = jnp.asarray(inputs), as_labels(labels)
    targets = None if targets is None else as_labels(targets, "targets")
    solver = as_solver(solver)
    _check(solver, inputs, labels, targets, batch_size, mesh, key, options)
    if bounds is not None:
        broadcast_bounds(bounds, jnp.zeros(inputs.shape[1:], inputs.dtype))
    once = (apply, solver, tuple(sorted(options.items())))
    static = (*once, mesh)
    count = len(inputs)
    if count == 0:
        one = jax.tree.map(lambda a: jnp.zeros((1, *a.shape[1:]), a.dtype), (inputs, labels))
        some = None if targets is None else jnp.ones(1, targets.dtype)
        run = partial(_solve, *once, None, 1)
        shapes = jax.eval_shape(run, (params, bounds, key), (*one, some, jnp.zeros(1, jnp.int32)))
        return jax.tree.map(lambda a: jnp.zeros((0, *a.shape[1:]), a.dtype), shapes)

    shards = 1 if mesh is None else mesh.size
    examples = _padded((inputs, labels, targets, jnp.arange(count, dtype=jnp.int32)), shards)
    shared = (params, bounds, key)
    tracing = traced(shared, examples)
    if mesh is not None:
        shared = _placed(shared, NamedSharding(mesh, P()), tracing)
        examples = _placed(examples, NamedSharding(mesh, P(mesh.axis_names)), tracing)
    local = len(examples[0]) // shards
    device = _device(inputs, mesh)
    chunk = CHUNK.get(device.platform, CHUNK_ELSEWHERE) if batch_size is None else batch_size
    chunk = _even(local, chunk)
    if batch_size is None and not tracing:
        chunk = _fitting(static, chunk, shared, examples, local, device)
    result = _solve(*static, chunk, shared, examples)
    if len(result.norm) == count:
        return result
    if mesh is not None:  # a part of the last shard is not a shard
        result = _placed(result, NamedSharding(mesh, P()), tracing)
    return jax.tree.map(lambda leaf: leaf[:count], result)


@partial(jax.jit, static_argnums=(0, 1, 2, 3, 4))
def _solve(apply, solver, options, mesh, chunk, shared, examples):
    def one(shared, example):
        params, bounds, key = shared
        x, label, target, index = example
        own = {} if key is None else {"key": jax.random.fold_in(key, index)}
        network = jax.jit(partial(apply, params))
        return solver(network, x, label, bounds=bounds, target=target, **own, **dict(options))

    def every(shared, examples):
        # Chunks of one size, the last one padded, so that there is one program to compile.
        count = len(examples[0])
        solve = jax.vmap(partial(one, shared))
        if chunk >= count:
            return solve(examples)
        split = lambda leaf: leaf.reshape(-1, chunk, *leaf.shape[1:])
        join = lambda leaf: leaf.reshape(-1, *leaf.shape[2:])[:count]
        results = jax.lax.map(solve, jax.tree.map(split, _padded(examples, chunk)))
        return jax.tree.map(join, results)

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
        return jax.device_put(tree, sharding)
    explicit = jax.sharding.AxisType.Explicit in sharding.mesh.axis_types
    return jax.reshard(tree, sharding) if explicit else tree


def _padded(examples: PyTree, multiple: int) -> PyTree:
    """The examples, the last one repeated up to a multiple."""

    def pad(leaf):
        extra = -len(leaf) % multiple
        return jnp.concatenate([leaf, jnp.repeat(leaf[-1:], extra, axis=0)]) if extra else leaf

    return jax.tree.map(pad, examples)


def _even(count: int, limit: int) -> int:
    """The size of the fewest chunks of at most `limit`."""
    return -(-count // -(-count // limit))


def _fitting(static, chunk: int, shared, examples, local: int, device: jax.Device) -> int:
    """`chunk`, or a smaller one whose program fits the device; the call reuses what compiles."""
    memory = _memory(device)
    while memory is not None and chunk > 1:
        compiled = _solve.lower(*static, chunk, shared, examples).compile()
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


def _device(inputs: Array, mesh: Mesh | None) -> jax.Device:
    if mesh is not None:
        return mesh.local_devices[0]
    if isinstance(inputs, jax.core.Tracer):
        return jax.devices()[0]
    return min(inputs.devices(), key=lambda device: device.id)


def _check(solver, inputs, labels, targets, batch_size, mesh, key, options) -> None:
    shapes = [a.shape[:1] for a in (inputs, labels, targets) if a is not None]
    ranks = [a.ndim for a in (labels, targets) if a is not None]
    if inputs.ndim < 1 or set(ranks) != {1} or len(set(shapes)) > 1:
        raise ValueError(
            f"wanted inputs (n, ...) and labels and targets (n,), got {inputs.shape}, "
            f"{labels.shape} and {None if targets is None else targets.shape}."
        )
    if batch_size is not None:
        check_counts(batch_size=batch_size)
    if mesh is not None and not isinstance(mesh, Mesh):
        raise TypeError(f"mesh must be a jax.sharding.Mesh or None, got {mesh!r}.")
    parameters = inspect.signature(solver).parameters.values()
    takes = any(p.name == "key" or p.kind == p.VAR_KEYWORD for p in parameters)
    if key is not None and not takes:
        raise TypeError(f"a key was given, but the solver {solver!r} takes none.")
    for name, value in options.items():
        try:
            hash(value)
        except TypeError as error:
            raise TypeError(f"option {name} must be hashable, got {value!r}.") from error
