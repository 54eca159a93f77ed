"""Layer by layer: linear networks against NumPy, and layers that discard a known share."""

from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture.compression import layer_compression, layer_features, layer_flow


def tolerance(dtype, factor=500):
    return factor * float(jnp.finfo(dtype).eps)


def matrices(dtype=jnp.float64, sizes=(7, 9, 5, 4)):
    rng = np.random.default_rng(0)
    return [jnp.asarray(rng.normal(size=(n, m)) / m**0.5, dtype) for m, n in pairwise(sizes)]


def linear(weights):
    return [lambda h, w=w: w @ h for w in weights]


def entropy_rank(s):
    p = s[s > 1e-9 * s.max()] / s.sum()
    return np.exp(-p @ np.log(p))


def pair(dtype=jnp.float64, dim=7):
    x, delta = np.random.default_rng(1).normal(size=(2, dim))
    return jnp.asarray(x, dtype), jnp.asarray(x + delta, dtype)


@pytest.mark.fast
@pytest.mark.parametrize(("dtype", "chunk_size"), [(jnp.float32, None), (jnp.float64, 2)])
def test_flow_of_a_linear_network(dtype, chunk_size):
    weights, (x, other) = matrices(dtype), pair(dtype)
    got = jax.jit(lambda a, b: layer_flow(linear(weights), a, b, chunk_size=chunk_size))(x, other)
    assert got.discarded.dtype == got.effective_rank.dtype == dtype
    # The last stage counts up to a shift of all logits: rank 3, not 4.
    np.testing.assert_array_equal(got.rank, [7, 5, 3])
    np.testing.assert_array_equal(got.dim, [7, 9, 5])
    whole, change = np.eye(7), np.asarray(other - x, np.float64)
    for index, w in enumerate(np.asarray(w, np.float64) for w in weights):
        want = entropy_rank(np.linalg.svd(whole, compute_uv=False))
        np.testing.assert_allclose(got.effective_rank[index], want, rtol=tolerance(dtype))
        step = w if index < 2 else w - w.mean(axis=0)
        basis = np.linalg.svd(step, full_matrices=False)[2][: got.rank[index]]
        lost = 1 - np.sum((basis @ change) ** 2) / np.sum(change**2)
        np.testing.assert_allclose(got.discarded[index], lost, atol=tolerance(dtype))
        whole, change = w @ whole, w @ change


def test_flow_and_compression_meet_at_both_ends():
    first, last = matrices(sizes=(7, 9, 4))
    stages = [lambda x: jnp.tanh(first @ x), lambda h: last @ h]
    through = [*stages, lambda logits: logits]  # hence a Jacobian to the logits

    @jax.jit
    def measure(x, other):
        plain = jax.jacobian(lambda x: stages[1](stages[0](x)))(x)
        ratio = layer_compression(stages, x, other).ratio
        return layer_flow(stages, x, other), layer_flow(through, x, other), ratio, plain

    flow, further, ratio, plain = measure(*pair())
    np.testing.assert_allclose(flow.discarded[-1], 1 - ratio[-1] ** 2, rtol=1e-9)
    # No layer alone discards more than the network from there on.
    assert jnp.all(flow.discarded <= 1 - ratio**2 + 1e-12)
    want = entropy_rank(np.linalg.svd(plain, compute_uv=False))
    np.testing.assert_allclose(further.effective_rank[-1], want, rtol=1e-9)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_identity_projection_and_rectifier_discard_what_they_must(dtype):
    x = jnp.array([1, -2, 3, -4, 5, 6], dtype)
    delta = jnp.array([1, 2, -1, 3, 1, 1], dtype) / 2  # the ReLU is linear along it
    keep = jnp.array([1, 0, 1, 1, 1, 1], dtype)  # the second is dropped: 4 of 17
    rotation = jnp.asarray(np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0], dtype)
    drop = lambda h: rotation @ (keep * (rotation.T @ h))
    stages = [
        lambda h: h,
        lambda h: 3 * (rotation @ h).reshape(2, 3),  # turned and stretched
        lambda h: drop(h.ravel()),
        lambda h: rotation.T @ h / 3,
        lambda h: jax.nn.relu(h - jnp.eye(6, dtype=dtype)[1]),  # kills the fourth: 9 of 13
        lambda h: h,
    ]
    got = jax.jit(lambda a, b: layer_flow(stages, a, b))(x, x + delta)
    atol = tolerance(dtype, 20)
    np.testing.assert_allclose(got.discarded[:5], [0, 0, 4 / 17, 0, 9 / 13], atol=atol)
    np.testing.assert_array_equal(got.rank, [6, 6, 5, 6, 4, 5])
    np.testing.assert_allclose(got.effective_rank, [6, 6, 6, 5, 5, 4], rtol=tolerance(dtype))
    assert jnp.all(got.discarded >= 0)


