"""Products in full float32 on any device, and factorizations under `vmap`."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import jax
import jax.numpy as jnp
from jaxtyping import Array, PyTree

Result = TypeVar("Result", bound=PyTree)

# Devices that default to TF32 or bfloat16 passes keep three digits of a product.
matmul = partial(jnp.matmul, precision="highest")
vdot = partial(jnp.vdot, precision="highest")


def one_by_one_on_cpu(factorize: Callable[[Array], Result]) -> Callable[[Array], Result]:
    """`factorize(matrix)`, which `vmap` turns into a loop on CPU and into a batch elsewhere.

    On CPU, jaxlib spreads a batch over the thread pool that runs the program, and waits for it
    there: two independent batches in one program, each holding a thread and waiting for a free
    one, stop a machine of two cores for good (jax 0.10.2: six independent batches of 64
    decompositions hang at the first call). A single matrix never waits. Derivatives are those of
    `factorize`, batched in the usual way.
    """

    @jax.custom_batching.custom_vmap
    def call(matrix: Array) -> Result:
        return factorize(matrix)

    @call.def_vmap
    def _(axis_size, in_batched, matrices):
        results = jax.lax.platform_dependent(
            matrices,
            cpu=lambda matrices: jax.lax.map(call, matrices),
            default=lambda matrices: jax.vmap(factorize)(matrices),
        )
        return results, jax.tree.map(lambda _: True, results)

    @jax.custom_jvp
    def differentiable(matrix: Array) -> Result:
        return call(matrix)

    @differentiable.defjvp
    def _(primals, tangents):
        return jax.jvp(factorize, primals, tangents)

    return differentiable
