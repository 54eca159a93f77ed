"""Certified radii: below every perturbation, equal to the exact ones, of any kind of network."""

import itertools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from scipy.optimize import linprog

from fracture import models
from fracture.certificates import CertificateStatus, _bounds, bracket, certify, margins
from fracture.perturbation import minimal, solve

INF = float("inf")


def network(kind):
    """A small network of each kind of step; parameters are arguments."""
    if kind == "conv":
        made = models.cnn((8, 8, 1), 3, channels=(2, 4), kernel_size=3)
        return made.apply, made.init(jax.random.key(0)), (8, 8, 1)
    if kind == "attention":
        layer = nnx.MultiHeadAttention(
            num_heads=1, in_features=4, decode=False, deterministic=True, rngs=nnx.Rngs(0)
        )
        norm = nnx.LayerNorm(4, rngs=nnx.Rngs(1))
        graph, params = nnx.split((layer, norm))

        def apply(params, x):
            layer, norm = nnx.merge(graph, params)
            return jnp.sum(norm(x + layer(x)), axis=0)[:3]

        return apply, params, (3, 4)
    made = models.mlp(6, 3, widths=(8, 8), activation=kind)
    return made.apply, made.init(jax.random.key(0)), (6,)


def inputs(shape, count=4):
    return jax.random.normal(jax.random.key(1), (count, *shape), jnp.float32)


def labels(apply, params, xs):
    return jnp.argmax(logits_of(apply, params, xs), axis=-1)


def logits_of(apply, params, xs):
    return jax.jit(jax.vmap(apply, (None, 0)))(params, xs)


@pytest.mark.parametrize(
    "kind", ["relu", "gelu", "tanh", "leaky_relu", "silu", "conv", "attention"]
)
def test_no_point_of_the_ball_is_below_the_margins(kind):
    apply, params, shape = network(kind)
    xs = inputs(shape)
    ys = labels(apply, params, xs)
    got = solve(apply, params, xs, ys, solver=certify, method="crown")
    assert (got.status == CertificateStatus.CERTIFIED).all()
    assert (got.radius > 0).all()
    # To the corners of a cross of random directions, and of the signs of the gradients.
    steps = jax.random.normal(jax.random.key(2), (256, *xs.shape), jnp.float32)
    axes = tuple(range(2, steps.ndim))
    steps = steps / jnp.linalg.vector_norm(steps, axis=axes, keepdims=True)
    points = xs[None] + steps * got.radius.reshape(1, -1, *[1] * len(shape))
    logits = logits_of(apply, params, points.reshape(-1, *shape))
    logits = logits.reshape(*points.shape[:2], -1)
    own = jnp.take_along_axis(logits, ys[None, :, None], axis=-1)
    assert (own - logits >= got.margins[None] - 1e-6).all()
    attacked = solve(apply, params, xs, ys, solver="ddn", steps=30)
    assert (got.radius <= attacked.norm).all()


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_a_slope_that_is_a_constant_whatever_its_size(scale):
    """Its squares would be 0 or infinite."""
    network = lambda z: jnp.stack([scale * z[0] - 0.1 * scale, 0 * z[0]])
    one = lambda x: certify(network, x, 0, method="crown")
    for got in (one(np.float32([0.9])), jax.jit(one)(np.float32([0.9]))):
        assert 0.7999 < got.radius <= 0.8 + 1e-7
        assert (got.margins >= 0).all()


@pytest.mark.parametrize(("ord", "box"), [(1, True), (2, True), (2, False), (INF, False)])
def test_methods_are_below_what_is_found_and_improve(ord, box):
    apply, params, shape = network("relu")
    xs = inputs(shape, 6)
    ys = labels(apply, params, xs)
    asked = {"ord": ord, "bounds": (xs.min() - 0.1, xs.max() + 0.1) if box else None}
    found = solve(apply, params, xs, ys, solver=minimal, **asked)
    radii = {}
    for method in ("crown", "offset"):
        got = solve(apply, params, xs, ys, solver=certify, method=method, **asked)
        assert (got.radius <= found.norm).all()
        assert (got.radius > 0).all()
        radii[method] = got.radius
    assert radii["offset"].mean() >= radii["crown"].mean() * (1 - 1e-3)


