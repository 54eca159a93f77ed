"""Chords and lines of activations hold at random points of random intervals, and are close."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ndtr

from fracture.certificates._graph import _Value, _Walk
from fracture.certificates._pieces import chords, least, lines, supporting, supports
from fracture.certificates._scalar import VARIABLE, enclose, evaluate, factored

FUNCTIONS = {
    "relu": jax.nn.relu,
    "leaky_relu": jax.nn.leaky_relu,
    "gelu": lambda x: jax.nn.gelu(x, approximate=True),
    "gelu_exact": lambda x: jax.nn.gelu(x, approximate=False),
    "silu": jax.nn.silu,
    "tanh": jnp.tanh,
    "sigmoid": jax.nn.sigmoid,
    "softplus": jax.nn.softplus,
    "elu": jax.nn.elu,
    "relu6": jax.nn.relu6,
    "hard_tanh": jax.nn.hard_tanh,
    "abs": jnp.abs,
    "square": jnp.square,
    "sin": jnp.sin,
    "selu": jax.nn.selu,
    "celu": jax.nn.celu,
    "mish": jax.nn.mish,
    "hard_swish": jax.nn.hard_swish,
    "exp": lambda x: jnp.exp(x / 4),
    "cube": lambda x: x**3,
    "cancelling": lambda x: jnp.maximum(x + 1e4 - 1e4, 0),
    "normalised": lambda x: jax.nn.elu((x - 0.3) / 1.7 * 2.3 + 0.1),
    "reciprocal": lambda x: 1 / (1 + x**2),
    "rsqrt": lambda x: jax.lax.rsqrt(x**2 + 1e-3),
    "log": lambda x: jnp.log(1 + x**2),
    "step": lambda x: jnp.where(x > 0.5, x, 0 * x),
    "sign": jnp.sign,
}
SINGLE = {  # in float32 alone
    "soft_sign": jax.nn.soft_sign,
    "squareplus": jax.nn.squareplus,
    "log_sigmoid": jax.nn.log_sigmoid,
    "hard_sigmoid": jax.nn.hard_sigmoid,
    "sparse_plus": jax.nn.sparse_plus,
    "power": lambda x: jnp.abs(x) ** 1.5,
    "whole_power": lambda x: jax.lax.pow(x, jnp.asarray(2.0, x.dtype)),
    "ramp": lambda x: x * (x - 0.1 > 0).astype(x.dtype),
    "heaviside": lambda x: (x / 3 > 0.1).astype(x.dtype),
}
CASES = [(name, "float32") for name in FUNCTIONS | SINGLE]
CASES += [(name, "float64") for name in FUNCTIONS]
JUMPS = {"step", "sign", "ramp", "heaviside"}


def envelope(x, y):
    """The convex envelope of points at the middle of their range, by bisection of its slope."""
    middle = (x[:, :1] + x[:, -1:]) / 2
    width, rise = np.diff(x, axis=1), np.diff(y, axis=1)
    slopes = np.where(width > 0, rise / np.where(width > 0, width, 1), 0)
    low, high = slopes.min(axis=1, keepdims=True), slopes.max(axis=1, keepdims=True)
    x = x - middle
    for _ in range(60):
        slope = (low + high) / 2
        lowest = np.argmin(y - slope * x, axis=1)[:, None]
        left = np.take_along_axis(x, lowest, axis=1) < 0
        low, high = np.where(left, slope, low), np.where(left, high, slope)
    return np.min(y - low * x, axis=1)


def at_the_ends(x, y):
    """The slopes at both ends of the convex envelope of points, and of the concave one."""

    def slopes(end):
        run, rise = x - x[:, [end]], y - y[:, [end]]
        apart = np.abs(run) > 1e-3 * (x[:, -1:] - x[:, :1])
        return np.where(apart, rise / np.where(apart, run, 1), np.nan)

    first, last = slopes(0), slopes(-1)
    least, most = partial(np.nanmin, axis=1), partial(np.nanmax, axis=1)
    return least(first), most(last), least(last), most(first)


def grid(low, high):
    """Points from end to end, closer near 0."""
    even = low[:, None] + (high - low)[:, None] * np.linspace(0, 1, 2001)
    near = np.broadcast_to(1e-4 * np.sinh(np.linspace(-12, 12, 2001)), even.shape)
    points = np.clip(np.concatenate([even, near], axis=1), low[:, None], high[:, None])
    return np.sort(points, axis=1)


@jax.jit
def of_pieces(pieces):
    """In a program that all functions of as many pieces share."""
    return pieces.low, pieces.high, lines(pieces)


slopes_at_ends = jax.jit(lambda pieces: jax.tree.leaves(supports(pieces)))


@jax.jit
def supported(pieces, scale, slope):
    """The nearest supporting slope, and the intercepts of the lines of that one and of `slope`."""
    scale, slope = (
        jnp.full(pieces.points[0].shape, v, pieces.points.dtype) for v in (scale, slope)
    )
    nearest = supporting(supports(pieces), scale, slope)
    zero = jnp.zeros_like(scale)
    under = lambda slope: least(pieces, scale, scale * slope, zero, zero)
    return nearest, under(nearest), under(slope)


def expression(function, x):
    """All of an elementwise function, affine or not."""
    closed = jax.make_jaxpr(function)(x)
    (out,) = _Walk(x).run(closed.jaxpr, closed.consts, [_Value(0, VARIABLE)])
    return out.expr


@pytest.mark.parametrize("name", ["relu", "exp", "normalised", "gelu"])
def test_what_is_affine_can_be_taken_out(name):
    x = jnp.linspace(-2.0, 2.0, 9)
    expr = expression(FUNCTIONS[name], x)
    outer, inner = factored(expr)
    assert (inner is VARIABLE) == (name in ("relu", "gelu"))
    np.testing.assert_allclose(evaluate(outer, evaluate(inner, x)), evaluate(expr, x), rtol=1e-12)


@pytest.mark.parametrize(("name", "dtype"), CASES)
def test_lines_and_chords_hold_at_random_points(name, dtype):
    function = (FUNCTIONS | SINGLE)[name]
    rng = np.random.default_rng(0)
    center = rng.normal(size=100) * 10.0 ** rng.uniform(-2, 1, 100)
    width = 10.0 ** rng.uniform(-4, 1, 100) * (np.arange(100) % 10 > 0)  # a tenth are points
    low, high = (jnp.asarray(center + sign * width, dtype) for sign in (-1, 1))
    expr = expression(function, low)

    pieces = jax.jit(lambda low, high: chords(expr, low, high))(low, high)
    least, most, line = of_pieces(pieces)
    line = [np.asarray(part, float) for part in line]
    low, high = np.asarray(low, float), np.asarray(high, float)
    x = np.clip(low + rng.uniform(size=(100, 100)) * (high - low), low, high)
    points = grid(low, high)
    together = np.concatenate([x.T, points], axis=1)  # of one shape, and compiled once
    together = np.asarray(jax.jit(function)(together))
    exact, values = together[:, :100].T, together[:, 100:]
    # What float64 itself rounds, of the exact values and of the lines at x.
    own = 1e-15 * (1 + np.abs(x))
    assert (np.asarray(least, float) <= exact + own).all()
    assert (exact <= np.asarray(most, float) + own).all()
    assert (line[0] * x + line[1] <= exact + own * (1 + np.abs(line[0]))).all()
    assert (exact <= line[2] * x + line[3] + own * (1 + np.abs(line[2]))).all()
    # No two of the points are farther apart than the steepness says.
    rise, run = np.abs(np.diff(exact, axis=0)), np.abs(np.diff(x, axis=0))
    moved = np.asarray(pieces.steepness, float) * np.where(run > 0, run, 1)
    rounding = 2 * np.asarray(pieces.rounding, float) + own[1:]
    assert ((rise <= moved + rounding) | (run == 0)).all()
    # Between them the area is within 1 % of the smallest, but where rounding is all there is.
    best = -envelope(points, -values) - envelope(points, values)
    gap = (line[2] - line[0]) * (low + high) / 2 + line[3] - line[1]
    rounding = 1e6 if name == "cancelling" else 1e3
    rounding *= np.finfo(dtype).eps * (1 + np.abs(points).max(axis=1) + np.abs(values).max(axis=1))
    assert (gap >= best - rounding).all()
    if name not in JUMPS:
        assert (gap <= 1.01 * best + rounding).all()
    # A line of any other slope is nowhere above the one that supports the function.
    if name in JUMPS:
        return
    error = np.asarray(jnp.max(jnp.maximum(pieces.above, pieces.below), axis=0), float)
    for scale, slope in np.random.default_rng(1).normal(size=(4, 2)) * [1, 3]:
        nearest, under, others = (np.asarray(v, float) for v in supported(pieces, scale, slope))
        lost = abs(scale) * (error + rounding * (1 + np.abs(nearest) + abs(slope)))
        for end in (low, high):
            assert (scale * nearest * end + under >= scale * slope * end + others - lost).all()
    # There are as many of those as the envelopes have, up to what chords stand for.
    wide, found = high > low, np.asarray(slopes_at_ends(pieces), float)
    expected = np.stack(at_the_ends(points[wide], values[wide]))
    off = 0.1 * np.ptp(expected, axis=0) + 1e-4 + rounding[wide] / (high - low)[wide]
    assert (np.abs(found[:, wide] - expected) <= off).all()


def test_values_in_a_tail_are_not_what_one_less_another_leaves():
    function, ends = FUNCTIONS["gelu_exact"], np.array([-9, -6.0])
    low, high = jnp.asarray(ends, jnp.float32)
    expr = expression(function, low)
    least, most = jax.jit(lambda a, b: enclose(expr, a, b).value)(low, high)
    exact = ends * ndtr(ends)
    assert float(least) <= exact[1] < exact[0] <= float(most)