def test_a_layer_that_reads_nothing_and_inputs_that_are_not_finite():
    weights, (x, other) = matrices(), pair()
    stages = lambda on: [lambda h: weights[0] @ (on * h), *linear(weights[1:])]
    on, xs = jnp.array([1.0, 0, 1, 1]), jnp.stack([x, x, x, x.at[0].set(jnp.inf)])
    others = jnp.stack([other, other, x, other])

    # A linear layer has finite Jacobians where the displacement is infinite.
    measure = lambda on, a, b: layer_flow(stages(on), a, b)
    got = jax.jit(jax.vmap(measure))(on, xs, others)
    single = jax.jit(measure)
    np.testing.assert_array_equal(jnp.isnan(got.discarded).any(axis=1), [0, 1, 1, 1])
    assert got.discarded[1, 0] == 1  # all of it, and then there is nothing left to discard
    np.testing.assert_array_equal(got.rank[1], [0, 5, 3])
    np.testing.assert_array_equal(got.effective_rank[1], [7, 0, 0])
    for lane in range(3):
        alone = single(on[lane], xs[lane], others[lane])
        jax.tree.map(
            lambda many, one, lane=lane: np.testing.assert_allclose(many[lane], one, atol=1e-12),
            got,
            alone,
        )


def test_flow_at_any_scale_in_float32():
    weights, (x, other) = matrices(jnp.float32), pair(jnp.float32)
    scaled = lambda s: [lambda h, w=w: s * (w @ h) for w in weights]
    measure = jax.jit(lambda s, a, b: layer_flow(scaled(s), a, b))
    want = measure(jnp.float32(1), x, other)
    for s in (1e-20, 1e20):  # the product of two Jacobians leaves the range
        got = measure(jnp.float32(s), x / s**1.5, other / s**1.5)
        jax.tree.map(lambda g, w: np.testing.assert_allclose(g, w, rtol=1e-4, atol=1e-6), got, want)


@pytest.mark.fast
@pytest.mark.parametrize(("dtype", "chunk_size"), [(jnp.float32, None), (jnp.float64, 4)])
def test_features_of_a_linear_network(dtype, chunk_size):
    weights = matrices(dtype)
    inputs = np.random.default_rng(2).normal(size=(10, 7)) + 3
    got = jax.jit(lambda x: layer_features(linear(weights), x, chunk_size=chunk_size))(
        jnp.asarray(inputs, dtype)
    )
    assert [s.shape for s in got.spectra] == [(7,), (9,), (5,), (4,)]
    np.testing.assert_array_equal(got.dim, [7, 9, 5, 4])
    assert got.effective_rank.dtype == dtype
    rows = inputs
    for index in range(4):
        want = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) / 3
        atol = tolerance(dtype) * want[0]
        np.testing.assert_allclose(got.spectra[index], want, atol=atol)
        np.testing.assert_allclose(got.effective_rank[index], entropy_rank(want), rtol=1e-5)
        if index < 3:
            rows = rows @ np.asarray(weights[index], np.float64).T


def test_features_of_images_in_any_shape_and_of_one_output():
    images = jnp.asarray(np.random.default_rng(3).normal(size=(5, 3, 2, 1)))
    stages = [lambda x: x.sum(axis=0), lambda h: h.ravel() * 0 + 1, lambda h: h @ jnp.ones(2)]
    got = jax.jit(lambda x: layer_features(stages, x))(images)
    assert [s.shape for s in got.spectra] == [(5,), (2,), (2,), (2,)]
    np.testing.assert_array_equal(got.effective_rank[2:], 0)  # constant features
    one = jax.jit(lambda x: layer_features([lambda x: x.sum()], x))(images)
    np.testing.assert_allclose(one.effective_rank[1], 1)  # f/2 and -f/2
    np.testing.assert_allclose(one.spectra[1][0], images.sum((1, 2, 3)).std(ddof=1) / 2**0.5)


def test_features_map_and_report_what_is_not_finite():
    weights = jax.tree.map(lambda w: jnp.stack([w, jnp.sin(w)]), matrices(sizes=(7, 9, 4)))
    inputs = jnp.asarray(np.random.default_rng(2).normal(size=(10, 7)))
    measure = lambda weights, x: layer_features(linear(weights), x)
    single, mapped = jax.jit(measure), jax.jit(jax.vmap(measure, (0, None)))(weights, inputs)
    for i in range(2):
        alone = single([w[i] for w in weights], inputs)
        for many, one in zip(jax.tree.leaves(mapped), jax.tree.leaves(alone), strict=True):
            np.testing.assert_allclose(many[i], one, rtol=1e-9)
    broken = single([w[0] for w in weights], inputs.at[0, 0].set(jnp.nan))
    assert jnp.isnan(broken.effective_rank).all()


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (ValueError, lambda f, x: layer_flow([], x, x)),
        (ValueError, lambda f, x: layer_flow([f], x, jnp.ones(3))),
        (ValueError, lambda f, x: layer_flow([f], x, x.astype(jnp.float32))),
        (ValueError, lambda f, x: layer_flow([f], x, x, rtol=1.0)),
        (ValueError, lambda f, x: layer_flow([f], x, x, chunk_size=0)),
        (TypeError, lambda f, x: layer_flow([f], x.astype(int), x)),
        (TypeError, lambda f, x: layer_flow([lambda h: h > 0, f], x, x)),
        (ValueError, lambda f, x: layer_features([], x[None])),
        (ValueError, lambda f, x: layer_features([f], x[None])),
        (ValueError, lambda f, x: layer_features([f], jnp.ones((2, 7)), chunk_size=0)),
        (TypeError, lambda f, x: layer_features([f], jnp.ones((2, 7), int))),
        (TypeError, lambda f, x: layer_features([lambda h: h > 0, f], jnp.ones((2, 7)))),
    ],
)
def test_misuse_is_an_error(error, call):
    with pytest.raises(error):
        call(lambda h: matrices()[0] @ h, jnp.ones(7))
