"""A solver on a batch of inputs, in one compiled call."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jax.typing import ArrayLike
from jaxtyping import PyTree

from .._checks import as_labels, check_counts
from .._network import takes_network
from .._typing import Apply, Bounds, Key, Labels
from ..batching import map_examples
from ..norms import broadcast_bounds
from ._result import Perturbation
from ._solvers import as_solver
from .solvers.minimal import minimal


@takes_network
def solve(
    apply: Apply,
    params: PyTree,
    inputs: ArrayLike,
    labels: Labels,
    *,
    solver: str | Callable[..., Any] = minimal,
    bounds: Bounds | None = None,
    targets: Labels | None = None,
    batch_size: int | None = None,
    mesh: Mesh | None = None,
    key: Key | None = None,
    **options: Any,
) -> Perturbation | Any:
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
        Any solver, the name of one of `SOLVERS`, or another function with the arguments of one,
        such as `certificates.certify`. Another function object, such as a new
        lambda, compiles again; a new `functools.partial` of the same hashable parts does not.
    bounds
        `(lower, upper)` for all inputs.
    targets
        Shape (n,): the target class of each input.
    batch_size
        At most so many inputs at a time on each device. Less memory, and an input whose loop is
        long holds up its own chunk alone. None for 256 on a CPU and 8192 elsewhere, less where
        the compiled program would need more than half of the device's memory (not checked under
        an outer `jit` or `vmap`): each smaller chunk that is tried costs one more compilation.
    mesh
        Devices to share the inputs among, along all axes of the mesh, without communication; they
        may be those of several processes, which all call this. None for one device.
    key
        For solvers that draw random numbers: input i gets `jax.random.fold_in(key, i)`, whatever
        the chunks and the devices are.
    **options
        Other options of the solver; hashable.

    Returns
    -------
    A `Perturbation`, or whatever else the solver returns, with a leading axis n.

    Raises
    ------
    ValueError
        If the leading axes differ, `batch_size` is below 1, there is no solver of that name, and as
        the solver does.
    TypeError
        If labels or targets are no integers, `mesh` is no `jax.sharding.Mesh`, a `key` is given to
        a solver that takes none, an option is not hashable, and as the solver does.

    Examples
    --------
    The second input is on the wrong side of the boundary already:

    >>> import jax.numpy as jnp
    >>> from fracture.perturbation import Status, solve
    >>> apply = lambda weight, x: jnp.stack([weight @ x, -weight @ x])
    >>> weight, inputs = jnp.array([3.0, 4.0]), jnp.array([[1.0, 0.5], [-1.0, 0.0]])
    >>> found = solve(apply, weight, inputs, [0, 0], solver="affine")
    >>> for norm, status in zip(found.norm, found.status, strict=True):
    ...     print(f"{norm:.3f} {Status(status).name}")
    1.000 FOUND
    0.000 MISCLASSIFIED
    """
    inputs, labels = jnp.asarray(inputs), as_labels(labels)
    targets = None if targets is None else as_labels(targets, "targets")
    solver = as_solver(solver)
    _check(solver, inputs, labels, targets, batch_size, mesh, key, options)
    if bounds is not None:
        broadcast_bounds(bounds, jnp.zeros(inputs.shape[1:], inputs.dtype))
    return map_examples(
        _solve_one,
        (apply, solver, tuple(sorted(options.items()))),
        (params, bounds, key),
        (inputs, labels, targets, jnp.arange(len(inputs), dtype=jnp.int32)),
        batch_size=batch_size,
        mesh=mesh,
    )


def _solve_one(apply, solver, options, shared, example) -> Perturbation | Any:
    """The result for one input, its target, and its place in the batch.

    Parameters
    ----------
    apply, solver, options
        As of `solve`; the options as sorted pairs.
    shared
        Parameters, bounds and key.
    example
        An input, its label, its target or None, and its index, which the key is folded with.

    Returns
    -------
    What the solver returns.
    """
    params, bounds, key = shared
    x, label, target, index = example
    own = {} if key is None else {"key": jax.random.fold_in(key, index)}
    network = jax.jit(partial(apply, params))
    return solver(network, x, label, bounds=bounds, target=target, **own, **dict(options))


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
