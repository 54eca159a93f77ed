"""The least value of a linear function on ball and box, and of pieces with a quadratic."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

from fracture.certificates._bounds import Linear
from fracture.certificates._domain import Domain, least
from fracture.certificates._graph import read_network
from fracture.certificates._outputs import boundary
from fracture.certificates._pieces import chords, least as least_of_pieces

INF = float("inf")
TIGHT = {"float32": 1e-4, "float64": 1e-9}  # relative


def problems(dtype, dim=12, count=60):
    """Coefficients of all sizes, boxes that bind and that do not, sides of length 0."""
    rng = np.random.default_rng(0)
    c = rng.normal(size=(count, dim)) * 10.0 ** rng.uniform(-3, 3, (count, dim))
    c[rng.uniform(size=c.shape) < 0.1] = 0
    sides = rng.uniform(size=(2, count, dim)) * 10.0 ** rng.uniform(-2, 1, (2, count, 1))
    sides[rng.uniform(size=sides.shape) < 0.1] = 0
    radius = 10.0 ** rng.uniform(-2, 1.5, count)
    return [np.asarray(each, dtype) for each in (c, radius, -sides[0], sides[1])]


def smallest(c, radius, low, high, ord):
    """In float64: a linear programme, or the root of how long the step is, by bisection."""
    if ord == INF:
        ends = np.maximum(low, -radius), np.minimum(high, radius)
        return np.minimum(c * ends[0], c * ends[1]).sum()
    if ord == 1:
        split = np.concatenate([c, -c])
        ones = np.ones((1, 2 * len(c)))
        limits = list(zip(np.zeros(2 * len(c)), np.concatenate([high, -low]), strict=True))
        return linprog(split, ones, [radius], bounds=limits).fun
    step = lambda weight: np.clip(-c / weight, low, high)
    least, most = 1e-12, 1e12
    for _ in range(200):
        weight = np.sqrt(least * most)
        least, most = (weight, most) if np.linalg.norm(step(weight)) > radius else (least, weight)
    return c @ step(most)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("ord", [1, 2, INF])
def test_least_value_of_a_linear_function(ord, dtype):
    c, radius, *room = problems(dtype)
    x = jnp.zeros(c.shape[1], dtype)
    one = lambda c, radius, room: least(Domain(x, radius, ord, room), c)
    every = jax.jit(jax.vmap(one))
    boxed = every(c, radius, tuple(room))
    for scale in np.asarray([2.0**-70, 2.0**70], dtype):  # squares of which float32 does not have
        scaled = every(scale * c, radius, tuple(room))
        np.testing.assert_allclose(scaled / scale, boxed, rtol=1e-6)
    free = jax.jit(jax.vmap(lambda c, radius: one(c, radius, None)))(c, radius)
    c, radius, low, high = (np.asarray(each, float) for each in (c, radius, *room))
    exact = [smallest(*each, ord) for each in zip(c, radius, low, high, strict=True)]
    dual = {1: INF, 2: 2, INF: 1}[ord]
    for got, wanted in ((boxed, np.array(exact)), (free, -radius * np.linalg.norm(c, dual, 1))):
        wanted = wanted * (1 + 1e-12 * np.sign(wanted))  # what float64 itself rounds
        got = np.asarray(got, float)
        assert (got <= wanted).all()
        assert (got >= wanted - TIGHT[dtype] * np.abs(wanted)).all()


def test_what_is_far_below_a_coefficient_that_cannot_move_still_counts():
    room = jnp.float32([0, -5]), jnp.float32([0, 5])
    domain = Domain(jnp.zeros(2, jnp.float32), jnp.float32(1), 2, room)
    assert -1e-6 < float(least(domain, jnp.float32([1e30, 1e-10]))) <= -1e-10


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", ["relu", "leaky_relu", "tanh"])
def test_least_value_on_pieces_with_a_quadratic(name, dtype):
    """Of c f(x) − g x + w (x − center)²/2 on an interval, against a fine grid."""
    function = getattr(jax.nn, name)
    rng = np.random.default_rng(1)
    count = 200
    center = rng.normal(size=count)
    width = 10.0 ** rng.uniform(-2, 0.5, (2, count))
    given = center - width[0], center + width[1], *rng.normal(size=(2, count)), center
    low, high, scale, slope, center = (jnp.asarray(each, dtype) for each in given)
    weight = jnp.asarray(10.0 ** rng.uniform(-4, 3, count) * (np.arange(count) % 5 > 0), dtype)
    node = read_network(function, low)[-1]

    @jax.jit
    def run(low, high, scale, slope, weight, center):
        one = lambda *each: least_of_pieces(chords(node.expr, *each[:2]), *each[2:])
        return jax.vmap(lambda *each: one(*(part[None] for part in each)))(
            low, high, scale, slope, weight, center
        )[:, 0]

    got = np.asarray(run(low, high, scale, slope, weight, center), float)
    low, high, scale, slope, weight, center = (
        np.asarray(each, float)[:, None] for each in (low, high, scale, slope, weight, center)
    )
    x = low + (high - low) * np.linspace(0, 1, 20_001)
    x = np.append(x, np.clip(0, low, high), axis=1)
    f = np.asarray(function(jnp.asarray(x)))
    wanted = np.min(scale * f - slope * x + weight * (x - center) ** 2 / 2, axis=1)
    size = (
        np.abs(scale) + np.abs(slope) * np.abs(x).max(1, keepdims=True) + np.abs(f).max(1)[:, None]
    )
    size = (size + weight * (high - low) ** 2)[:, 0]
    assert (got <= wanted + 1e-14 * size).all()
    loose = 1e-3 if name == "tanh" else TIGHT[dtype]  # the chords of tanh are not tanh
    assert (got >= wanted - loose * size).all()


@pytest.mark.parametrize("boxed", [False, True])
@pytest.mark.parametrize("ord", [1, 2, np.inf])
def test_what_is_no_number_certifies_nothing(ord, boxed):
    room = (jnp.full(2, -1.0), jnp.full(2, 1.0)) if boxed else None
    domain = Domain(jnp.zeros(2), jnp.ones(()), ord, room)
    for slope in ([np.nan, 1.0], [np.inf, 1.0]):
        assert boundary(domain, Linear(jnp.asarray(slope), jnp.ones(())))[1] == 0
    for constant in (np.nan, np.inf, -np.inf):
        assert boundary(domain, Linear(jnp.ones(2), jnp.asarray(constant)))[1] == 0
    assert boundary(domain, Linear(jnp.ones(2), jnp.asarray(0.1)))[1] > 0.04
