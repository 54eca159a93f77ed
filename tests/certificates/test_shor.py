"""Quadratic bounds: never above the truth, never below linear ones, and often closer."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture.certificates import certify
from fracture.certificates._ascend import begin as begin_ascent
from fracture.certificates._bounds import best_linear, fixed, relax, substitute
from fracture.certificates._domain import Domain, least
from fracture.certificates._graph import read_network
from fracture.certificates._pieces import chords
from fracture.certificates._shor import (
    _largest,
    _powers,
    _summed,
    _top,
    begin,
    best_quadratic,
    bound,
    chain,
    least_of_pieces,
)

STEPS = 60
pytestmark = pytest.mark.usefixtures("chords_broadcast")


@pytest.fixture
def chords_broadcast():
    """Chords have a leading axis that broadcasts."""
    with jax.numpy_rank_promotion("allow"):
        yield


DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def layers(rng, widths, dtype):
    return [
        (
            rng.normal(size=(n, m)).astype(dtype) / np.sqrt(m).astype(dtype),
            rng.normal(size=n).astype(dtype) / 2,
        )
        for m, n in pairwise(widths)
    ]


def network(weights, activation):
    def function(x):
        for w, b in weights[:-1]:
            x = activation(jnp.dot(w, x) + b)
        return jnp.dot(weights[-1][0], x) + weights[-1][1]

    return function


def known_of(function, x):
    return fixed(read_network(function, x), x)


def lowest(domain, row):
    return row.constant + least(domain, row.slope)


def both(function, x, radius, ord, room, seed, steps=STEPS):
    """Margins of the closest lines, of the ascended ones, and of quadratics."""
    known = known_of(function, x)
    domain = Domain(x, radius, ord, room)
    relaxed, _ = relax(known, domain)
    at = len(known.nodes) - 1
    plain = substitute(known.nodes, relaxed, at, seed, x)
    linear, _ = best_linear(known.nodes, relaxed, at, seed, x, domain, None, steps)
    links = chain(known)
    better, _ = best_quadratic(known, links, relaxed, domain, seed, linear, None, steps)
    return jnp.stack([lowest(domain, row) for row in (plain, linear, better)])


def smallest(function, x, radius, ord, room, seed):
    """By projected descent from many points: an upper bound of the minimum that is met mostly."""
    rng = np.random.default_rng(5)
    starts = jnp.asarray(rng.normal(size=(400, x.size)), x.dtype)

    def project(delta):
        if ord == 2:
            delta = delta * jnp.minimum(1, radius / jnp.linalg.norm(delta))
        else:
            delta = jnp.clip(delta, -radius, radius)
        return delta if room is None else jnp.clip(delta, room[0], room[1])

    value = lambda delta: jnp.sum(seed * function(x + delta))

    def descend(delta):
        def step(at, delta):
            grad = jax.grad(value)(delta)
            length = radius * 0.97 ** at.astype(x.dtype)
            return project(
                delta - length * grad / (jnp.linalg.norm(grad) + jnp.asarray(1e-20, x.dtype))
            )

        return jax.lax.fori_loop(0, 120, step, project(delta))

    return jnp.min(jax.vmap(lambda delta: value(descend(delta)))(starts))


@pytest.mark.parametrize(
    ("case", "dtype"),
    [
        ("ball", np.float32),
        ("ball", np.float64),
        ("gelu", np.float32),
        ("box", np.float32),
        ("linf", np.float64),
    ],
)
def test_between_linear_bounds_and_the_truth(case, dtype):
    """On one network of each kind for several inputs, in each norm, with a box and without."""
    rng = np.random.default_rng(3)
    weights = layers(rng, (5, 8, 7, 3), dtype)
    function = network(weights, jax.nn.gelu if case == "gelu" else jax.nn.relu)
    ord = jnp.inf if case == "linf" else 2
    x = jnp.asarray(rng.normal(size=(6, 5)), dtype)
    seeds = jnp.asarray(rng.normal(size=(6, 3)), dtype)
    room = (jnp.full(5, -0.3, dtype), jnp.full(5, 0.2, dtype)) if case == "box" else None
    radius = jnp.asarray(0.3 if case == "linf" else 0.6, dtype)
    run = lambda x, seed: (
        both(function, x, radius, ord, room, seed),
        smallest(function, x, radius, ord, room, seed),
    )
    made, truth = jax.jit(jax.vmap(run))(x, seeds)
    plain, linear, better = np.asarray(made).T
    rounding = 20 * np.finfo(dtype).eps  # of the network itself, where it was evaluated
    assert (better <= truth + rounding).all()
    assert (better >= linear).all()
    assert (better >= plain).all()
    if case in ("ball", "gelu"):  # a box says much of what quadratics say
        assert np.median((better - linear) / (truth - linear)) > 0.25


@DTYPES
def test_any_multipliers_give_a_bound(dtype):
    """Random ones, far from any that are good, and domination that is barely enough."""
    rng = np.random.default_rng(8)
    function = network(layers(rng, (4, 6, 6, 6, 2), dtype), jax.nn.relu)
    x, seed = jnp.asarray(rng.normal(size=4), dtype), jnp.asarray([1, -1], dtype)
    radius = jnp.asarray(0.5, dtype)

    @jax.jit
    def margins(keys):
        known, domain = known_of(function, x), Domain(x, radius, 2, None)
        relaxed, _ = relax(known, domain)
        links = chain(known)
        start = begin(known, links, relaxed, seed)
        leaves, tree = jax.tree.flatten(start)

        def one(key):
            keys = jax.random.split(key, len(leaves) + 1)
            scale = 10 ** jax.random.uniform(keys[0], (), dtype, -2, 0.5)
            moved = [
                leaf + scale * jax.random.normal(k, leaf.shape, dtype)
                for leaf, k in zip(leaves, keys[1:], strict=True)
            ]
            given = jax.tree.unflatten(tree, moved)
            tight = {
                at: split._replace(log_excess=jnp.full((), -80, dtype))
                for at, split in given.splits.items()
            }
            rows = [
                bound(known, links, relaxed, domain, seed, each)
                for each in (given, given._replace(splits=tight))
            ]
            return jnp.stack([lowest(domain, row) for row in rows])

        return jax.vmap(one)(keys), smallest(function, x, radius, 2, None, seed)

    made, truth = margins(jax.random.split(jax.random.key(0), 300))
    made = np.asarray(made)
    assert (~np.isnan(made[:, 0])).all()
    assert np.nanmax(made) <= truth + 20 * np.finfo(dtype).eps
    assert np.max(made[:, 0]) > np.min(made[:, 0]) + 0.1


@DTYPES
def test_a_bound_on_a_ball_holds_for_smaller_ones(dtype):
    """A row is a bound of the function itself at every point within the radius."""
    rng = np.random.default_rng(4)
    function = network(layers(rng, (4, 9, 2), dtype), jax.nn.relu)
    x, seed = jnp.asarray(rng.normal(size=4), dtype), jnp.asarray([1, -1], dtype)
    radius = jnp.asarray(0.8, dtype)

    @jax.jit
    def measured(shares):
        known, domain = known_of(function, x), Domain(x, radius, 2, None)
        relaxed, _ = relax(known, domain)
        links = chain(known)
        row = bound(known, links, relaxed, domain, seed, begin(known, links, relaxed, seed))

        def within(share):
            inner = Domain(x, radius * share, 2, None)
            return lowest(inner, row), smallest(function, x, inner.radius, 2, None, seed)

        return jax.vmap(within)(shares)

    made, truth = map(np.asarray, measured(jnp.asarray([1e-3, 0.1, 0.5, 1], dtype)))
    assert (made <= truth + 20 * np.finfo(dtype).eps).all()


@DTYPES
@pytest.mark.parametrize("activation", [jax.nn.relu, jnp.tanh, jnp.abs])
def test_the_least_of_pieces_is_that_of_a_grid(activation, dtype):
    """Below every value of the quadratic with the function, and near the smallest."""
    rng = np.random.default_rng(1)
    size = 200
    low = jnp.asarray(rng.normal(size=size) - 1, dtype)
    high = low + jnp.asarray(rng.exponential(size=size) * 2, dtype)
    scale, slope = (jnp.asarray(rng.normal(size=size), dtype) for _ in range(2))
    bend, weight = (jnp.asarray(rng.exponential(size=size), dtype) for _ in range(2))
    center = low + (high - low) * jnp.asarray(rng.uniform(size=size), dtype)
    value = activation(center)
    node = read_network(activation, low)[-1]
    while node.kind != "scalar":
        node = read_network(activation, low)[node.parents[0]]
    given = scale, bend, value, slope, weight, center
    got = jax.jit(lambda *given: least_of_pieces(chords(node.expr, low, high), *given))(*given)
    given = [np.asarray(each, float) for each in given]
    scale, bend, value, slope, weight, center = given
    low, high = np.asarray(low, float), np.asarray(high, float)
    kink = np.clip(np.zeros((1, size)), low, high)
    z = np.concatenate([low + np.linspace(0, 1, 4001)[:, None] * (high - low), kink])
    f = np.asarray(activation(jnp.asarray(z)))
    grid = scale * f - bend * (f - value) ** 2 / 2 - slope * z + weight * (z - center) ** 2 / 2
    want = np.min(grid, axis=0)
    got = np.asarray(got, float)
    assert (got <= want + 20 * np.finfo(dtype).eps).all()
    np.testing.assert_allclose(got, want, atol=5e-3 if activation is jnp.tanh else 1e-3)


def test_ascents_go_on_and_networks_that_are_no_chains_are_told():
    rng = np.random.default_rng(0)
    function = network(layers(rng, (3, 5, 2), np.float32), jax.nn.relu)
    x, seed = jnp.ones(3, np.float32), jnp.asarray([1, -1], np.float32)

    @jax.jit
    def ascended():
        known, domain = known_of(function, x), Domain(x, jnp.float32(0.5), 2, None)
        relaxed, _ = relax(known, domain)
        links = chain(known)
        plain = substitute(known.nodes, relaxed, len(known.nodes) - 1, seed, x)

        def step(now, _):
            row, now = best_quadratic(known, links, relaxed, domain, seed, plain, now, 20)
            return now, lowest(domain, row)

        none = begin_ascent(begin(known, links, relaxed, seed))
        return lowest(domain, plain), *jax.lax.scan(step, none, length=3)

    plain, now, rows = ascended()
    assert int(now.time) == 60
    assert rows[-1] > rows[0] >= plain

    def is_chain(function):
        found = []
        jax.eval_shape(lambda x: found.append(chain(known_of(function, x))), x)
        return found != [None]

    assert is_chain(function)
    assert not is_chain(lambda x: x[:2] + function(jnp.tanh(x)))  # a residual
    assert not is_chain(lambda x: x * jnp.sum(x))
    assert not is_chain(lambda x: 2 * x)


@DTYPES
def test_linear_functions_on_a_ball_cut_by_a_box(dtype):
    """No point has a smaller value, where the corner of the box is within the ball too."""
    rng = np.random.default_rng(0)
    room = jnp.full(5, -0.3, dtype), jnp.full(5, 0.2, dtype)
    domain = Domain(jnp.zeros(5, dtype), jnp.asarray(0.6, dtype), 2, room)
    c = rng.normal(size=(100, 5)).astype(dtype)
    got = jax.jit(jax.vmap(lambda c: least(domain, c)))(jnp.asarray(c))
    points = rng.normal(size=(20000, 5))
    points = 0.6 * points / np.linalg.norm(points, axis=1, keepdims=True)
    values = np.min(c.astype(float) @ np.clip(points, -0.3, 0.2).T, axis=1)
    assert (np.asarray(got, float) <= values + 1e-6).all()
    np.testing.assert_allclose(got, values, atol=0.15)


@DTYPES
def test_eigenvalues_come_of_squares(dtype):
    """Never below numpy's, and close; the inverse is near; of one vector and of many equal ones."""
    rng = np.random.default_rng(3)
    n = 24
    spectra = [
        np.geomspace(1, 1e-3, n),
        np.ones(n),
        np.where(np.arange(n), 0, 1e6),
        np.linspace(1e-6, 1, n),
        np.zeros(n),
    ]
    turn = np.linalg.qr(rng.normal(size=(n, n)))[0]
    matrices = np.stack([(turn * each) @ turn.T for each in spectra]).astype(dtype)
    v = rng.normal(size=n).astype(dtype)

    @jax.jit
    @jax.vmap
    def measured(gram):
        powers = _powers(gram)
        largest = _largest(powers)
        return largest, _top(powers), _summed(powers, 1.1 * largest, jnp.asarray(v))

    largest, top, inverse = map(np.asarray, measured(matrices))
    exact = np.linalg.eigvalsh(matrices.astype(np.float64))[:, -1]
    assert (largest >= exact).all()
    np.testing.assert_allclose(largest[:-1], exact[:-1], rtol=0.03)  # 24 equal ones: 24^(1/128)
    assert largest[-1] < 1e-15
    quotients = np.einsum("bi,bij,bj->b", top, matrices.astype(np.float64), top)
    np.testing.assert_allclose(quotients[:-1], exact[:-1], rtol=0.02)
    for gram, most, got in zip(matrices[:-1], largest, inverse, strict=False):
        wanted = np.linalg.solve(np.eye(n) - gram.astype(np.float64) / (1.1 * most), v)
        np.testing.assert_allclose(got, wanted, atol=1e-3 * np.abs(wanted).max())


