"""The margin of a network and its gradient, in full precision."""

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from .._typing import LogitsFn
from ..logits import as_logits, margin
from ..norms import at_least_float32
from ._arrays import as_float, widest


def logits_of(logits_fn: LogitsFn, x: Array) -> Array:
    """Logits of at least float32; one output f becomes (f/2, -f/2)."""
    with jax.default_matmul_precision("float32"):
        return at_least_float32(as_logits(logits_fn(x)))


def margin_and_gradient(
    logits_fn: LogitsFn, x: Array, label: ArrayLike, other: ArrayLike | None
) -> tuple[Array, Array]:
    """Margin of `label` against `other` (default: the best other class), and its input gradient."""
    value_and_grad = jax.value_and_grad(lambda z: margin(logits_of(logits_fn, z), label, other))
    with jax.default_matmul_precision("float32"):
        value, gradient = value_and_grad(x)
    # A margin that is not a number, of a class out of range say, has no gradient either.
    return value, at_least_float32(jnp.where(jnp.isnan(value), jnp.nan, gradient))


def displacement_of(displacement: ArrayLike, x: Array) -> Array:
    """The displacement in the shape of `x`, of at least float32."""
    displacement = as_float(displacement, "displacement")
    if displacement.shape != x.shape:
        raise ValueError(f"displacement {displacement.shape} and x {x.shape} differ in shape.")
    return at_least_float32(displacement.astype(widest(displacement.dtype, x.dtype)))
