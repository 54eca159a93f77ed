"""Solvers once refined, at a fixed radius, made of solvers; local minima and the residual."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import problems
import pytest
from solving import check, mlp, mlp_task, run

from fracture._checks import check_counts
from fracture.perturbation import (
    SOLVERS,
    Perturbation,
    Status,
    fab,
    fgsm,
    fmn,
    minimal,
    optimality_residual,
    over_classes,
    over_radii,
    over_restarts,
    pgd,
    refine,
    solve,
)

F32, F64 = np.float32, np.float64


SCALES = [(1, 1), (1e30, 1), (1e-30, 1), (1, 1e30), (1, 1e-30)]  # of logits and inputs


CASES = [(name, ord, ord != 2) for name in SOLVERS for ord in (1, 2, np.inf)]
CASES = [case for case in CASES if case[0] != "ddn" or case[1] == 2]
CASES += [("minimal", 1, False), ("minimal", 2, True), ("minimal", np.inf, False), ("ddn", 2, True)]


@pytest.mark.parametrize(("name", "ord", "boxed"), CASES)
def test_exact_once_refined_in_the_class_reached_at_any_scale(name, ord, boxed):
    for problem in at_any_scale(ord, boxed):
        reached = run(problem, SOLVERS[name])
        got = refined(problem, reached)
        assert reached.found.all()
        assert got.found.all()
        weight, bias = (np.asarray(p, float) for p in problem.params)
        for i in range(len(problem.labels)):
            pair = [problem.labels[i], reached.adversarial_label[i]]
            exact = problems.affine_radius(
                weight[pair], bias[pair], problem.inputs[i], 0, ord, problem.bounds
            )
            limit = 1e-4 if name == "minimal" else 1e-3
            assert got.norm[i] <= exact * (1 + limit) + problem.rounding[i]
            assert got.norm[i] >= exact * (1 - 1e-6) - problem.rounding[i]
        if name in ("affine", "minimal"):
            np.testing.assert_array_less(got.norm, problem.radius * (1 + 1e-4) + problem.rounding)


@functools.cache
def at_any_scale(ord, boxed):
    return [
        problems.affine(10, ord, boxed, F32, scale=scale, input_scale=unit)
        for scale, unit in SCALES
    ]


def refined(problem, reached):
    """Towards the classes that a solver reached, in a program that all solvers share."""
    given = problem.inputs, problem.labels, reached.delta, reached.adversarial_label
    got = _refined(problem.ord, problem.params, *given, problem.bounds)
    return jax.tree.map(np.asarray, got)


@functools.partial(jax.jit, static_argnums=0)
def _refined(ord, params, inputs, labels, deltas, targets, bounds):
    network = functools.partial(problems.affine_apply, params)
    one = lambda x, y, delta, target: refine(
        network, x, y, delta, ord=ord, bounds=bounds, target=target
    )
    return jax.vmap(one)(inputs, labels, deltas, targets)


@pytest.mark.parametrize(("name", "ord"), [("pgd", 2), ("apgd", np.inf), ("fgsm", 2)])
def test_a_fixed_radius_decides(name, ord):
    problem = problems.affine(2, ord, True, F32, num=32)
    network = functools.partial(problem.apply, problem.params)

    @jax.jit
    @jax.vmap
    def attack(x, y, radius):
        return SOLVERS[name](network, x, y, radius=radius, ord=ord, bounds=problem.bounds)

    radius = problem.radius.astype(F32)
    for factor in (0.5, 0.99):
        got = attack(problem.inputs, problem.labels, factor * radius)
        assert (got.status == Status.NOT_FOUND).all()
    got = jax.tree.map(np.asarray, attack(problem.inputs, problem.labels, 1.05 * radius))
    check(problem, got)
    assert got.found.all()
    assert (got.norm <= 1.05 * radius).all()


def test_random_starts_depend_on_the_key_alone():
    params, inputs, labels = mlp_task(num=8)
    run = functools.partial(solve, mlp, params, inputs, labels, ord=np.inf, steps=3)
    single = functools.partial(run, solver="pgd")
    first, again = single(key=jax.random.key(0)), single(key=jax.random.key(0))
    np.testing.assert_array_equal(first.delta, again.delta)
    assert (first.delta != single(key=jax.random.key(1)).delta).any()
    # The best of several starts at each radius, and the best of several searches.
    for solver, grads in ((over_radii(over_restarts(pgd, 4)), 97), (over_restarts("pgd", 4), 100)):
        several = run(solver=solver, key=jax.random.key(0))
        assert several.norm.mean() < first.norm.mean()
        np.testing.assert_array_equal(several.num_grads, grads)
    adam = single(optimizer=optax.adam(0.1))
    assert adam.found.all()
    with pytest.raises(TypeError, match="key"):
        run(solver=over_restarts(pgd, 2), radius=1.0)
    with pytest.raises(ValueError, match="radius"):
        single(radius=-1.0)


def test_a_search_over_radii_halves_a_bracket():
    """An attack that needs a radius of 3.1, where the linearised boundary is at 1."""

    def attack(logits_fn, x, label, *, radius, ord, bounds, target):
        found = radius >= 3.1
        status = jnp.where(found, Status.FOUND, Status.NOT_FOUND)
        norm = jnp.where(found, radius, jnp.inf)
        return Perturbation(radius * x, norm, found, label, radius, jnp.int32(5), status)

    search = lambda num, **options: over_radii(attack, num)(
        lambda z: z[0], jnp.ones(1), 0, ord=np.int64(2), **options
    )
    for num, want in [(2, np.inf), (3, 4), (4, 4), (5, 3.5), (6, 3.25), (7, 3.125), (8, 3.125)]:
        got = search(num)  # at 1, 2, 4, 3, 3.5, 3.25, 3.125, 3.0625
        assert got.found == (num > 2)
        np.testing.assert_allclose(got.norm, want, rtol=1e-6)
        np.testing.assert_allclose(got.delta, 1 if num == 2 else want, rtol=1e-6)
        assert got.num_grads == 5 * num + 1
    assert search(8, radius=2.0).status == Status.NOT_FOUND
    assert search(8, radius=7.0).norm == 7
    assert over_radii(attack) is over_radii(attack, 8) is over_radii(attack, num=8)
    assert over_radii("fgsm", 3) is over_radii(fgsm, 3)
    with pytest.raises(ValueError, match="num"):
        over_radii(attack, 0)


def test_every_class_finds_the_nearest_one():
    problem = problems.affine(10, 2, False, F32)
    check(problem, run(problem, over_classes(fmn)), 2e-3)
    single = run(problem, fmn, loss="margin")
    assert (single.norm > 1.01 * problem.radius).any()  # one run alone may end in another class
    assert over_classes(fmn) is over_classes("fmn", 9)
    wrong = (problem.labels + 1) % 10
    got = run(problem._replace(labels=wrong), over_classes(fmn))
    assert (got.status == Status.MISCLASSIFIED).all()
    np.testing.assert_array_equal(got.norm, 0)
    np.testing.assert_array_equal(got.num_grads, 0)
    with pytest.raises(ValueError, match="num_classes"):
        over_classes(fmn, 0)


def test_restarts_keep_the_best_and_depend_on_the_key_alone():
    params, inputs, labels = mlp_task(num=8)

    def attack(solver, seed):
        one = lambda x, y, k: solver(
            functools.partial(mlp, params), x, y, bounds=(0.0, 1.0), steps=3, key=k
        )
        keys = jax.random.split(jax.random.key(seed), 8)
        return jax.jit(jax.vmap(one))(inputs, labels, keys)

    single, several = attack(fab, 0), attack(over_restarts(fab, 8), 0)
    again, other = attack(over_restarts(fab, 8), 0), attack(over_restarts(fab, 8), 1)
    np.testing.assert_array_equal(several.norm, again.norm)
    assert (several.norm != other.norm).any()
    assert several.norm.mean() < single.norm.mean()
    with pytest.raises(ValueError, match="num"):
        over_restarts(fab, 0)


def relu_net(params, x):
    (w0, b0), (w1, b1) = params
    return w1 @ jax.nn.relu(w0 @ x + b0) + b1


@pytest.mark.parametrize("ord", [1, 2, np.inf])
def test_refine_ends_in_local_minima_of_piecewise_linear_networks(ord):
    rng = np.random.default_rng(3)
    draw = lambda *size: jnp.asarray(rng.normal(size=size))
    params = (draw(16, 3), draw(16)), (draw(3, 16), draw(3))
    inputs = draw(24, 3)
    labels = jax.vmap(lambda x: jnp.argmax(relu_net(params, x)))(inputs)
    got = jax.tree.map(np.asarray, solve(relu_net, params, inputs, labels, ord=ord))
    # Nothing adversarial around an answer is shorter by 0.2 %; most answers lie at a kink.
    for x, y, delta, norm in zip(inputs, labels, got.delta, got.norm, strict=True):
        sizes = norm * 10.0 ** rng.uniform(-4, -2, (4000, 1))
        around = delta + sizes * rng.normal(size=(4000, 3))
        around *= (0.998 * norm / np.linalg.norm(around, ord, axis=1))[:, None].clip(max=1)
        points = np.asarray(x)[None] + around
        answers = jax.vmap(lambda z: jnp.argmax(relu_net(params, z)))(points)
        assert (answers == y).all()


@pytest.mark.parametrize("ord", [1, 2, np.inf])
def test_the_least_effort_finds_a_way_where_linearisations_lead_nowhere(ord):
    def one(key):
        keys = jax.random.split(key, 3)
        x, out = (jax.random.normal(k, (n,)) for k, n in zip(keys[:2], (16, 32), strict=True))
        hidden = jax.random.normal(keys[2], (32, 16))
        network = lambda z: out @ jax.nn.relu(hidden @ z)  # untrained
        label = jnp.where(network(x) > 0, 0, 1)
        return minimal(network, x, label, ord=ord, effort="low").found

    assert jax.jit(jax.vmap(one))(jax.random.split(jax.random.key(5), 256)).all()


@pytest.mark.parametrize("ord", [1, 2, np.inf])
@pytest.mark.parametrize("bounds", [None, (-1.0, 1.0)])
def test_residual_is_zero_at_minima_and_the_angle_elsewhere(ord, bounds):
    problem = problems.affine(3, ord, bounds is not None, F64)
    network = functools.partial(problem.apply, problem.params)
    one = lambda x, y, delta: optimality_residual(network, x, y, delta, ord=ord, bounds=bounds)
    residual = jax.jit(jax.vmap(one))
    best = run(problem, minimal)
    got = residual(problem.inputs, problem.labels, best.delta)
    np.testing.assert_allclose(got, 0, atol=1e-6)
    if bounds is None:
        other = best.delta + 0.1 * np.random.default_rng(0).normal(size=best.delta.shape)
        got = residual(problem.inputs, problem.labels, other)
        dual = {1: np.inf, 2: 2, np.inf: 1}[ord]
        for x, y, delta, value in zip(problem.inputs, problem.labels, other, got, strict=True):
            logits = problem.params[0] @ (x + delta) + problem.params[1]
            rival = np.argmax(np.where(np.arange(3) == y, -np.inf, logits))
            g = problem.params[0][y] - problem.params[0][rival]
            want = 1 + delta @ g / np.linalg.norm(delta, ord) / np.linalg.norm(g, dual)
            np.testing.assert_allclose(value, np.minimum(want, 1), rtol=1e-6)
    assert jnp.isnan(residual(problem.inputs, problem.labels, 0 * best.delta)).all()


def test_options_out_of_range():
    network, x = lambda z: jnp.stack([jnp.sum(z), 0 * z[0]]), jnp.ones(3)
    for solver, options, message in [
        (fmn, dict(steps=0), "steps"),
        (fmn, dict(gamma=1.0), "gamma"),
        (fab, dict(steps=0), "steps"),
        (fab, dict(overshoot=0.5), "overshoot"),
        (fab, dict(bias=2.0), "bias"),
        (fmn, dict(steps=True), "steps"),
        (fab, dict(overshoot=np.inf), "overshoot"),
        (SOLVERS["deepfool"], dict(overshoot=np.nan), "overshoot"),
        (SOLVERS["superdeepfool"], dict(overshoot=np.nan), "overshoot"),
        (pgd, dict(radius=np.float32(-1)), "radius"),
        (pgd, dict(radius=jnp.inf), "radius"),
        (SOLVERS["apgd"], dict(radius=jnp.float32(jnp.nan)), "radius"),
        (SOLVERS["fgsm"], dict(radius=1 + 2j), "radius"),
    ]:
        with pytest.raises(ValueError, match=message):
            solver(network, x, 0, **options)
    with pytest.raises(ValueError, match="delta"):
        optimality_residual(network, x, 0, x[:2])
    with pytest.raises(ValueError, match=r"steps must be an integer of at least 1, got 2\.5"):
        check_counts(steps=2.5)


@pytest.mark.fast
def test_traced_bounds_out_of_order_are_a_status():
    network, x = lambda z: jnp.stack([jnp.sum(z), 0 * z[0]]), jnp.ones(3)
    run = lambda low: SOLVERS["affine"](network, x, 0, bounds=(low, 2.0), ord=np.int64(2)).status
    got = jax.jit(jax.vmap(run))(jnp.array([-2.0, 3.0]))
    assert got.tolist() == [Status.FOUND, Status.NOT_FINITE]
