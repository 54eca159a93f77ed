"""What single solvers promise beyond the shared contract, and how they compose with JAX."""

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import problems
import pytest
from jax.sharding import PartitionSpec as P
from solving import mlp, mlp_task

from fracture.perturbation import (
    SOLVERS,
    Status,
    affine,
    as_logits,
    ddn,
    deepfool,
    fmn,
    margin,
    minimal,
    radius,
    refine,
    solve,
)

F32 = jnp.float32


@pytest.mark.fast
def test_margin_and_single_outputs():
    logits = jnp.array([1.0, 4.0, 2.0])
    assert margin(logits, 1) == 2
    assert margin(logits, 0) == -3
    assert margin(logits, 0, 2) == -1
    for label, target in [(3, None), (-1, None), (0, 3), (0, -1), (1, 1)]:
        target = None if target is None else jnp.int32(target)
        assert jnp.isnan(margin(logits, jnp.int8(label), target))
    assert jnp.isnan(margin(jnp.array([1, jnp.nan, 0]), 0))
    for f in (jnp.float32(3.0), jnp.array([3.0], jnp.bfloat16)):
        np.testing.assert_array_equal(as_logits(f).astype(float), [1.5, -1.5])
        assert as_logits(f).dtype == f.dtype
        assert margin(f, 0) == 3
    with pytest.raises(ValueError, match="label"):
        margin(logits, 3)


def test_minimal_is_the_shortest_and_refine_never_lengthens():
    params, inputs, labels = mlp_task()
    run = functools.partial(solve, mlp, params, inputs, labels, bounds=(0.0, 1.0))
    best = run(solver=minimal, effort="low")
    found = [run(solver=solver) for solver in (deepfool, ddn)]
    for other in found:
        # Two searches that end in one minimum agree to what float32 resolves of the network.
        assert (best.norm <= other.norm * (1 + best.gap) * (1 + 1e-5)).all()

    def polish(x, y, delta):
        network = functools.partial(mlp, params)
        return refine(network, x, y, delta, bounds=(0.0, 1.0))

    polished = jax.jit(jax.vmap(polish))(inputs, labels, found[0].delta)
    assert (polished.norm <= found[0].norm * (1 + 1e-6)).all()
    assert (polished.norm < found[0].norm * 0.999).any()


@pytest.mark.fast
@pytest.mark.parametrize("name", ["affine", "deepfool"])
def test_a_masked_class_changes_nothing(name):
    def network(mask, z):
        return jnp.concatenate([jnp.stack([-z[0], z[0]]), mask[None]])

    @jax.jit
    @jax.vmap
    def run(mask, x, label):
        return SOLVERS[name](functools.partial(network, mask), x, label)

    masks = jnp.array([-1e4, -1e9, -jnp.inf], F32)
    x = jnp.array([1.0, 0.0], F32)
    for label, sign in [(1, 1), (0, -1)]:
        got = run(masks, jnp.stack([sign * x] * 3), jnp.full(3, label))
        np.testing.assert_allclose(got.norm, 1, rtol=1e-3)
        np.testing.assert_array_equal(got.adversarial_label, 1 - label)


@pytest.mark.fast
@pytest.mark.parametrize("outputs", [1, 2])
def test_what_is_found_is_more_than_the_rounding_of_logits_that_vanish(outputs):
    rng = np.random.default_rng(6)
    xs = rng.uniform(-1e-3, 1e-3, (64, 1)).astype(np.float32)
    offsets = rng.uniform(1, 2, 64).astype(np.float32)

    def network(offset, z):
        f = (z[0] + offset) / outputs
        return f if outputs == 1 else jnp.stack([f, -f])

    one = lambda x, offset: affine(functools.partial(network, offset), x, 0)
    got = jax.jit(jax.vmap(one))(xs, offsets)
    assert got.found.all()
    heights = np.asarray(xs + got.delta, float)[:, 0] + offsets
    assert (heights < -offsets * float(jnp.finfo(F32).eps)).all()  # half of the slack


