"""Type aliases shared by every part."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeAlias

import jax
import numpy as np
from jax.typing import ArrayLike

Key: TypeAlias = jax.Array
"""A typed PRNG key, from `jax.random.key`."""

LogitsFn: TypeAlias = Callable[..., Any]
"""`logits_fn(x) -> logits[K]` for one input of any shape; one output f stands for (f/2, -f/2)."""

Apply: TypeAlias = Callable[..., Any]
"""`apply(params, x) -> logits[K]` for one input; what the batch entry points take."""

TrainApply: TypeAlias = Callable[..., tuple[Any, Any]]
"""`train_apply(params, xs) -> (logits[n, K], statistics)` for a batch; `statistics` holds new
values for the leaves of `params` that are not trained, and None for the others."""

Order: TypeAlias = int | float | np.integer | np.floating | Literal["inf"]
"""Order of an l_p norm: 1, 2 or `jnp.inf`, as in `jnp.linalg`; "inf" is inf."""

Bounds: TypeAlias = tuple[ArrayLike, ArrayLike]
"""`(lower, upper)`: scalars or arrays that broadcast against the input."""

Labels: TypeAlias = ArrayLike | Sequence[Any]
"""Integers in 0 … K - 1: a JAX or NumPy array or scalar of any integer dtype, or a list."""
