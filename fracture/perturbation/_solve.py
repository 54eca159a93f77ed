"""A batch of inputs in one compiled call."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import PyTree

from .._typing import Apply, Bounds
from ..norms import broadcast_bounds
from ._minimal import minimal
from ._result import Perturbation


def solve(
    apply: Apply,
    params: PyTree,
    inputs: ArrayLike,
    labels: ArrayLike,
    *,
    solver: Callable[..., Perturbation] = minimal,
    bounds: Bounds | None = None,
    targets: ArrayLike | None = None,
    batch_size: int | None = None,
    **options: Any,
) -> Perturbation:
    """Run a solver on every input; a second call with the same shapes does not compile again.

    Parameters
    ----------
    apply, params
        `apply(params, x) -> logits[K]` for one input. The parameters are traced arguments: as
        constants of a closure they would slow down compilation.
    inputs, labels
        Shapes (n, ...) and (n,).
    solver
        Any solver, for example one of `SOLVERS`.
    bounds
        `(lower, upper)` for all inputs.
    targets
        Shape (n,): the target class of each input.
    batch_size
        How many inputs to process at a time; None for all. Less memory, and a slow input holds
        up its own batch alone.
    **options
        Other options of the solver; hashable.

    Returns
    -------
    A `Perturbation` with a leading axis n.

    Raises
    ------
    ValueError
        If the leading axes differ, and as the solver does.
    """
    inputs, labels = jnp.asarray(inputs), jnp.asarray(labels)
    targets = None if targets is None else jnp.asarray(targets)
    shapes = [jnp.shape(a)[:1] for a in (inputs, labels, targets) if a is not None]
    if labels.ndim != 1 or len(set(shapes)) > 1:
        raise ValueError(
            f"wanted inputs (n, ...) and labels and targets (n,), got {inputs.shape}, "
            f"{labels.shape} and {None if targets is None else targets.shape}."
        )
    if bounds is not None:
        broadcast_bounds(bounds, jnp.zeros(inputs.shape[1:], inputs.dtype))
    static = (apply, solver, batch_size, tuple(sorted(options.items())))
    return _solve(*static, params, inputs, labels, targets, bounds)


@partial(jax.jit, static_argnums=(0, 1, 2, 3))
def _solve(apply, solver, batch_size, options, params, inputs, labels, targets, bounds):
    def one(example):
        x, label, target = example
        network = partial(apply, params)
        return solver(network, x, label, bounds=bounds, target=target, **dict(options))

    examples = (inputs, labels, targets)
    if batch_size is None:
        return jax.vmap(one)(examples)
    return jax.lax.map(one, examples, batch_size=batch_size)
