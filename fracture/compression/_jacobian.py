"""Dense Jacobians, forward or reverse as the shape says, in chunks that bound the memory."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._checks import check_counts
from ._arrays import as_float, widest


def jacobian(
    fn: Callable[..., Array],
    x: ArrayLike,
    *,
    mode: str | None = None,
    chunk_size: int | None = None,
) -> Float[Array, "outputs inputs"]:
    r"""Jacobian of `fn` at one input, as a matrix, in full precision.

    Matrix products of `fn` that name no precision of their own are traced in full float32, also
    on devices that would default to TF32 or bfloat16 passes.

    Parameters
    ----------
    fn
        Function of one array of any shape that returns one floating-point array of any shape.
    x
        The input, a floating-point array.
    mode
        `"reverse"` computes the rows, one pullback per output; `"forward"` the columns, one
        pushforward per input entry. Default: whichever there are fewer of, reverse if equal, and
        where `fn` has no forward mode, as `jax.custom_vjp` has none.
    chunk_size
        Rows (or columns) computed together. Memory grows with it; default: all at once.

    Returns
    -------
    Float[Array, "outputs inputs"]
        $\partial f_i / \partial x_j$, with outputs and inputs flattened in C order, in the wider
        of the two dtypes.

    Raises
    ------
    TypeError
        If `x` or `fn(x)` is not a floating-point array.
    ValueError
        If `mode` or `chunk_size` is not one of the above, or `x` or `fn(x)` is empty.
    """
    if mode not in (None, "forward", "reverse"):
        raise ValueError(f"mode must be 'forward', 'reverse' or None, got {mode!r}.")
    x = as_float(x, "x")
    with jax.default_matmul_precision("float32"):
        out = jax.eval_shape(fn, x)
        if not isinstance(out, jax.ShapeDtypeStruct):
            raise TypeError(f"fn must return one array, got {type(out).__name__}.")
        if not jnp.issubdtype(out.dtype, jnp.floating):
            raise TypeError(f"fn must return a floating-point array, got {out.dtype}.")
        num_outputs, num_inputs = math.prod(out.shape), x.size
        if not num_outputs or not num_inputs:
            raise ValueError(f"Nothing to differentiate: input {x.shape}, output {out.shape}.")
        dtype = widest(x.dtype, out.dtype)
        if mode == "forward" or (mode is None and num_inputs < num_outputs):
            push = lambda t: jax.jvp(fn, (x,), (t.reshape(x.shape),))[1].ravel().astype(dtype)
            try:
                return map_rows(push, jnp.eye(num_inputs, dtype=x.dtype), chunk_size).T
            except TypeError:  # of a custom_vjp; any other one comes again in reverse mode
                if mode == "forward":
                    raise
        _, vjp = jax.vjp(fn, x)
        pull = lambda t: vjp(t.reshape(out.shape))[0].ravel().astype(dtype)
        return map_rows(pull, jnp.eye(num_outputs, dtype=out.dtype), chunk_size)


def map_rows(fn: Callable[[Array], Array], rows: Array, chunk_size: int | None) -> Array:
    """`fn` of each row, `chunk_size` rows at a time (None: all together)."""
    if chunk_size is None:
        return jax.vmap(fn)(rows)
    check_counts(chunk_size=chunk_size)
    return jax.lax.map(fn, rows, batch_size=min(chunk_size, len(rows)))