def test_ascended_lines_reach_the_linear_program():
    """What linear programs for every unit certify: nothing above it, and within 1 % of it here."""
    sizes, rng = (5, 10, 10, 10, 2), np.random.default_rng(0)
    weights = [rng.normal(size=(m, n)) / n**0.5 for n, m in itertools.pairwise(sizes)]
    x = rng.normal(size=sizes[0])

    def apply(z):
        for weight in weights[:-1]:
            z = jax.nn.relu(weight @ z)
        return weights[-1] @ z

    label = int(np.argmax(apply(x)))
    radius = float(certify(apply, x, label, ord=INF, method="alpha", effort="high").radius)
    margin = (2 * label - 1) * (weights[-1][1] - weights[-1][0])
    assert least_by_programs(weights, margin, x, radius) >= -1e-9
    assert least_by_programs(weights, margin, x, 1.01 * radius) < 0


def least_by_programs(weights, margin, x, radius):
    """The least margin in a cube, each unit bounded by linear programs of ReLU's triangles."""
    d, rows, limits, ends = len(x), [], [], [(at - radius, at + radius) for at in x]
    before = slice(0, d)  # the columns of the layer before

    def solved(direction, columns):
        cost = np.zeros(len(ends))
        cost[columns] = direction
        given = (np.array(rows)[:, : len(ends)], limits) if rows else (None, None)
        return linprog(cost, *given, bounds=ends).fun

    for weight in weights[:-1]:
        inside = [(solved(row, before), -solved(-row, before)) for row in weight]
        after = slice(len(ends), len(ends) + len(weight))
        width = after.stop
        rows = [np.pad(row, (0, width - len(row))) for row in rows]
        for unit, (low, high) in enumerate(inside):
            slope = high / (high - low) if low < 0 < high else float(low >= 0)
            for sign, steep, most in ((1, slope, -slope * min(low, 0)), (-1, 1, 0)):
                row = np.zeros(width)
                row[before], row[after.start + unit] = -sign * steep * weight[unit], sign
                rows.append(row)
                limits.append(most)
            ends.append((0, max(high, 0)))
        before = after
    return solved(margin, before)


@pytest.mark.parametrize("ord", [1, 2, INF])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("method", ["crown", "branch"])  # there is nothing to take apart
def test_affine_networks_are_exact(method, dtype, ord):
    weight = jax.random.normal(jax.random.key(0), (3, 5), dtype) * 1e3
    xs = jax.random.normal(jax.random.key(1), (5, 5), dtype)
    ys = jnp.argmax(xs @ weight.T, axis=-1)
    affine = lambda w, x: w @ x
    asked = {"method": method, "effort": "low", "ord": ord}
    got = solve(affine, weight, xs, ys, solver=certify, **asked)
    found = solve(affine, weight, xs, ys, solver="affine", ord=ord)
    assert got.radius.dtype == dtype
    assert (got.radius <= found.norm).all()
    np.testing.assert_allclose(got.radius, found.norm, rtol=1e-3 if dtype == "float32" else 2e-5)


def test_a_bracket_meets_where_the_network_is_small():
    made = models.mlp(2, 2, widths=(6,), dtype=jnp.float64)
    params = made.init(jax.random.key(3))
    xs = jax.random.normal(jax.random.key(1), (3, 2), jnp.float64)
    ys = labels(made.apply, params, xs)
    asked = {"method": "branch", "effort": "low"}
    both = solve(made.apply, params, xs, ys, solver=bracket, **asked)
    assert (both.low <= both.high).all()
    np.testing.assert_allclose(both.low, both.high, rtol=2e-4)
    assert (both.certificate.status == CertificateStatus.EXACT).all()
    # Given nothing, it finds the perturbation itself.
    alone = solve(made.apply, params, xs, ys, solver=certify, **asked)
    np.testing.assert_allclose(alone.radius, both.high, rtol=2e-4)
    assert (alone.radius <= both.high).all()
    assert (alone.status == CertificateStatus.EXACT).all()


