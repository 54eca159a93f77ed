"""Spectra and dimension measures: NumPy in float64, closed forms, finite differences."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from fracture.compression import (
    effective_rank,
    feature_spectrum,
    numerical_rank,
    participation_ratio,
    spectrum,
    stable_rank,
)

METHODS = ["svd", "qr", "gram"]
MEASURES = [stable_rank, effective_rank, participation_ratio]


def all_measures(s):
    return jnp.stack([*(measure(s) for measure in MEASURES), jnp.sum(s)])


def with_spectrum(values, shape, seed=0):
    """A float64 matrix of these singular values, its singular vectors random."""
    rng = np.random.default_rng(seed)
    u, _ = np.linalg.qr(rng.normal(size=(shape[0], len(values))))
    v, _ = np.linalg.qr(rng.normal(size=(shape[1], len(values))))
    return jnp.asarray((u * np.asarray(values, float)) @ v.T)


def tolerance(method, dtype):
    eps = float(jnp.finfo(dtype).eps)
    return 20 * eps**0.5 if method == "gram" else 50 * eps


@partial(jax.jit, static_argnames="measure")
def by_method(matrices, measure=lambda s: s):
    """One row per method, from one compilation for a batch of matrices."""
    return jnp.stack(
        [jax.vmap(lambda m, k=k: measure(spectrum(m, method=k)))(matrices) for k in METHODS]
    )


@pytest.mark.fast
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((1, 1), np.float32),
        ((1, 9), np.float64),
        ((3, 5), np.float32),
        ((5, 3), np.float64),
        ((10, 100), np.float32),
    ],
)
def test_matches_numpy(shape, dtype):
    matrix = np.random.default_rng(1).normal(size=shape)
    want = np.linalg.svd(matrix, compute_uv=False)
    got = by_method(matrix.astype(dtype)[None])[:, 0]
    assert got.dtype == dtype
    for method, row in zip(METHODS, got, strict=True):
        np.testing.assert_allclose(row, want, rtol=0, atol=tolerance(method, dtype) * want[0])


@pytest.mark.parametrize(("dtype", "transpose"), [(np.float32, False), (np.float64, True)])
def test_rank_deficient_and_repeated(transpose, dtype):
    spectra = [(4, 2, 0, 0), (3, 3, 1, 1), (0, 0, 0, 0), (1, 1, 1, 1), (1, 1e-3, 0, 0)]
    matrices = jnp.stack([with_spectrum(s, (4, 7)).astype(dtype) for s in spectra])
    got = by_method(matrices.mT if transpose else matrices)
    for method, rows in zip(METHODS, got, strict=True):
        for row, values in zip(rows, spectra, strict=True):
            atol = tolerance(method, dtype) * values[0]
            np.testing.assert_allclose(row, values, rtol=0, atol=atol)
            assert jnp.all(jnp.diff(row) <= 0)


@pytest.mark.parametrize("method", METHODS)
def test_any_scale_in_float32(method):
    matrix = with_spectrum((5, 2, 1), (3, 20)).astype(jnp.float32)
    scale = jnp.array([1, 1e-30, 1e30], jnp.float32)

    def measures(matrix):
        values = spectrum(matrix, method=method)
        return all_measures(values)[:-1], values

    slopes, values = jax.jit(jax.vmap(jax.jacrev(measures, has_aux=True)))(
        matrix[None] * scale[:, None, None]
    )
    measured = jax.jit(jax.vmap(lambda m: measures(m)[0]))(matrix[None] * scale[:, None, None])
    values, slopes = values / scale[:, None], slopes * scale[:, None, None, None]
    rtol = 1e-4 if method == "gram" else 1e-5
    np.testing.assert_allclose(values, np.tile((5, 2, 1), (3, 1)), rtol=rtol)
    np.testing.assert_allclose(measured[1:], measured[jnp.array([0, 0])], rtol=1e-4)
    np.testing.assert_allclose(slopes[1:], slopes[jnp.array([0, 0])], rtol=1e-2, atol=1e-4)


def test_qr_is_accurate_where_gram_is_not():
    matrix = with_spectrum((1.0, 1e-5), (2, 50)).astype(jnp.float32)
    svd, qr, gram = by_method(matrix[None])[:, 0, 1]
    np.testing.assert_allclose([svd, qr], 1e-5, rtol=0.02)
    assert gram < 20 * float(jnp.finfo(jnp.float32).eps) ** 0.5


@pytest.mark.parametrize("method", METHODS)
def test_a_bad_matrix_leaves_the_others_alone(method):
    good = with_spectrum((3, 1), (2, 4))
    batch = [good, good.at[0, 1].set(jnp.nan), good.at[0, 1].set(jnp.inf), jnp.zeros((2, 4))]
    fn = lambda m: participation_ratio(spectrum(m, method=method))
    values, grads = jax.jit(jax.vmap(jax.value_and_grad(fn)))(jnp.stack(batch))
    np.testing.assert_allclose(values, [100 / 82, np.nan, np.nan, 0], rtol=1e-6)
    assert jnp.isfinite(grads[0]).all()
    np.testing.assert_array_equal(grads[1:], 0)


@pytest.mark.parametrize("method", METHODS)
def test_gradient_along_curves_of_constant_rank(method):
    """Central differences on M(t) = (L + tA)(R + tB), which keeps its rank."""
    spectra = [(4, 3, 2, 1), (3, 2, 1, 1), (3, 3, 1, 1), (3, 2, 0, 0), (3, 1, 1, 0)]
    rng = np.random.default_rng(3)
    fn = lambda m: all_measures(spectrum(m, method=method))
    # The reference takes its values from NumPy, and no part of the derivative under test.
    exact = jax.jit(all_measures)
    matrices, velocities, wanted = [], [], []
    for values in spectra:
        nonzero = [v for v in values if v]
        left = with_spectrum([1] * len(nonzero), (4, len(nonzero)), 1)
        right = with_spectrum(nonzero, (len(nonzero), 6), 2)
        a, b = (rng.normal(size=m.shape) for m in (left, right))
        at = lambda t, left=left, right=right, a=a, b=b: exact(
            np.linalg.svd((left + t * a) @ (right + t * b), compute_uv=False)
        )
        wanted.append((at(1e-5) - at(-1e-5)) / 2e-5)
        matrices.append(left @ right)
        velocities.append(a @ right + left @ b)
    matrices, velocities, wanted = map(jnp.stack, (matrices, velocities, wanted))

    grads = jax.jit(jax.vmap(jax.jacrev(fn)))(matrices)
    forward = jax.jit(jax.vmap(lambda m, v: jax.jvp(fn, (m,), (v,))[1]))(matrices, velocities)
    assert jnp.isfinite(grads).all()
    kink = 2, 0  # the largest value of the third repeats: the stable rank has no derivative
    for got in (jnp.einsum("bkmn,bmn->bk", grads, velocities), forward):
        want = wanted.at[kink].set(got[kink])
        np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_gradient_is_finite_at_degenerate_matrices(method, dtype):
    matrices = [np.zeros((3, 4)), np.eye(3, 4), np.ones((3, 4)), np.diag([1, 1, 0, 0])[:3]]
    fn = lambda m: (lambda values: (values, values))(all_measures(spectrum(m, method=method)))
    grads, values = jax.jit(jax.vmap(jax.jacrev(fn, has_aux=True)))(jnp.asarray(matrices, dtype))
    tol = 0.02 if method == "gram" and dtype == jnp.float32 else 1e-5
    np.testing.assert_allclose(values[:, :3], np.array([[0, 3, 1, 2]] * 3).T, atol=tol)
    assert jnp.isfinite(grads).all()
    assert jnp.abs(grads).max() <= 4


def test_participation_ratio_has_its_gradient_in_every_direction():
    """Also off the manifold of constant rank: against the formula in traces."""
    matrix = with_spectrum((3, 3, 0, 0), (4, 6))
    traces = lambda m: jnp.sum(m**2) ** 2 / jnp.sum((m @ m.T) ** 2)
    fn = jax.jit(jax.value_and_grad(lambda m: participation_ratio(spectrum(m))))
    (value, grad), (want, slope) = fn(matrix), jax.jit(jax.value_and_grad(traces))(matrix)
    np.testing.assert_allclose(value, want, rtol=1e-12)
    np.testing.assert_allclose(grad, slope, atol=1e-12)


def test_second_derivative_where_the_values_are_distinct():
    matrix, direction = with_spectrum((3, 2), (2, 3)), jnp.ones((2, 3))
    curve = lambda fn: jax.jit(jax.grad(lambda t: jnp.vdot(jax.grad(fn)(matrix + t), direction)))
    traces = lambda m: jnp.sum(m**2) ** 2 / jnp.sum((m @ m.T) ** 2)
    got = curve(lambda m: participation_ratio(spectrum(m)))(0.0)
    np.testing.assert_allclose(got, curve(traces)(0.0), rtol=1e-10)


def test_independent_batches_do_not_wait_for_each_other():
    """Batched LAPACK calls of one program would block all threads of a small machine."""
    matrices = jax.random.normal(jax.random.key(0), (32, 100, 6), jnp.float32)
    many = lambda m: [spectrum(jnp.sin(k * m), method=s) for k in range(1, 4) for s in METHODS]
    got = jax.jit(jax.vmap(many))(matrices)
    want = np.linalg.svd(np.sin(matrices), compute_uv=False)
    np.testing.assert_allclose(got[0], want, rtol=1e-4)


@pytest.mark.fast
def test_measures_of_known_spectra():
    s = jnp.array([3.0, 1.0, 0.0])
    np.testing.assert_allclose(effective_rank(s), np.exp(scipy.stats.entropy(s)), rtol=1e-14)
    assert numerical_rank(s) == 2
    want = all_measures(s)[:-1]
    np.testing.assert_allclose(want, [10 / 9, effective_rank(s), 100 / 82], rtol=1e-14)
    fn = jax.jit(jax.vmap(lambda s: all_measures(s)[:-1]))
    slope = jax.jit(jax.vmap(jax.jacrev(lambda s: all_measures(s)[:-1])))
    batch = jnp.array([[3.0, 1, 0], [6, 2, 0], [2, 2, 2], [0, 0, 0], [1, 0, 0]])
    got = fn(batch)
    np.testing.assert_allclose(got[:2], [want, want], rtol=1e-14)
    np.testing.assert_allclose(got[2:], [[3] * 3, [0] * 3, [1] * 3], rtol=1e-14)
    slopes = slope(batch)
    assert jnp.isfinite(slopes).all()
    assert not slopes[3].any()
    bad = jnp.array([[1, jnp.nan, 0], [1, jnp.inf, 0], [jnp.nan] * 3])
    assert jnp.isnan(fn(bad)).all()
    extreme = jnp.array([[1e-37, 1e-37 / 3, 0], [1e38, 1e38 / 3, 0], [3e38, 1e38, 0]], jnp.float32)
    np.testing.assert_allclose(fn(extreme), np.stack([want] * 3), rtol=1e-5)


def test_numerical_rank_follows_its_tolerance():
    s = jnp.array([1.0, 1e-3, 1e-12, 0.0])
    assert [int(numerical_rank(s, rtol=r)) for r in (0.0, 1e-6, 0.1)] == [3, 2, 1]
    assert numerical_rank(jnp.zeros(3)) == 0
    assert numerical_rank(jnp.array([1.0, jnp.nan])) == -1
    matrix = with_spectrum((4, 2, 1, 0, 0), (5, 300)).astype(jnp.float32)
    assert numerical_rank(spectrum(matrix), rtol=300 * 1.2e-7) == 3


@pytest.mark.parametrize("shape", [(20, 3), (5, 2, 4)])
def test_feature_spectrum_is_that_of_the_covariance(shape):
    features = np.random.default_rng(0).normal(size=shape) + 5
    flat = features.reshape(len(features), -1)
    k = min(flat.shape)
    want = np.linalg.eigvalsh(np.cov(flat.T))[::-1][:k]
    np.testing.assert_allclose(feature_spectrum(features) ** 2, want, atol=1e-12)
    raw = np.linalg.eigvalsh(flat.T @ flat / len(flat))[::-1][:k]
    np.testing.assert_allclose(feature_spectrum(features, center=False) ** 2, raw, rtol=1e-9)
    huge = feature_spectrum(np.float32(1e37) * features.astype(np.float32))
    np.testing.assert_allclose(huge / np.float32(1e37), np.sqrt(want.clip(0)), atol=1e-4)


def test_half_precision_is_widened():
    for dtype in (jnp.bfloat16, jnp.float16):
        matrix = jnp.eye(3, 4, dtype=dtype)
        assert jax.eval_shape(spectrum, matrix).dtype == jnp.float32
        assert jax.eval_shape(effective_rank, matrix[0]).dtype == jnp.float32
        assert jax.eval_shape(jax.grad(lambda m: spectrum(m)[0]), matrix).dtype == dtype


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (ValueError, lambda: spectrum(jnp.ones((2, 2)), method="lanczos")),
        (ValueError, lambda: spectrum(jnp.ones(3))),
        (ValueError, lambda: spectrum(jnp.ones((0, 3)))),
        (TypeError, lambda: spectrum(jnp.ones((2, 2), jnp.int32))),
        (TypeError, lambda: spectrum([[1.0]])),
        (ValueError, lambda: effective_rank(jnp.ones((2, 2)))),
        (ValueError, lambda: stable_rank(jnp.ones(0))),
        (TypeError, lambda: participation_ratio(jnp.arange(3))),
        (ValueError, lambda: numerical_rank(jnp.ones(3), rtol=-1.0)),
        (ValueError, lambda: feature_spectrum(jnp.ones((1, 3)))),
        (ValueError, lambda: feature_spectrum(jnp.ones(3))),
    ],
)
def test_misuse_is_an_error(error, call):
    with pytest.raises(error):
        call()