def test_refine_keeps_what_is_short_already_where_logits_are_coarse():
    rng = np.random.default_rng(0)
    weight = jnp.asarray(rng.normal(size=(3, 64)), F32)
    inputs = jnp.asarray(rng.uniform(size=(200, 64)), F32)
    network = lambda z: (weight @ (z - 0.5)).astype(jnp.bfloat16)
    labels = jax.vmap(lambda x: jnp.argmax(network(x)))(inputs)
    found = jax.jit(jax.vmap(functools.partial(affine, network)))(inputs, labels)
    got = jax.jit(jax.vmap(functools.partial(refine, network)))(inputs, labels, found.delta)
    assert got.found.sum() >= found.found.sum() > 190
    assert (got.norm <= found.norm * (1 + 1e-6)).all()
    answers = jnp.argmax((inputs + got.delta - 0.5) @ weight.T, 1)
    np.testing.assert_array_equal(answers[got.found], got.adversarial_label[got.found])


@pytest.mark.parametrize("bounds", [None, (0.0, 1.0)])
def test_gap_brackets_the_boundary(bounds):
    params, inputs, labels = mlp_task()
    got = solve(mlp, params, inputs, labels, solver=ddn, bounds=bounds)
    inside = inputs + (1 - got.gap)[:, None, None, None] * got.delta
    answers = jax.vmap(lambda x: jnp.argmax(mlp(params, x)))(inside)
    free = np.ones(len(labels), bool)
    if bounds is not None:
        points = inputs + got.delta
        free = ((points > bounds[0]) & (points < bounds[1])).all((1, 2, 3))
    assert free.sum() >= 3
    np.testing.assert_array_equal(answers[free], labels[free])
    assert got.gap.max() < 1e-3


@pytest.mark.fast
def test_vmap_and_loop_agree():
    params, inputs, labels = mlp_task(num=4)
    one = lambda x, y: ddn(functools.partial(mlp, params), x, y, bounds=(0.0, 1.0), steps=10)
    want = jax.jit(jax.vmap(one))(inputs, labels)
    compiled = jax.jit(one)
    rtol = 2 * want.gap.max()  # a norm is known to within its bracket
    assert rtol < 1e-3
    for i in range(4):
        single = compiled(inputs[i], labels[i])
        np.testing.assert_allclose(single.norm, want.norm[i], rtol=rtol)
        assert single.adversarial_label == want.adversarial_label[i]


@pytest.mark.parametrize("name", SOLVERS)
def test_traces_inside_shard_map(name):
    params, inputs, labels = mlp_task(num=2)
    mesh = jax.sharding.Mesh(jax.devices()[:1], ("batch",))

    def one(params, x, y):
        return SOLVERS[name](functools.partial(mlp, params), x, y, bounds=(0.0, 1.0))

    sharded = jax.shard_map(
        jax.vmap(one, (None, 0, 0)),
        mesh=mesh,
        in_specs=(P(), P("batch"), P("batch")),
        out_specs=P("batch"),
    )
    assert jax.eval_shape(sharded, params, inputs, labels).delta.shape == inputs.shape


def test_traced_target_and_label_in_one_compilation():
    problem = problems.affine(4, 2, False, np.float64, num=1)
    weight, bias = problem.params
    x, label = problem.inputs[0], problem.labels[0]

    @jax.jit
    @chex.assert_max_traces(1)
    def run(label, target):
        return affine(lambda z: jnp.asarray(weight) @ z + bias, x, label, target=target)

    norms = []
    eager = affine(lambda z: jnp.asarray(weight) @ z + bias, x, int(label))
    np.testing.assert_allclose(eager.norm, problem.radius[0], rtol=1e-6)
    for target in set(range(4)) - {int(label)}:
        got = run(jnp.int32(label), jnp.int32(target))
        pair = weight[label] - weight[target]
        want = (pair @ x + bias[label] - bias[target]) / np.linalg.norm(pair)
        np.testing.assert_allclose(got.norm, want, rtol=1e-6)
        norms.append(got.norm)
    np.testing.assert_allclose(min(norms), problem.radius[0], rtol=1e-6)
    for bad in (-1, 4, label):
        assert run(jnp.int32(label), jnp.int32(bad)).status == Status.NOT_FINITE