def test_a_bracket_ends_at_the_shorter_perturbation_that_branch_and_bound_met():
    """With two of these inputs `minimal` at low effort stops 2 % above the smallest."""

    @jax.jit
    def both(key):
        keys = jax.random.split(key, 4)
        first, last = jax.random.normal(keys[0], (24, 6)), jax.random.normal(keys[2], (3, 24))
        shift, x = 0.3 * jax.random.normal(keys[1], (24,)), jax.random.normal(keys[3], (6,))
        network = lambda z: last @ jax.nn.relu(first @ z / 6**0.5 + shift) / 24**0.5
        label = jnp.argmax(network(x))
        found = minimal(network, x, label, effort="low")
        return bracket(network, x, label, method="branch", effort="low"), found.norm

    for seed in (14, 24):
        got, low_effort = both(jax.random.key(seed))
        assert got.low <= got.high < 0.99 * low_effort


def test_where_nothing_is_found_branch_and_bound_looks_beyond_what_is_certified():
    """A margin that is at least 1 everywhere."""
    network = lambda z: jnp.stack([jax.nn.relu(z[0]) + 1, -jax.nn.relu(z[1])])
    x = jnp.array([1.0, 0.5], jnp.float64)
    plain = certify(network, x, 0, method="crown")
    assert certify(network, x, 0, method="branch", effort="low").radius > 3 * plain.radius


@pytest.mark.parametrize("limits", [{"AT_ONCE": 128}, {"KEPT": 0}], ids=str)
@pytest.mark.parametrize("bounds", [None, (-3.0, 3.0)], ids=["free", "box"])
def test_neither_chunks_nor_what_is_kept_change_a_bound(limits, bounds, monkeypatch):
    made = models.cnn((7, 7, 1), 3, channels=(3, 4), kernel_size=3, dtype=jnp.float64)
    params = made.init(jax.random.key(0))
    x = jnp.asarray(inputs((7, 7, 1), 1)[0], jnp.float64)
    label = jnp.argmax(made.apply(params, x))

    def bound(x):
        return margins(lambda z: made.apply(params, z), x, label, 0.1, bounds=bounds)

    plain = jax.jit(bound)(x)
    for name, limit in limits.items():
        monkeypatch.setattr(_bounds, name, limit)
    np.testing.assert_allclose(jax.jit(lambda x: bound(x))(x), plain, rtol=1e-9, atol=1e-12)


def test_one_compiled_program_and_eager_is_the_same():
    apply, params, shape = network("relu")
    xs = inputs(shape)
    ys = labels(apply, params, xs)

    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(params, xs, ys):
        one = lambda x, y: certify(lambda z: apply(params, z), x, y, method="crown")
        return jax.vmap(one)(xs, ys)

    together = run(params, xs, ys)
    run(params, xs + 0.1, ys)
    for at in range(2):
        alone = certify(lambda z: apply(params, z), xs[at], ys[at], method="crown")
        np.testing.assert_allclose(together.radius[at], alone.radius, rtol=1e-4)


def test_what_has_no_certificate_says_so():
    apply, params, shape = network("relu")
    xs = inputs(shape)
    ys = labels(apply, params, xs)
    run = lambda xs, ys: solve(apply, params, xs, ys, solver=certify, method="crown")
    wrong = run(xs, (ys + 1) % 3)
    assert (wrong.status == CertificateStatus.MISCLASSIFIED).all()
    assert (wrong.radius == 0).all()
    broken = run(xs.at[0].set(jnp.nan), ys.at[1].set(7))
    assert broken.status[:2].tolist() == [CertificateStatus.NOT_FINITE] * 2
    assert (broken.radius[:2] == 0).all()
    assert (broken.radius[2:] > 0).all()


def test_a_target_is_farther_than_the_nearest_class():
    apply, params, shape = network("relu")
    xs = inputs(shape)
    ys = labels(apply, params, xs)
    run = lambda **asked: solve(apply, params, xs, ys, solver=certify, method="crown", **asked)
    each = jnp.stack([run(targets=(ys + k) % 3).radius for k in (1, 2)])
    np.testing.assert_allclose(each.min(axis=0), run().radius, rtol=1e-3)