@DTYPES
def test_where_slopes_vanish(dtype):
    """At the middle of an even function no slope pays for the diagonal; dead units need none."""
    x, near = np.zeros(2, dtype), dtype(0.48)
    w = np.array([[1, 0.5]], dtype)
    size = np.linalg.norm(w).astype(dtype)

    def even(z):
        return jnp.stack([(near * size) ** 2, jnp.square(jnp.dot(jnp.asarray(w), z))[0]])

    def dead(z):
        return jnp.stack(
            [jnp.ones((), dtype), jnp.sum(jax.nn.relu(jnp.dot(jnp.asarray(w), z) - 9))]
        )

    radius = lambda f: certify(f, x, 0, method="shor", effort="low").radius
    of_even, of_dead = jax.jit(lambda: (radius(even), radius(dead)))()
    assert 0.25 < of_even <= near
    assert 7 < of_dead <= 10 / size * (1 + 1e-6)


def test_margins_belong_to_the_radius_and_the_closest_class_limits_it():
    """Among sampled points of the ball no margin is below; the closest class is least certified."""
    rng = np.random.default_rng(31)
    weights = layers(rng, (4, 10, 6), np.float64)
    function = network(weights, jax.nn.relu)
    x = rng.normal(size=4)
    label = int(np.argmax(function(x)))
    run = jax.jit(
        lambda target=None: certify(function, x, label, target=target, method="shor", effort="low")
    )
    got = run()
    points = rng.normal(size=(2000, 4))
    points = x + got.radius * points / np.linalg.norm(points, axis=1, keepdims=True)
    logits = np.asarray(jax.jit(jax.vmap(function))(points))
    margins = logits[:, [label]] - logits
    assert (np.asarray(got.margins) <= margins.min(axis=0) + 1e-9).all()
    others = np.arange(6) != label
    assert int(got.closest) == np.flatnonzero(others)[np.argmin(np.asarray(got.margins)[others])]
    alone = run(got.closest)
    np.testing.assert_allclose(alone.radius, got.radius, rtol=0.1)