@pytest.mark.parametrize(("dtype", "input_dtype"), [("bfloat16", "float32"), ("float16",) * 2])
def test_half_precision_networks_and_inputs(dtype, input_dtype):
    params, inputs, labels = mlp_task(num=8)
    low = jax.tree.map(lambda p: p.astype(dtype), params)
    half = lambda p, x: mlp(p, x.astype(dtype))
    exact = solve(mlp, params, inputs, labels, solver=ddn)
    labels = jax.vmap(lambda x: jnp.argmax(half(low, x)))(inputs)
    xs = inputs.astype(input_dtype)
    got = solve(half, low, xs, labels, solver=ddn)
    assert got.found.sum() >= 6
    assert got.delta.dtype == xs.dtype
    points = (xs + got.delta)[got.found]
    answers = jax.vmap(lambda x: jnp.argmax(half(low, x)))(points)
    assert (answers != labels[got.found]).all()
    assert np.median((got.norm.astype(F32) / exact.norm)[got.found]) < 1.5


def test_norms_of_half_precision_inputs_do_not_overflow():
    x = jnp.zeros(8, jnp.float16)
    options = dict(ord=1, bounds=(0.0, 2e4))
    network = lambda z: 1.5e5 - jnp.sum(z.astype(F32))
    got = affine(network, x, 0, **options)
    assert got.found
    assert got.delta.dtype == x.dtype
    assert got.norm.dtype == got.gap.dtype == F32
    assert 1.5e5 < got.norm < 1.6e5
    np.testing.assert_array_equal(got.norm, jnp.sum(got.delta.astype(F32)))
    value = lambda x: radius(network, x, 0, solver=affine, **options)
    assert value(x) == got.norm
    assert jax.grad(value)(x).dtype == x.dtype


@pytest.mark.fast
@pytest.mark.parametrize("solver", [fmn, ddn])
def test_descents_start_outside_the_bounds_at_any_scale(solver):
    def one(scale):
        network = lambda z: jnp.stack([jnp.sum(z / scale), 0 * scale])
        x = jnp.array([1.5, 0.5], F32) * scale
        return solver(network, x, 0, bounds=(-scale, scale))

    scales = jnp.array([1e-20, 1, 1e20], F32)
    got = jax.jit(jax.vmap(one))(scales)
    np.testing.assert_allclose(got.norm / scales, np.sqrt(2), rtol=1e-3)


@pytest.mark.fast
@pytest.mark.parametrize("solver", [fmn, ddn])
def test_a_slope_that_changes_by_any_factor_costs_a_step_at_most(solver):
    # The margin falls by 1/2 until |x| = 1/2, and by as much again within 1/steepness of it.
    def one(steepness):
        network = lambda z: jnp.stack([1 - z[0] - steepness * jax.nn.relu(z[0] - 0.5), 0 * z[0]])
        return solver(network, jnp.zeros(2, F32), 0, steps=20)

    got = jax.jit(jax.vmap(one))(jnp.array([2.0**20, 2.0**45, 2.0**60], F32))
    assert (got.status == Status.FOUND).all()
    # The last search leaves a bracket of this width around so sharp a bend.
    np.testing.assert_allclose(got.norm, 0.5, rtol=5e-3)


