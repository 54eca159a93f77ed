"""Branch and bound against brute force over all linear regions of small networks."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog, nnls

from fracture._problem import pose
from fracture.certificates import _branch
from fracture.certificates._branch import Effort, branch
from fracture.certificates._outputs import prepare, seeds_of
from fracture.certificates._polyhedron import nearest_point
from fracture.certificates._result import wanted
from fracture.perturbation import minimal

EFFORT = Effort(
    rounds=60,
    batch=4,
    pool=256,
    steps=15,
    first_steps=0,
    confined_steps=4,
    narrow=True,
    tolerance=5e-5,
)
HIDDEN = 5


def weights(seed, dim=2, classes=3, dtype=np.float64):
    """Of a network with one hidden layer, and an input."""
    rng = np.random.default_rng(seed)
    first = rng.normal(size=(HIDDEN, dim)), rng.normal(size=HIDDEN)
    last = rng.normal(size=(classes, HIDDEN)), 0.3 * rng.normal(size=classes)
    return [np.asarray(each, dtype) for each in (*first, *last, rng.normal(size=dim))]


def network(first, shift, last, bias, activation=jax.nn.relu):
    return lambda x: last @ activation(first @ x + shift) + bias


def nearest(rows, limits, ord):
    """The norm of the nearest point with rows @ δ ≤ limits, inf where there is none."""
    n, d = rows.shape
    if ord == 2:
        # The dual of a projection is a problem of least squares with multipliers ≥ 0.
        scaled = np.vstack([-rows.T, -limits[None]])
        target = np.append(np.zeros(d), 1.0)
        multipliers, residual = nnls(scaled, target)
        if residual < 1e-9:
            return np.inf
        gap = scaled @ multipliers - target
        return float(np.linalg.norm(gap[:-1] / gap[-1]))
    cost = np.append(np.zeros(d), 1.0)
    cube = np.block([[np.eye(d), -np.ones((d, 1))], [-np.eye(d), -np.ones((d, 1))]])
    left = np.vstack([np.hstack([rows, np.zeros((n, 1))]), cube])
    right = np.append(limits, np.zeros(2 * d))
    answer = linprog(cost, left, right, bounds=[(None, None)] * d + [(0, None)])
    return float(answer.fun) if answer.status == 0 else np.inf


def exact_radius(first, shift, last, bias, x, label, ord, box=None, leak=0.0):
    """The smallest over the signs of all hidden units and over the other classes."""
    least, d = np.inf, len(x)
    inputs = first @ x + shift
    for signs in itertools.product((-1.0, 1.0), repeat=len(shift)):
        sides, slope = np.asarray(signs), np.where(np.asarray(signs) > 0, 1.0, leak)
        for rival in set(range(len(bias))) - {label}:
            c = (last[label] - last[rival]) * slope
            margin = c @ inputs + bias[label] - bias[rival]
            rows = np.vstack([-sides[:, None] * first, (c @ first)[None]])
            limits = np.append(sides * inputs, -margin)
            if box is not None:
                rows = np.vstack([rows, np.eye(d), -np.eye(d)])
                limits = np.concatenate([limits, box[1] - x, x - box[0]])
            least = min(least, nearest(rows, limits, ord))
    return least


def solver(activation, ord, bounds, effort=EFFORT, **options):
    @jax.jit
    def run(first, shift, last, bias, x, label, most, tolerance=EFFORT.tolerance):
        logits_fn = network(first, shift, last, bias, activation)
        problem = pose(logits_fn, x, label, ord, bounds, None)
        known, room = prepare(problem)
        asked = seeds_of(problem), wanted(problem)
        spent = effort._replace(tolerance=jnp.asarray(tolerance, x.dtype))
        return branch(problem, known, room, *asked, most, spent, **options)

    return run


def leaky(x):
    return jnp.maximum(x, 0.2 * x)


@pytest.mark.parametrize(
    ("activation", "ord", "boxed"),
    [(jax.nn.relu, 2, False), (jax.nn.relu, jnp.inf, True), (leaky, 2, True)],
)
def test_closes_the_radius_that_brute_force_finds(activation, ord, boxed):
    box = (-2.0, 2.0) if boxed else None
    bounds = None if box is None else (jnp.asarray(box[0]), jnp.asarray(box[1]))
    run = solver(activation, ord, bounds)
    tried = 0
    for seed in range(12):
        *layers, x = weights(seed)
        x = np.clip(x, -1.9, 1.9)
        label = int(np.argmax(network(*layers, activation)(x)))
        exact = exact_radius(*layers, x, label, ord, box, 0.2 if activation is leaky else 0.0)
        if not 0 < exact < 10:
            continue
        tried += 1
        # From the radius itself, and from one that is too large: then the minimum is found.
        at_most = run(*layers, x, label, jnp.asarray(exact))
        assert at_most.closed
        assert exact * (1 - 1e-4) <= at_most.radius <= exact * (1 + 1e-9)
        above = run(*layers, x, label, jnp.asarray(1.5 * exact))
        assert above.closed
        assert exact * (1 - 1e-4) <= above.radius <= exact * (1 + 1e-9)
        assert exact * (1 - 1e-9) <= above.norm <= exact * (1 + 1e-4)
        moved = network(*layers, activation)(x + np.asarray(above.delta))
        assert np.argmax(moved) != label
    assert tried >= 8


def test_multipliers_in_linf_ascend_without_exact_leaves(monkeypatch):
    """As for large inputs; one input after the other under `vmap`."""
    monkeypatch.setattr(_branch, "MOST_ENTRIES", 0)
    given, exact = [], []
    for seed in range(16):
        *layers, x = weights(seed)
        label = int(np.argmax(network(*layers)(x)))
        radius = exact_radius(*layers, x, label, np.inf)
        if 0 < radius < 10:
            given.append((*layers, x, np.asarray(label), np.asarray(1.2 * radius)))
            exact.append(radius)
    batch = [jnp.asarray(np.stack(each)) for each in zip(*given, strict=True)]
    got = jax.vmap(solver(jax.nn.relu, jnp.inf, None))(*batch)
    share = got.radius / np.asarray(exact)
    assert len(exact) >= 8
    assert (share <= 1 + 1e-9).all()
    assert np.median(share) > 0.999
    assert np.min(share) > 0.85  # five units that are all cut, by multipliers alone


def test_is_a_bound_wherever_it_stops(monkeypatch):
    """However few rounds there are, however small the pool, and how soon a part is done."""
    monkeypatch.setattr(_branch, "MOST_ENTRIES", 0)
    short = EFFORT._replace(rounds=2, batch=2, pool=4, steps=3, narrow=False)
    run = solver(jax.nn.relu, 2, None, short)
    open_ = 0
    for seed in range(12):
        *layers, x = weights(seed)
        label = int(np.argmax(network(*layers)(x)))
        exact = exact_radius(*layers, x, label, 2)
        if not 0 < exact < 10:
            continue
        got = run(*layers, x, label, jnp.asarray(2 * exact))
        assert 0 <= got.radius <= exact * (1 + 1e-9)
        open_ += not got.closed
        for tolerance in (0.4, 0.6):
            got = run(*layers, x, label, jnp.asarray(2 * exact), tolerance)
            assert 0 <= got.radius <= exact * (1 + 1e-9)
    assert open_ > 0


def test_single_precision_stays_below():
    run = solver(jax.nn.relu, 2, None)
    for seed in range(8):
        *layers, x = weights(seed, dtype=np.float32)
        label = int(np.argmax(network(*layers)(x)))
        exact = exact_radius(*(np.asarray(each, float) for each in (*layers, x)), label, 2)
        if not 0 < exact < 10:
            continue
        got = run(*layers, x, label, jnp.asarray(1.2 * exact, jnp.float32))
        assert got.radius.dtype == jnp.float32
        assert exact * (1 - 1e-3) <= got.radius <= exact * (1 + 1e-7)


def test_decides_whether_a_ball_is_safe():
    run = solver(jax.nn.relu, jnp.inf, None, decide=True)
    for seed in range(8):
        *layers, x = weights(seed)
        label = int(np.argmax(network(*layers)(x)))
        exact = exact_radius(*layers, x, label, jnp.inf)
        if not 0 < exact < 10:
            continue
        inside, outside = (run(*layers, x, label, jnp.asarray(s * exact)) for s in (0.99, 1.01))
        assert inside.radius >= 0.99 * exact
        assert inside.norm > 0.99 * exact
        assert outside.radius < 1.01 * exact
        assert outside.norm <= 1.01 * exact


def test_smooth_networks_are_split_in_the_middle():
    """Without kinks nothing is exact, but what descent finds is nearly met from below."""
    run = solver(jnp.tanh, 2, None, EFFORT._replace(rounds=30))
    *layers, x = weights(3)
    label = int(np.argmax(network(*layers, jnp.tanh)(x)))
    found = minimal(network(*layers, jnp.tanh), x, label)
    assert found.found
    got = run(*layers, x, label, found.norm)
    assert 0.95 * found.norm <= got.radius <= found.norm


def test_composes_with_vmap():
    run = solver(jax.nn.relu, 2, None)
    *layers, _ = weights(0)
    xs = np.random.default_rng(1).normal(size=(3, 2))
    labels = np.argmax([network(*layers)(x) for x in xs], axis=1)
    exact = [exact_radius(*layers, x, int(y), 2) for x, y in zip(xs, labels, strict=True)]
    both = jax.jit(jax.vmap(run, (None, None, None, None, 0, 0, 0)))
    got = both(*layers, xs, labels, 1.2 * np.asarray(exact))
    np.testing.assert_allclose(got.radius, exact, rtol=1e-4)
    assert np.all(got.radius <= np.asarray(exact) * (1 + 1e-9))


@pytest.mark.parametrize("ord", [2, jnp.inf])
def test_nearest_point_of_a_polyhedron(ord):
    solve = jax.jit(lambda *given: nearest_point(*given, ord))
    rng = np.random.default_rng(0)
    for _ in range(5):
        rows = rng.normal(size=(6, 4))
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        limits = rng.normal(size=6) * 0.3 - 0.1
        low, high = np.full(4, -np.inf), np.append(np.full(3, np.inf), 0.1)
        delta, multipliers = solve(rows, limits, low, high)
        capped = np.vstack([rows, [0, 0, 0, 1.0]]), np.append(limits, 0.1)
        expected = nearest(*capped, ord)
        assert expected < np.inf
        np.testing.assert_allclose(np.linalg.norm(delta, ord), expected, rtol=1e-6)
        assert np.all(capped[0] @ np.asarray(delta) <= capped[1] + 1e-8)
        assert np.all(multipliers >= 0)


@pytest.mark.parametrize(("seed", "tolerance", "known"), [(58, 0.3, 0.483238), (5, 0.02, 0.929310)])
def test_what_is_dropped_leaves_its_bound_behind(seed, tolerance, known):
    """Also where the smallest perturbation gets smaller after a part was put aside."""
    effort = EFFORT._replace(rounds=300, batch=1, pool=512, steps=3, confined_steps=0, narrow=False)
    keys = jax.random.split(jax.random.key(seed), 4)
    first = jax.random.normal(keys[0], (20, 8)) / 8**0.5
    last = jax.random.normal(keys[2], (3, 20)) / 20**0.5
    shift, x = 0.3 * jax.random.normal(keys[1], (20,)), jax.random.normal(keys[3], (8,))
    label = jnp.argmax(network(first, shift, last, jnp.zeros(3))(x))
    run = solver(jax.nn.relu, 2, None, effort)
    got = run(first, shift, last, jnp.zeros(3), x, label, jnp.asarray(1.3 * known), tolerance)
    assert 0 < got.radius <= known
