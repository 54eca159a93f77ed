"""The nearest point of a box."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from .._checks import traced
from .._typing import Bounds


def project_box(x: ArrayLike, bounds: Bounds | None) -> Float[Array, "*shape"]:
    """Nearest point of the box, in every norm; `x` itself where `bounds` is None.

    Parameters
    ----------
    x
        Array of any shape.
    bounds
        `(lower, upper)`, scalars or arrays that broadcast against `x`; None for no box.

    Returns
    -------
    Float[Array, "*shape"]
        In the shape and dtype of `x`.

    Raises
    ------
    ValueError
        If a bound does not broadcast against `x`, or bounds that are not traced are out of order.
    """
    x = jnp.asarray(x)
    if bounds is None:
        return x
    lower, upper = broadcast_bounds(bounds, x)
    return jnp.clip(x, lower, upper)


def broadcast_bounds(bounds: Bounds, x: Array | jax.ShapeDtypeStruct) -> tuple[Array, Array]:
    """Both bounds as arrays of the shape and dtype of `x`."""
    if not isinstance(bounds, tuple | list) or len(bounds) != 2:
        raise ValueError(f"bounds must be a pair (lower, upper), got {bounds!r}.")
    try:
        lower, upper = (jnp.broadcast_to(jnp.asarray(b, x.dtype), x.shape) for b in bounds)
    except ValueError as error:
        shapes = [jnp.shape(b) for b in bounds]
        raise ValueError(
            f"bounds must broadcast to the input's shape {x.shape}, got shapes {shapes}."
        ) from error
    if not traced(bounds) and not np.all(np.asarray(bounds[0]) <= np.asarray(bounds[1])):
        raise ValueError(f"the lower bound must not exceed the upper one, got {bounds}.")
    return lower, upper