def test_bounds_hold_to_the_last_bit_and_inputs_may_start_outside():
    rng = np.random.default_rng(4)
    lower = -(10.0 ** rng.uniform(-6, 3, (64, 5))).astype(np.float32)
    upper = (10.0 ** rng.uniform(-6, 3, (64, 5))).astype(np.float32)
    xs = rng.uniform(lower, upper).astype(np.float32)
    xs[::4] = 1.5 * upper[::4]
    weight = rng.normal(size=(64, 5)).astype(np.float32)
    # The boundary lies just inside the corner where the output is least.
    least = (weight * np.where(weight > 0, lower, upper)).sum(1)
    offset = -0.999 * least

    def one(x, w, b, l, u):
        return affine(lambda z: jnp.sum(w * z) + b, x, 0, bounds=(l, u), ord=np.inf)

    got = jax.jit(jax.vmap(one))(xs, weight, offset, lower, upper)
    assert got.found.mean() > 0.95
    points = xs + np.asarray(got.delta)
    inside = (points >= lower) & (points <= upper)
    assert inside[np.asarray(got.found)].all()


def test_ddn_options():
    problem = problems.affine(10, 2, False, np.float32, num=32)
    run = functools.partial(
        solve, problem.apply, problem.params, problem.inputs, problem.labels, solver=ddn
    )
    best = {
        loss: np.asarray(run(loss=loss).norm) / problem.radius
        for loss in ("soft_margin", "margin", "cross_entropy")
    }
    assert np.median(best["margin"]) < 1.001
    assert np.median(best["margin"]) <= np.median(best["cross_entropy"])
    # The default ends in the nearest class, whatever the scale of the logits.
    assert np.mean(best["soft_margin"] < 1.001) > 0.9
    assert np.mean(best["soft_margin"]) <= np.mean(best["margin"]) + 1e-4
    for scale in (1e-3, 1e3):
        scaled = problems.affine(10, 2, False, np.float32, num=32, scale=scale)
        got = solve(scaled.apply, scaled.params, scaled.inputs, scaled.labels, solver=ddn)
        assert np.mean(np.asarray(got.norm) < 1.001 * scaled.radius) > 0.9
    network = functools.partial(problem.apply, problem.params)
    for options in (dict(ord=1), dict(loss="mse"), dict(steps=0), dict(gamma=1.0)):
        with pytest.raises(ValueError, match=r"ord|loss|steps|gamma"):
            ddn(network, problem.inputs[0], 0, **options)
    with pytest.raises(ValueError, match="effort"):
        minimal(network, problem.inputs[0], 0, effort="extreme")
    with pytest.raises(ValueError, match="delta"):
        refine(network, problem.inputs[0], 0, problem.inputs[0, :3])
    with pytest.raises(ValueError, match="overshoot"):
        deepfool(network, problem.inputs[0], 0, overshoot=-1.0)


BOX = (-0.4, 0.5)


@pytest.mark.parametrize(("ord", "bounds"), [(1, BOX), (2, None), (np.inf, BOX)])
def test_radius_has_the_derivative_of_the_minimum(ord, bounds):
    rng = np.random.default_rng(5)
    curve = jnp.asarray(0.1 * rng.normal(size=(5, 5)))
    theta = jnp.asarray(rng.normal(size=5))
    x = jnp.asarray(rng.uniform(-0.2, 0.2, 5))

    def value(theta, x):
        network = lambda z: theta @ z + jnp.sum(jnp.tanh(curve @ z) ** 2) + 0.3
        return radius(network, x, 0, ord=ord, bounds=bounds, solver=solver)

    def solver(*args, **options):  # precise, as finite differences need it
        return refine(*args, -theta, steps=60, **options)

    both = jax.jit(jax.grad(value, (0, 1)))(theta, x)
    value = jax.jit(value)
    step = 1e-4
    for argument, got in enumerate(both):
        for i in range(5):
            shift = jnp.zeros(5).at[i].set(step)
            ends = [
                value(theta + s * shift, x) if argument == 0 else value(theta, x + s * shift)
                for s in (1, -1)
            ]
            want = (ends[0] - ends[1]) / (2 * step)
            np.testing.assert_allclose(got[i], want, rtol=1e-3, atol=1e-4)
    assert value(theta, x) > 0


