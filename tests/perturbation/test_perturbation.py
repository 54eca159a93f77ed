"""Every solver on every problem with a known answer, and the contract that all of them share."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from solving import check, run

from fracture.perturbation import (
    SOLVERS,
    Perturbation,
    Status,
    affine_radius,
    margin,
    minimal,
)

F32, F64 = np.float32, np.float64
AFFINE = [  # classes, order, boxed, dtype
    (2, 2, True, F32),
    (3, np.inf, False, F64),
    (10, 1, True, F64),
    (100, 2, False, F32),
]


@pytest.mark.parametrize("case", AFFINE, ids=str)
def test_minimal_is_exact_on_affine_networks(case):
    for scale in (1e-3, 1.0, 1e3):
        problem = problems.affine(*case, scale=scale)
        check(problem, run(problem, SOLVERS["minimal"]), 1e-4)


def test_minimal_is_exact_where_the_input_lies_outside_the_bounds():
    rng = np.random.default_rng(0)
    num, dim = 64, 4
    weight, bias = rng.normal(size=(num, 3, dim)), 0.5 * rng.normal(size=(num, 3))
    lower, upper = -rng.uniform(0.1, 1.5, (num, dim)), rng.uniform(0.1, 1.5, (num, dim))
    x = rng.uniform(lower, upper) + (rng.random((num, dim)) < 0.5) * rng.normal(size=(num, dim))
    label = (np.einsum("nkd,nd->nk", weight, x) + bias).argmax(1)

    def one(weight, bias, x, label, *bounds):
        network = lambda z: weight @ z + bias
        exact = affine_radius(weight, bias, x, label, bounds=bounds)
        return minimal(network, x, label, bounds=bounds, effort="low"), exact.radius

    got, exact = jax.jit(jax.vmap(one))(weight, bias, x, label, lower, upper)
    np.testing.assert_array_equal(got.found, np.isfinite(exact))
    np.testing.assert_allclose(got.norm, exact, rtol=1e-6)


@pytest.mark.parametrize("name", ["affine", "deepfool", "ddn"])
def test_solvers_on_affine_networks_at_any_scale(name):
    case = (10, 2, name != "affine", F32)
    for scale, unit in [(1, 1), (1e-3, 1), (1e3, 1), (1, 1e30), (1, 1e-30), (1e30, 1), (1e-30, 1)]:
        problem = problems.affine(*case, scale=scale, input_scale=unit)
        got = run(problem, SOLVERS[name])
        assert got.found.all()
        check(problem, got, 1e-3 if name == "affine" else None)


@pytest.mark.parametrize("ord", [1, 2, np.inf])
@pytest.mark.parametrize("boxed", [False, True])
def test_closed_form_is_the_infimum(ord, boxed):
    closed = lambda w, b, x, y, box: affine_radius(w, b, x, y, ord=ord, bounds=box)
    mapped = jax.jit(jax.vmap(closed, (None, None, 0, 0, None)))
    for scale in (1.0, 1e20):
        problem = problems.affine(4, ord, boxed, F64, scale=scale, input_scale=1 / scale)
        weight, bias = map(jnp.asarray, problem.params)
        got = mapped(weight, bias, problem.inputs, problem.labels, problem.bounds)
        np.testing.assert_allclose(got.radius, problem.radius, rtol=1e-10)
        gaps = jax.vmap(margin)(
            (problem.inputs + got.delta) @ weight.T + bias[None], problem.labels
        )
        np.testing.assert_allclose(gaps / scale, 0, atol=1e-12)


@pytest.mark.parametrize(
    ("make", "ord", "name", "rtol"),
    [
        (problems.warped, 1, "deepfool", 1e-2),
        (problems.warped, 2, "ddn", 1e-2),
        (problems.ball, 2, "affine", 1e-3),  # the boundary lies along the gradient
        (problems.ball, np.inf, "minimal", 1e-3),
    ],
)
def test_solvers_on_curved_problems(make, ord, name, rtol):
    problem = make(ord, F32)
    check(problem, run(problem, SOLVERS[name]), rtol)


HARD = [  # x, label, slope, offset → status
    (np.ones(3), 0, 1.0, 0.5, Status.FOUND),
    (np.ones(3), 1, 1.0, 0.5, Status.MISCLASSIFIED),
    (np.ones(3), 0, 0.0, 0.5, Status.NOT_FOUND),  # constant logits, label wins
    (np.ones(3), 0, 0.0, 0.0, Status.NOT_FOUND),  # constant logits, a tie
    (np.ones(3), -1, 1.0, 0.5, Status.NOT_FINITE),
    (np.ones(3), 2, 1.0, 0.5, Status.NOT_FINITE),
    (np.array([1, np.nan, 1]), 0, 1.0, 0.5, Status.NOT_FINITE),
    (np.array([1, np.inf, 1]), 0, 1.0, 0.5, Status.NOT_FINITE),
    (np.ones(3), 0, np.nan, 0.5, Status.NOT_FINITE),
    (np.ones(3), 0, 1.0, np.inf, Status.NOT_FINITE),
]


@pytest.mark.fast
@pytest.mark.parametrize("name", SOLVERS)
def test_status_of_each_kind_of_input(name):
    x, label, slope, offset, status = zip(*HARD, strict=True)

    def one(x, label, slope, offset):
        return SOLVERS[name](lambda z: slope * jnp.sum(z) + offset, x, label)

    columns = (np.stack(x), np.array(label), np.array(slope), np.array(offset))
    got = jax.jit(jax.vmap(one))(*map(jnp.asarray, columns))
    assert isinstance(got, Perturbation)
    assert got.status.tolist() == list(status)
    assert got.found.tolist() == [s <= Status.MISCLASSIFIED for s in status]
    assert np.isfinite(got.delta).all()
    np.testing.assert_array_equal(got.norm[1:], [0] + [np.inf] * 8)
    np.testing.assert_array_equal(got.delta[1:], 0)
    np.testing.assert_array_equal(got.adversarial_label, [1, 0] + [-1] * 8)
    np.testing.assert_array_equal(got.gap[1:], [0] + [1] * 8)
    np.testing.assert_allclose(got.norm[0], 3.5 / np.sqrt(3), rtol=1e-3)
    assert got.num_grads[0] >= 1
    assert got.num_grads[1] == 0


@pytest.mark.parametrize("name", SOLVERS)
def test_misuse_raises_while_tracing(name):
    solver, network, x = SOLVERS[name], lambda z: jnp.stack([jnp.sum(z), 0 * z[0]]), jnp.ones(3)
    for wrong, error, message in [
        (lambda: solver(network, x, 2), ValueError, r"label must be in \[0, 2\)"),
        (lambda: solver(network, x, -1), ValueError, "label"),
        (lambda: solver(network, x, 0.0), TypeError, "labels must be integers, got float64"),
        (lambda: solver(network, x, jnp.zeros(2, jnp.int32)), ValueError, "one integer"),
        (lambda: solver(network, x, 0, target=2), ValueError, "target"),
        (lambda: solver(network, x, 0, target=0), ValueError, "another class"),
        (lambda: solver(network, x.astype(jnp.int32), 0), TypeError, "floating"),
        (lambda: solver(network, x[:0], 0), ValueError, "empty"),
        (lambda: solver(lambda z: z[None], x, 0), ValueError, "vector of logits"),
        (lambda: solver(lambda z: jnp.int32(1), x, 0), TypeError, "logits"),
        (lambda: solver(network, x, 0, ord=3), ValueError, "ord must be"),
        (lambda: solver(network, x, 0, bounds=(1.0, 0.0)), ValueError, "exceed"),
        (lambda: solver(network, x, 0, bounds=(x, np.float32(0))), ValueError, "exceed"),
        (lambda: solver(network, x, 0, bounds=(jnp.zeros(2), 1.0)), ValueError, "broadcast"),
    ]:
        with pytest.raises(error, match=message):
            jax.eval_shape(wrong)


@pytest.mark.parametrize("name", SOLVERS)
def test_lowers_for_accelerators(name):
    network = lambda w, z: w @ z.ravel()
    solver = lambda w, x, y: SOLVERS[name](functools.partial(network, w), x, y, bounds=(0.0, 1.0))
    args = jnp.ones((3, 12), F32), jnp.ones((2, 3, 4, 1), F32), jnp.zeros(2, jnp.int32)
    batched = jax.jit(jax.vmap(solver, (None, 0, 0)))
    exported = jax.export.export(batched, platforms=["tpu", "cuda"])(*args)
    assert exported.out_avals[0].shape == (2, 3, 4, 1)


def shallow(params, x):
    w, b, v, c = params
    return jnp.sum(v * jax.nn.relu(jnp.sum(w * x[None], axis=1) + b)[None], axis=1) + c


@functools.partial(jax.jit, static_argnums=0)
def search_each(effort, params, inputs, labels):
    one = lambda p, x, y: minimal(functools.partial(shallow, p), x, y, effort=effort)
    return jax.vmap(jax.vmap(one, (None, 0, 0)))(params, inputs, labels)


def small_networks(name):
    """Parameters, inputs, labels and radii that a branch-and-bound solver has proved."""
    with np.load(Path(__file__).parents[1] / "fixtures" / "small_relu_radii.npz") as archive:
        parts = [archive[f"{name}/{part}"] for part in ("w", "b", "v", "c", "x", "y", "radius")]
    return tuple(parts[:4]), *parts[4:]


@pytest.mark.parametrize(
    ("name", "effort", "most"), [("5-24-3", "high", 1.001), ("6-4-5", "medium", 1.01)]
)
def test_minimal_finds_the_nearest_of_many_minima(name, effort, most):
    params, inputs, labels, exact = small_networks(name)
    ratio = np.asarray(search_each(effort, params, inputs, labels).norm) / exact
    ratio = ratio[np.isfinite(exact)]
    assert ratio.size >= 40
    assert ratio.min() > 1 - 1e-3  # to which the radii are proved
    assert np.quantile(ratio, 0.95) < most
    assert ratio.max() < 1.05


def test_more_effort_finds_nothing_longer():
    # What each adds alone is up to 0.2 % worse than low here, at medium effort, and at high up to
    # 8 % worse than medium.
    keys = jax.random.split(jax.random.key(0), 4)
    shapes = (16, 65), (16, 16), (6, 16)
    pairs = zip(keys, shapes, strict=False)
    weights = [jax.random.normal(k, (64, *s), F64) * (2 / s[1]) ** 0.5 for k, s in pairs]
    inputs = jax.random.normal(keys[-1], (64, 65), F64)

    def network(weights, x):
        first, second, last = weights
        return last @ jax.nn.relu(second @ jax.nn.relu(first @ x))

    @jax.jit
    @jax.vmap
    def norms(weights, x):
        logits_fn = functools.partial(network, weights)
        label = jnp.argmax(logits_fn(x))
        efforts = ("low", "medium", "high")
        return [minimal(logits_fn, x, label, effort=effort).norm for effort in efforts]

    low, medium, high = norms(weights, inputs)
    assert (medium <= low * (1 + 1e-5)).all()
    assert (high <= medium * (1 + 1e-5)).all()


def test_minimal_leaves_the_region_where_a_network_is_constant():
    w = np.random.default_rng(0).normal(size=(4, 6)).astype(F32)
    v = np.random.default_rng(5).normal(size=(5, 4)).astype(F32)
    x = np.random.default_rng(1).normal(size=6).astype(F32)
    # Padded to the shapes of the test above, which compiles once.
    shape = small_networks("6-4-5")[1].shape
    count, each = shape[:2]
    stack = lambda a: np.broadcast_to(a, (count, *a.shape)).copy()
    params = tuple(map(stack, (w, np.zeros(4, F32), v, np.zeros(5, F32))))
    inputs = np.broadcast_to(x, shape).copy()
    label = np.argmax(v @ np.maximum(w @ x, 0))
    got = search_each("medium", params, inputs, np.full((count, each), label, np.int32))
    assert label == 2
    np.testing.assert_allclose(got.norm, 0.9642, rtol=5e-3)  # proved by the script of the fixture
