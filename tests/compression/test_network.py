"""What a network reads: affine families in closed form, law E's identity, layers by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize

from fracture.compression import (
    jacobian,
    law_factors,
    layer_compression,
    margin_compression,
    span_compression,
)
from fracture.norms import dual_order, norm

ORDERS = [1, 2, jnp.inf]


def layers(dtype=jnp.float64, sizes=(6, 8, 5, 4)):
    """A smooth network as a list of stages."""
    keys = jax.random.split(jax.random.key(7), len(sizes) - 1)
    weights = [
        jax.random.normal(key, (n, m), dtype) / m**0.5
        for key, m, n in zip(keys, sizes[:-1], sizes[1:], strict=True)
    ]
    stages = [lambda h, w=w: jnp.tanh(w @ h) for w in weights[:-1]]
    return [*stages, lambda h: weights[-1] @ h]


def compose(stages):
    def logits_fn(x):
        for stage in stages:
            x = stage(x)
        return x

    return logits_fn


def pair(dtype=jnp.float64, dim=6):
    x, delta = jax.random.normal(jax.random.key(1), (2, dim), dtype)
    return x, delta


@pytest.mark.fast
@pytest.mark.parametrize(
    ("ord", "dtype"),
    [(1, jnp.float64), (2, jnp.float32), (jnp.inf, jnp.float64)],
)
def test_one_point_per_class_has_its_exact_law(dtype, ord):
    """X⁻¹x at a pair of its points: the ratio is the compression, the other factors are 1."""
    points = np.random.default_rng(0).normal(size=(12, 12))
    weight = jnp.asarray(np.linalg.inv(points), dtype)
    x, other = (jnp.asarray(points[:, i], dtype) for i in (3, 8))
    g = np.linalg.inv(points)[3] - np.linalg.inv(points)[8]
    radius = 1 / np.linalg.norm(g, dual_order(ord))
    want = radius / (np.linalg.norm(points[:, 8] - points[:, 3], ord) / 2)

    logits_fn = lambda z: jnp.matmul(weight, z, precision="highest")
    fn = jax.jit(
        lambda label, other_label: law_factors(
            logits_fn, x, label, other - x, radius, other=other_label, ord=ord
        )
    )
    got = fn(3, 8)
    rtol = 5000 * float(jnp.finfo(dtype).eps)
    assert all(factor.dtype == dtype for factor in got)
    np.testing.assert_allclose(got, [want, 1, 1, 1, 1], rtol=rtol)


def test_mixed_hypercube_reads_one_direction():
    """A single output q·x / R_dd: the ratio is |R_dd| / ‖A e_d‖."""
    mixing = np.random.default_rng(1).normal(size=(10, 10))
    q, r = np.linalg.qr(mixing)
    codes = np.sign(np.random.default_rng(2).normal(size=10))
    fn = lambda z: jnp.asarray(q[:, -1] / r[-1, -1]) @ z
    label, other = (0, 1) if codes[-1] > 0 else (1, 0)
    x, delta = jnp.asarray(mixing @ codes), jnp.asarray(-2 * codes[-1] * mixing[:, -1])
    want = abs(r[-1, -1]) / np.linalg.norm(mixing[:, -1])

    @jax.jit
    def measure(x, delta):
        factors = law_factors(fn, x, label, delta, abs(r[-1, -1]), other=other)
        return margin_compression(fn, x, label, delta), factors, span_compression(fn, x, delta)

    rho, factors, span = measure(x, delta)
    np.testing.assert_allclose(rho, want, rtol=1e-10)
    np.testing.assert_allclose(factors, [want, 1, 1, 1, 1], rtol=1e-10)
    assert span.rank == 1
    np.testing.assert_allclose(span.ratio, want, rtol=1e-10)
    np.testing.assert_allclose(span.null_ratio, 10**-0.5)


@pytest.mark.fast
@pytest.mark.parametrize(("ord", "scale"), [(1, 1e-15), (2, 1.0), (jnp.inf, 1e15)])
def test_the_factors_multiply_to_the_ratio(ord, scale):
    """For a curved network in float32 and a box, any radius and any scale of inputs and logits."""
    network = compose(layers(jnp.float32))
    x, delta = pair(jnp.float32)
    s = jnp.float32(scale)
    logits_fn = lambda z: s * network(z / s)
    radius = 0.37 * s
    fn = jax.jit(
        lambda x, bounds: law_factors(
            logits_fn, x, 2, delta * s, radius, other=1, ord=ord, bounds=bounds
        )
    )
    got = fn(x * s, (-0.6 * s, 0.6 * s))
    want = radius / (norm(delta * s, ord) / 2)
    product = got.rho_net * got.midpoint * got.secant * got.tangent * got.box
    np.testing.assert_allclose(product, want, rtol=1e-5)
    assert 1.001 < got.box < jnp.inf
    assert abs(got.secant - 1) > 0.01  # curved indeed


@jax.jit
def factors_in_a_box(weight, x, delta, radius, bounds):
    """Of an affine margin w·z + 1 that is 0 within the box, one tuple a norm."""
    logits_fn = lambda z: weight @ z + 1
    return [
        law_factors(logits_fn, x, 0, delta, r, other=1, ord=ord, bounds=bounds)
        for ord, r in zip(ORDERS, radius, strict=True)
    ]


@pytest.mark.fast
@pytest.mark.parametrize("seed", [1, 6, 13, 20, 38])
def test_an_affine_network_in_a_box_does_not_bend(seed):
    """Radii by linear programs and a root search: `box` takes what the bounds cost, τ is 1."""
    rng = np.random.default_rng(seed)
    weight, x = 2 * rng.normal(size=6) - 1, rng.uniform(0, 1, 6)
    excess = weight @ x + 1
    assert excess > 0 > 1 + np.minimum(weight, 0).sum()  # at x, and at a corner of the box
    radii = radii_of_a_halfspace_in_the_unit_box(weight, x, excess)
    delta = -np.sign(weight @ (direction := rng.normal(size=6))) * direction
    arrays = (jnp.asarray(value) for value in (weight, x, delta, np.array(radii)))
    got = factors_in_a_box(*arrays, (0.0, 1.0))
    for ord, radius, factors in zip(ORDERS, radii, got, strict=True):
        alone = excess / np.linalg.norm(weight, dual_order(ord))
        np.testing.assert_allclose([factors.tangent, factors.secant], 1, rtol=1e-8)
        np.testing.assert_allclose(factors.box, radius / alone, rtol=1e-8)
        want = radius / (np.linalg.norm(delta, ord) / 2)
        np.testing.assert_allclose(np.prod(factors), want, rtol=1e-10)
    assert max(factors.box for factors in got) > 1.001  # the bounds bind


def radii_of_a_halfspace_in_the_unit_box(weight, x, excess):
    """l1 and l∞ as linear programs, l2 as the level of a clipped step: SciPy alone."""
    n = len(x)
    eye, one = np.eye(n), np.ones((n, 1))
    steps = [*zip(-x, 1 - x, strict=True)]
    within = np.r_[weight, np.zeros(n)]
    bound = np.block([[eye, -eye], [-eye, -eye]])
    l1 = scipy.optimize.linprog(
        np.r_[np.zeros(n), np.ones(n)],
        A_ub=np.r_[bound, within[None]],
        b_ub=np.r_[np.zeros(2 * n), -excess],
        bounds=[*steps, *[(0, None)] * n],
    )
    linf = scipy.optimize.linprog(
        np.r_[np.zeros(n), 1],
        A_ub=np.r_[np.c_[eye, -one], np.c_[-eye, -one], np.r_[weight, 0][None]],
        b_ub=np.r_[np.zeros(2 * n), -excess],
        bounds=[*steps, (0, None)],
    )
    step = lambda level: np.clip(-level * weight, -x, 1 - x)
    level = scipy.optimize.brentq(lambda t: excess + weight @ step(t), 0, 1e6, xtol=1e-14)
    return [l1.fun, np.linalg.norm(step(level)), linf.fun]


def test_factors_of_a_sphere():
    """m = R² - |x|², Δ radial from a to b: r = R - a, and everything by hand."""
    a, b, big = 1.0, 4.0, 2.0
    fn = lambda z: big**2 - z @ z
    direction = jnp.array([0.6, 0.8])
    measure = jax.jit(lambda x, delta: law_factors(fn, x, 0, delta, big - a, other=1))
    got = measure(a * direction, (b - a) * direction)
    np.testing.assert_allclose(got.rho_net, 1)
    np.testing.assert_allclose(got.midpoint, 2 * (big**2 - a**2) / (b**2 - a**2))
    np.testing.assert_allclose(got.secant, (b + a) / (2 * a))
    np.testing.assert_allclose(got.tangent, 2 * a / (big + a))


def test_margin_compression_takes_the_best_other_class():
    weight, bias = jax.random.normal(jax.random.key(0), (5, 6)), jnp.array([0.0, 1, -1, 3, 0])
    x, delta = pair()
    logits = weight @ x + bias
    fn = jax.jit(
        lambda label, other: margin_compression(
            lambda z: weight @ z + bias, x, label, delta, other=other
        )
    )
    for label in (0, 3):
        best = int(jnp.argmax(logits.at[label].set(-jnp.inf)))
        g = weight[label] - weight[best]
        want = jnp.abs(g @ delta) / jnp.linalg.norm(g) / jnp.linalg.norm(delta)
        np.testing.assert_allclose(fn(label, None), want, rtol=1e-12)
        np.testing.assert_allclose(fn(label, best), want, rtol=1e-12)
    assert jnp.isnan(fn(0, 0))
    assert jnp.isnan(fn(0, 5))


def test_measures_at_any_scale_in_float32():
    network, (x, delta) = compose(layers(jnp.float32)), pair(jnp.float32)

    @jax.jit
    @jax.vmap
    def measure(s):
        logits_fn = lambda z: s * network(z)
        rho = margin_compression(logits_fn, x, 0, delta / s, other=1)
        return jnp.stack([rho, span_compression(logits_fn, x, delta / s).ratio])

    tiny, one, huge = measure(jnp.array([1e-30, 1, 1e30], jnp.float32))
    np.testing.assert_allclose(jnp.stack([tiny, huge]), jnp.stack([one, one]), rtol=1e-5)


@pytest.mark.fast
def test_span_ignores_what_all_logits_share():
    dtype = jnp.float32
    network, (x, delta) = compose(layers(dtype)), pair(dtype)
    shifted = lambda z: network(z) + 3 * jnp.sin(z @ delta)
    rows = np.asarray(jacobian(network, x), np.float64)
    _, s, basis = np.linalg.svd(rows[1:] - rows[0], full_matrices=False)
    length = np.linalg.norm(delta)
    want = np.linalg.norm(basis @ np.asarray(delta, np.float64)) / length
    atol = 60 * length / s[-1] * float(jnp.finfo(dtype).eps)  # what is shared cancels
    for fn, chunk_size in ((network, None), (shifted, 2)):
        got = jax.jit(lambda x, f=fn, c=chunk_size: span_compression(f, x, delta, chunk_size=c))(x)
        assert got.rank == 3
        np.testing.assert_allclose(got.ratio, want, atol=atol)


def test_constant_network_and_zero_displacement_are_reported():
    network, (x, delta) = compose(layers()), pair()

    @jax.jit
    @jax.vmap
    def measure(slope, x, delta):
        logits_fn = lambda z: slope * network(z) + jnp.arange(4.0)
        factors = law_factors(logits_fn, x, 0, delta, jnp.inf, other=1)
        return (
            margin_compression(logits_fn, x, 0, delta),
            span_compression(logits_fn, x, delta),
            jnp.stack(factors),
        )

    xs = jnp.stack([x, x, x, x.at[0].set(jnp.nan)])
    deltas = jnp.stack([delta, delta, 0 * delta, delta])
    rho, span, factors = measure(jnp.array([1.0, 0, 1, 1]), xs, deltas)
    np.testing.assert_array_equal(jnp.isnan(rho), [0, 0, 1, 1])
    np.testing.assert_array_equal(jnp.isnan(span.ratio), [0, 0, 1, 1])
    np.testing.assert_array_equal(span.rank, [3, 0, 3, -1])
    assert rho[1] == span.ratio[1] == 0
    assert not jnp.isfinite(factors[1:, 1:4]).any()
    np.testing.assert_array_equal(factors[:, 4], 1)  # there is no box


def test_gradients_match_finite_differences():
    x, delta = pair()
    network = compose(layers())

    @jax.jit
    def fn(t):
        scaled = lambda z: network(z + t * jnp.sin(z))
        rho = [margin_compression(scaled, x, 0, delta, other=1, ord=ord) for ord in ORDERS]
        return jnp.stack([*rho, span_compression(scaled, x, delta).ratio])

    want = (fn(1e-5) - fn(-1e-5)) / 2e-5
    np.testing.assert_allclose(jax.jit(jax.jacrev(fn))(0.0), want, rtol=1e-6)


@pytest.mark.fast
@pytest.mark.parametrize(("dtype", "chunk_size"), [(jnp.float32, None), (jnp.float64, 2)])
def test_layers_match_one_projection_each(dtype, chunk_size):
    stages, (x, delta) = layers(dtype), pair(dtype)
    got = jax.jit(lambda a, b: layer_compression(stages, a, b, chunk_size=chunk_size))(x, x + delta)
    assert got.ratio.dtype == got.effective_rank.dtype == got.null_ratio.dtype == dtype
    np.testing.assert_array_equal(got.dim, [6, 8, 5])
    np.testing.assert_array_equal(got.rank, [3, 3, 3])
    h, h_other = x, x + delta
    eps = float(jnp.finfo(dtype).eps)
    for index, stage in enumerate(stages):
        rows = np.asarray(jacobian(compose(stages[index:]), h), np.float64)
        _, s, basis = np.linalg.svd(rows - rows.mean(axis=0), full_matrices=False)
        change = np.asarray(h_other - h, np.float64)
        want = np.linalg.norm(basis[:3] @ change) / np.linalg.norm(change)
        np.testing.assert_allclose(got.ratio[index], want, rtol=500 * eps)
        p = s[:3] / s[:3].sum()
        np.testing.assert_allclose(
            got.effective_rank[index], np.exp(-p @ np.log(p)), rtol=500 * eps
        )
        np.testing.assert_allclose(got.null_ratio[index], (3 / got.dim[index]) ** 0.5, rtol=1e-6)
        h, h_other = stage(h), stage(h_other)
    span = span_compression(compose(stages), x, delta)
    np.testing.assert_allclose(got.ratio[0], span.ratio, rtol=500 * eps)


def test_layers_of_any_shape_and_of_a_single_output():
    stages = [
        lambda h: (h**2).reshape(3, 2),
        lambda h: h.sum(axis=1),
        lambda h: h @ jnp.arange(3.0),
    ]
    x, delta = pair()
    got = layer_compression(stages, x, x + delta)
    np.testing.assert_array_equal(got.rank, 1)
    np.testing.assert_array_equal(got.dim, [6, 6, 3])
    change = ((x + delta) ** 2 - x**2).reshape(3, 2).sum(axis=1)
    want = abs(change @ np.arange(3.0)) / 5**0.5 / np.linalg.norm(change)
    np.testing.assert_allclose(got.ratio[2], want, rtol=1e-12)
    np.testing.assert_allclose(got.effective_rank, 1, rtol=1e-12)


def test_vmap_equals_a_loop_and_one_bad_lane_stays_alone():
    stages, network = layers(), compose(layers())
    xs, deltas = jax.random.normal(jax.random.key(5), (2, 4, 6))
    xs = xs.at[2, 0].set(jnp.nan)

    def measure(x, delta, label):
        return (
            margin_compression(network, x, label, delta),
            span_compression(network, x, delta),
            law_factors(network, x, label, delta, 0.1, other=3),
            layer_compression(stages, x, x + delta),
        )

    labels = jnp.array([0, 1, 2, 0])
    batched = jax.jit(jax.vmap(measure))(xs, deltas, labels)
    single = jax.jit(measure)
    for i in range(4):
        want = single(xs[i], deltas[i], labels[i])
        jax.tree.map(
            lambda b, w, i=i: np.testing.assert_allclose(b[i], w, rtol=1e-9), batched, want
        )
    np.testing.assert_array_equal(jnp.isnan(batched[0]), labels == 2)
    np.testing.assert_array_equal(batched[1].rank, [3, 3, -1, 3])


def test_narrow_network_gives_float32():
    x, delta = pair(jnp.float32)
    weight = jax.random.normal(jax.random.key(0), (3, 6), jnp.bfloat16)
    narrow = lambda z: weight @ z.astype(jnp.bfloat16)
    wide = lambda z: weight.astype(jnp.float32) @ z

    def measure(logits_fn):
        return (
            margin_compression(logits_fn, x, 0, delta, other=1),
            span_compression(logits_fn, x, delta).ratio,
            layer_compression([logits_fn], x, x + delta).ratio[0],
        )

    got, want = jax.jit(lambda: (measure(narrow), measure(wide)))()
    assert all(value.dtype == jnp.float32 for value in got)
    np.testing.assert_allclose(got, want, rtol=0.02)


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (ValueError, lambda f, x: margin_compression(f, x, 0, jnp.ones(3))),
        (ValueError, lambda f, x: margin_compression(f, x, 0, x, ord=0.5)),
        (ValueError, lambda f, x: margin_compression(f, x, 9, x)),
        (TypeError, lambda f, x: margin_compression(f, x.astype(int), 0, x)),
        (TypeError, lambda f, x: span_compression(f, x, x.astype(int))),
        (ValueError, lambda f, x: span_compression(f, x, x, chunk_size=0)),
        (ValueError, lambda f, x: span_compression(f, x, x, rtol=2.0)),
        (ValueError, lambda f, x: law_factors(f, x, 0, jnp.ones(3), 1.0, other=1)),
        (ValueError, lambda f, x: layer_compression([], x, x)),
        (ValueError, lambda f, x: layer_compression([f], x, jnp.ones(3))),
        (ValueError, lambda f, x: layer_compression([f], x, x.astype(jnp.float32))),
        (TypeError, lambda f, x: layer_compression([lambda h: h > 0, f], x, x)),
    ],
)
def test_misuse_is_an_error(error, call):
    with pytest.raises(error):
        call(compose(layers()), jnp.ones(6))
