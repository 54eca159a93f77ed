"""A distribution as four pure functions, and the tools that make one."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..norms import at_least_float32, first


class Law(NamedTuple):
    """A distribution on the non-negative numbers: four pure functions of arrays.

    `pdf`, `cdf` and `quantile` work element by element on an array of any shape, under `jit`,
    `vmap` and `grad`, and follow its dtype (float32 is as accurate as its rounded argument allows
    in every dimension). Outside the support the density is 0; a probability outside [0, 1] has
    the quantile NaN; NaN gives NaN. `quantile(0)` and `quantile(1)` are the ends of the support.

    Attributes
    ----------
    pdf
        `pdf(x)`: density; None for an empirical law, which has none.
    cdf
        `cdf(x)`: probability of a value of at most `x`.
    quantile
        `quantile(u)`: smallest x with `cdf(x) >= u`.
    sample
        `sample(key, shape=(), dtype=None)`: independent draws.
    """

    pdf: Callable[..., Array] | None
    cdf: Callable[..., Array]
    quantile: Callable[..., Array]
    sample: Callable[..., Array]


def empirical(samples: Float[ArrayLike, " n"]) -> Law:
    """Law of a draw with replacement from `samples`.

    `cdf` is the empirical step function, `quantile` interpolates linearly between the order
    statistics, `sample` resamples, `pdf` is None.

    Parameters
    ----------
    samples
        Draws, shape `(n,)`, n at least 1, without NaN.

    Returns
    -------
    Law
        Without a density; draws have the dtype of `samples` unless another is asked for.

    Raises
    ------
    ValueError
        If `samples` is empty.
    """
    ordered = jnp.sort(jnp.asarray(samples))
    if ordered.size == 0:
        raise ValueError("samples must hold at least one value, got none.")

    def cdf(x):
        x = as_float(x)
        count = jnp.searchsorted(ordered, x.astype(ordered.dtype), side="right")
        return jnp.where(jnp.isnan(x), jnp.nan, (count / ordered.size).astype(x.dtype))

    def quantile(u):
        u = as_float(u)
        inside = (u >= 0) & (u <= 1)
        value = jnp.quantile(ordered, jnp.where(inside, u, 0).astype(ordered.dtype))
        return jnp.where(inside, value, jnp.nan).astype(u.dtype)

    def sample(key, shape=(), dtype=None):
        return jax.random.choice(key, ordered, shape).astype(dtype or ordered.dtype)

    return Law(None, cdf, quantile, sample)


def make_law(
    pdf: Callable[[Array], Array],
    cdf: Callable[[Array], Array],
    draw: Callable[..., Array],
    upper: float,
) -> Law:
    """Law on [0, upper] from its density, its distribution function and its sampler.

    The quantile function is the inverse of `cdf`, the derivatives are `cdf' = pdf` and
    `quantile' = 1 / pdf`. float16 and bfloat16 arguments are evaluated in float32.
    """
    quantile = _inverse(cdf, upper)

    def slope(u):
        density = pdf(quantile(u))
        return jnp.where(density > 0, 1 / density, 0)

    draw = jax.jit(draw, static_argnums=(1, 2))

    def sample(key, shape=(), dtype=None):
        return draw(key, shape, jnp.dtype(dtype or jnp.result_type(float)))

    return Law(
        _in_float32(pdf),
        _in_float32(_with_derivative(cdf, pdf)),
        _in_float32(_with_derivative(quantile, slope)),
        sample,
    )


def _with_derivative(function, derivative):
    function = jax.custom_jvp(function)
    function.defjvp(lambda x, dx: (function(*x), derivative(*x) * dx[0]))
    return function


def _in_float32(function: Callable[[Array], Array]) -> Callable[[ArrayLike], Array]:
    @jax.jit  # the loops inside would compile again at every call outside jit
    def wrapped(x: ArrayLike) -> Array:
        x = as_float(x)
        return function(at_least_float32(x)).astype(x.dtype)

    return wrapped


def _inverse(cdf: Callable[[Array], Array], upper: float) -> Callable[[Array], Array]:
    """Quantile function of a law on [0, upper], to the last bit of `cdf`."""

    def quantile(u: Array) -> Array:
        end = jnp.full(u.shape, upper, u.dtype)
        x = first(lambda x: cdf(x) >= u, jnp.zeros_like(end), end)
        return jnp.where((u >= 0) & (u <= 1), jnp.where(u == 1, end, x), jnp.nan)

    return quantile


def as_float(x: ArrayLike) -> Array:
    """`x` as an array of a floating dtype: its own, or JAX's default for integers."""
    x = jnp.asarray(x)
    return x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.result_type(float))