def test_misuse_is_told():
    x = jnp.zeros(3)
    with pytest.raises(ValueError, match="method must be one of"):
        certify(lambda z: z, x, 0, method="magic")
    with pytest.raises(ValueError, match="effort must be one of"):
        certify(lambda z: z, x, 0, effort="huge")
    with pytest.raises(NotImplementedError, match=r"'sort'.*line \d+ of test_certify.py"):
        certify(lambda z: jnp.sort(z), x, 0)


def test_margins_in_a_box_have_the_derivatives_of_differences():
    """In l2, where the ball is smaller than the box, where some of it is, and where it is not."""
    x, weights = jnp.full(3, 0.5, float), jnp.arange(1.0, 4.0)

    @jax.jit
    def one(weights, x, radius):
        network = lambda z: jnp.stack([weights @ jax.nn.relu(z), -(weights @ z)])
        return margins(network, x, 0, radius, bounds=(0.0, 1.0))[1]

    slopes = jax.jit(jax.grad(one, (0, 1, 2)))
    for radius in (0.1, 0.6, 0.85, 2.0):
        given = weights, x, jnp.asarray(radius)
        flat, rebuilt = jax.flatten_util.ravel_pytree(given)
        steps = 1e-6 * jnp.eye(flat.size)
        above, below = (jnp.stack([one(*rebuilt(flat + s * v)) for v in steps]) for s in (1, -1))
        found, _ = jax.flatten_util.ravel_pytree(slopes(*given))
        np.testing.assert_allclose(found, (above - below) / 2e-6, atol=1e-6)


def test_margins_of_no_problem_certify_nothing():
    network = lambda z: jnp.stack([z[0] + 1, z[1], z[0] - z[1]])
    x = jnp.array([0.5, 0.2], jnp.float32)
    one = jax.jit(lambda label, radius, low: margins(network, x, label, radius, bounds=(low, 1.0)))
    assert (one(0, 0.01, 0.0)[1:] > 0).all()
    for asked in (
        (-1, 0.01, 0.0),
        (3, 0.01, 0.0),
        (0, -1.0, 0.0),
        (0, jnp.nan, 0.0),
        (0, 0.01, 2.0),
    ):
        assert (one(*asked) == -jnp.inf).all()
    with pytest.raises(ValueError, match=r"radius must be one number, got shape \(2,\)"):
        margins(network, x, 0, jnp.ones(2))
    for radius in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="radius must be finite and at least 0, got"):
            margins(network, x, 0, radius)


def test_margins_are_trained_for():
    """A loss of five lines: the certified margins at the radius become positive."""
    xs = jnp.array([[1.0, 0.2], [-1.0, 0.1], [0.9, -0.3], [-1.1, -0.2]], jnp.float32)
    ys = jnp.array([0, 1, 0, 1])
    made = models.mlp(2, 2, widths=(8,))

    def loss(params):
        one = lambda x, y: margins(lambda z: made.apply(params, z), x, y, 0.3, method="interval")
        certified = jax.vmap(one)(xs, ys)
        losses = optax.softmax_cross_entropy_with_integer_labels(-certified, ys)
        return losses.mean(), certified

    def step(carry, _):
        params, state = carry
        (_, certified), grad = jax.value_and_grad(loss, has_aux=True)(params)
        with jax.numpy_dtype_promotion("standard"):
            updates, state = rule.update(grad, state)
            return (optax.apply_updates(params, updates), state), certified

    rule = optax.adam(0.05)
    params = made.init(jax.random.key(0))
    _, certified = jax.jit(lambda c: jax.lax.scan(step, c, length=60))((params, rule.init(params)))
    others = certified[:, jnp.arange(4), 1 - ys]
    assert (others[0] < 0).any()
    assert (others[-1] > 0).all()
    assert (certified[:, jnp.arange(4), ys] == 0).all()