def test_radius_modes_and_degenerate_inputs():
    def value(theta, x):
        return radius(lambda z: theta * jnp.sum(z), x, 0, solver=affine)

    x = jnp.ones(3)
    want = (0.0, np.full(3, 1 / np.sqrt(3)))
    for jacobian in (jax.jacrev, jax.jacfwd):
        got = jax.jit(jacobian(value, (0, 1)))(2.0, x)
        np.testing.assert_allclose(got[0], want[0], atol=1e-6)
        np.testing.assert_allclose(got[1], want[1], rtol=1e-6)
    grad = jax.jit(jax.grad(value, (0, 1)))
    # Misclassified; no boundary; no valid input.
    for theta, bad, want in [
        (-1.0, 1.0, 0),
        (0.0, 1.0, np.inf),
        (2.0, np.nan, np.inf),
        (2.0, np.inf, np.inf),
    ]:
        got = grad(theta, x.at[1].set(bad))
        np.testing.assert_array_equal(got[0], 0)
        np.testing.assert_array_equal(got[1], 0)
        assert value(theta, x.at[1].set(bad)) == want


@pytest.mark.parametrize("name", ["affine", "deepfool", "fmn", "pgd", "minimal"])
def test_a_saturated_head_hides_no_boundary(name):
    """Two logits ±z / 2 with z affine behind softmax: confident, but the boundary is z = 0."""
    rng = np.random.default_rng(0)
    confidence = np.repeat(1 - 10.0 ** -np.arange(1, 8), 8)
    weight, xs = rng.normal(size=(2, len(confidence), 6))
    height = np.log(confidence / (1 - confidence))
    bias = height - (weight * xs).sum(1)
    exact = height / np.linalg.norm(weight, axis=1)

    @jax.jit
    @jax.vmap
    def run(weight, bias, x):
        half = lambda z: (jnp.sum(weight * z) + bias) / 2
        return SOLVERS[name](lambda z: jax.nn.softmax(jnp.stack([half(z), -half(z)])), x, 0)

    got = run(*(jnp.asarray(a, F32) for a in (weight, bias, xs)))
    assert got.found.all()
    np.testing.assert_allclose(got.norm, exact, rtol=1e-2)
    assert got.gap.max() < 0.02


@pytest.mark.parametrize(("name", "within"), [("affine", 2), ("ddn", 1.001), ("pgd", 1.001)])
def test_steps_off_a_point_without_a_gradient(name, within):
    """At a prototype the derivative of the distance from it is 0/0."""
    prototypes = jnp.array([[0.0, 0, 0], [2, 0, 0], [0, 3, 0]], jnp.float32)
    network = lambda x: -jnp.sqrt(jnp.sum((x[None] - prototypes) ** 2, 1))
    solve = jax.jit(jax.vmap(lambda x, y: SOLVERS[name](network, x, y)))
    found = solve(prototypes, jnp.arange(3))
    assert (found.status == Status.FOUND).all()
    ratio = np.asarray(found.norm) / [1, 1, 1.5]  # half the distance to the nearest other one
    assert (ratio >= 1).all()
    assert (ratio < within).all()


@pytest.mark.parametrize("name", ["affine", "deepfool", "fab", "superdeepfool"])
def test_a_tie_is_left_by_a_step_out_of_its_rounding(name):
    network = lambda z: jnp.stack([z[0], jnp.ones_like(z[0])])
    found = SOLVERS[name](network, jnp.float32([1.0, 0.5]), 0)
    assert found.found
    assert 0 < found.norm < 1e-6


def test_no_gradient_anywhere_is_not_finite():
    network = lambda x: jnp.stack([jnp.sqrt(0 * jnp.sum(x)) + 1, jnp.sum(x)])  # 0/0 at every x
    found = ddn(network, jnp.zeros(3), 0)
    assert found.status == Status.NOT_FINITE
    assert jnp.isinf(found.norm)
