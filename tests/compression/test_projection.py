"""Projections on row spaces: NumPy, finite differences, and the law of random subspaces."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from fracture.compression import (
    contrast,
    null_ratio,
    project,
    project_and_spectrum,
    random_subspace,
)


def reference(rows, delta, rank):
    _, _, vt = np.linalg.svd(np.asarray(rows, np.float64))
    return np.linalg.norm(vt[:rank] @ delta) / np.linalg.norm(delta)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("shape", "dtype"),
    [
        ((1, 1), np.float32),
        ((1, 7), np.float64),
        ((3, 7), np.float32),
        ((7, 3), np.float64),
        ((12, 100), np.float32),
    ],
)
def test_matches_numpy(shape, dtype):
    """A matrix of full rank, and one of a rank less, if there is one."""
    rng = np.random.default_rng(0)
    full = min(shape)
    ranks = (full, max(full - 1, 1))
    rows = [rng.normal(size=(shape[0], r)) @ rng.normal(size=(r, shape[1])) for r in ranks]
    delta = rng.normal(size=shape[1])
    got = jax.jit(jax.vmap(project, (0, None)))(np.asarray(rows, dtype), delta.astype(dtype))
    assert got.ratio.dtype == got.rtol.dtype == got.null_ratio.dtype == dtype
    eps = float(jnp.finfo(dtype).eps)
    want = [reference(m, delta, rank) for m, rank in zip(rows, ranks, strict=True)]
    np.testing.assert_allclose(got.ratio, want, atol=200 * eps)
    np.testing.assert_array_equal(got.rank, ranks)
    np.testing.assert_allclose(got.rtol, max(shape) * eps)
    np.testing.assert_allclose(got.null_ratio, np.sqrt(np.array(ranks) / shape[1]), rtol=4 * eps)


def test_known_subspaces():
    rows = jnp.array([[2.0, 0, 0, 0], [0, 3, 0, 0], [4, 9, 0, 0]])
    deltas = jnp.array([[[3.0, 0], [0, 4]], [[0, 0], [1, 0]], [[1, 1], [0, 0]]])  # any shape
    got = jax.jit(jax.vmap(project, (None, 0)))(rows, deltas)
    np.testing.assert_allclose(got.ratio, [0.6, 0, 1], atol=1e-14)
    np.testing.assert_array_equal(got.rank, 2)
    nearly = jnp.array([[1.0, 0, 0], [1.0, 1e-3, 0]])
    ranks = jax.jit(lambda m: [project(m, jnp.ones(3), rtol=r).rank for r in (0.0, 0.1)])(nearly)
    assert [int(rank) for rank in ranks] == [2, 1]


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_any_scale(dtype):
    rng = np.random.default_rng(1)
    rows, delta = (jnp.asarray(rng.normal(size=s), dtype) for s in ((3, 8), (8,)))
    largest = jnp.abs(rows).max(), jnp.abs(delta).max()
    fn = jax.jit(jax.value_and_grad(lambda m, v: project(m, v).ratio, argnums=(0, 1)))
    want, slopes = fn(rows, delta)
    for a, b in ((1e30, 1e-30), (1e-30, 1e30), (1e38, 1e38)):
        got, grads = fn(rows / largest[0] * dtype(a), delta / largest[1] * dtype(b))
        np.testing.assert_allclose(got, want, rtol=1e-5)
        if a == b:
            continue  # slopes of about 1e-38 are flushed to zero
        np.testing.assert_allclose(grads[0] * dtype(a), slopes[0] * largest[0], atol=1e-5)
        np.testing.assert_allclose(grads[1] * dtype(b), slopes[1] * largest[1], atol=1e-5)


@pytest.mark.parametrize("case", ["generic", "deficient", "repeated", "square", "tall"])
def test_gradient_is_that_of_finite_differences(case):
    """Along curves that keep the rank; the reference uses NumPy alone."""
    rng = np.random.default_rng(2)
    m, d, rank = {"deficient": (4, 6, 2), "square": (4, 4, 4), "tall": (6, 3, 2)}.get(
        case, (3, 6, 3)
    )
    left, right = rng.normal(size=(m, rank)), rng.normal(size=(rank, d))
    if case == "repeated":
        left, right = np.eye(3), np.linalg.qr(right.T)[0].T
    a, b = rng.normal(size=left.shape), rng.normal(size=right.shape)
    delta, delta_dot = rng.normal(size=(2, d))
    exact = lambda t: reference((left + t * a) @ (right + t * b), delta + t * delta_dot, rank)

    fn = lambda rows, delta: project(rows, delta).ratio
    primals = jnp.asarray(left @ right), jnp.asarray(delta)
    tangents = jnp.asarray(a @ right + left @ b), jnp.asarray(delta_dot)
    grads = jax.jit(jax.grad(fn, argnums=(0, 1)))(*primals)
    want = (exact(1e-5) - exact(-1e-5)) / 2e-5
    got = sum(jnp.vdot(g, t) for g, t in zip(grads, tangents, strict=True))
    np.testing.assert_allclose(got, want, atol=1e-8)
    if case == "generic":
        np.testing.assert_allclose(jax.jvp(jax.jit(fn), primals, tangents)[1], want, atol=1e-8)


def test_bad_lanes_are_reported_and_leave_the_others_alone():
    rows = jnp.array([[1.0, 0, 0], [0, 1, 0]])
    bad = rows.at[0, 0].set(jnp.nan)
    delta = jnp.array([3.0, 0, 4])
    batch_rows = jnp.stack([rows, bad, rows, 0 * rows, rows, rows.at[0, 0].set(jnp.inf)])
    batch = jnp.stack([delta, delta, 0 * delta, delta, delta.at[0].set(jnp.nan), delta])
    got = jax.jit(jax.vmap(project))(batch_rows, batch)
    np.testing.assert_allclose(got.ratio, [0.6, np.nan, np.nan, 0, np.nan, np.nan], rtol=1e-12)
    np.testing.assert_array_equal(got.rank, [2, -1, 2, 0, 2, -1])
    np.testing.assert_array_equal(jnp.isnan(got.null_ratio), [0, 1, 0, 0, 0, 1])
    slope = jax.grad(lambda m, v: project(m, v).ratio, argnums=(0, 1))
    grads = jax.jit(jax.vmap(slope))(batch_rows, batch)
    assert all(jnp.isfinite(g[jnp.array([0, 3])]).all() for g in grads)


@pytest.mark.parametrize(("dim", "rank"), [(16, 1), (16, 5), (6, 6)])
def test_random_subspaces_follow_the_beta_law(dim, rank):
    """Squared ratios are Beta(k/2, (d - k)/2), whatever the displacement."""
    delta = jnp.arange(1.0, dim + 1)
    keys = jax.random.split(jax.random.key(3), 2000)
    bases = jax.vmap(lambda key: random_subspace(key, dim, rank))(keys)
    gram = jnp.einsum("nkd,nld->nkl", bases, bases)
    np.testing.assert_allclose(gram, np.broadcast_to(np.eye(rank), gram.shape), atol=1e-12)
    got = jax.jit(jax.vmap(project, (0, None)))(bases, delta)
    np.testing.assert_array_equal(got.rank, rank)
    if rank == dim:
        np.testing.assert_allclose(got.ratio, 1, rtol=1e-12)
        return
    law = scipy.stats.beta(rank / 2, (dim - rank) / 2)
    assert scipy.stats.kstest(got.ratio**2, law.cdf).pvalue > 0.01
    np.testing.assert_allclose(jnp.mean((got.ratio / got.null_ratio) ** 2), 1, atol=0.1)


def test_null_ratio():
    np.testing.assert_allclose(null_ratio(1, 100), 0.1)
    np.testing.assert_allclose(null_ratio(jnp.array([0, 4, 16]), 16), [0, 0.5, 1])
    traced = jax.jit(null_ratio, static_argnums=1)(jnp.array([1, 9]), 4)
    np.testing.assert_allclose(traced, [0.5, 1])
    assert random_subspace(jax.random.key(0), 5, 2, dtype=jnp.float32).dtype == jnp.float32


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (ValueError, lambda: project(jnp.ones((2, 3)), jnp.ones(4))),
        (ValueError, lambda: project(jnp.ones(3), jnp.ones(3))),
        (ValueError, lambda: project(jnp.ones((2, 3)), jnp.ones(3), rtol=1.0)),
        (ValueError, lambda: project(jnp.ones((2, 3)), jnp.ones(3), rtol=-0.1)),
        (TypeError, lambda: project(jnp.ones((2, 3), int), jnp.ones(3))),
        (TypeError, lambda: project(jnp.ones((2, 3)), jnp.ones(3, int))),
        (ValueError, lambda: null_ratio(1, 0)),
        (ValueError, lambda: null_ratio(9, 4)),
        (ValueError, lambda: null_ratio(jnp.array([1, 5]), 4)),
        (ValueError, lambda: random_subspace(jax.random.key(0), 3, 4)),
        (ValueError, lambda: random_subspace(jax.random.key(0), 3, 0)),
    ],
)
def test_misuse_is_an_error(error, call):
    with pytest.raises(error):
        call()


@pytest.mark.fast
def test_contrasts_keep_everything_but_the_shift():
    logits = np.random.default_rng(0).normal(size=(5, 3))
    got = contrast(jnp.asarray(logits))
    assert got.shape == (4, 3)
    centred = logits - logits.mean(0)
    np.testing.assert_allclose(got.T @ got, centred.T @ centred, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(contrast(jnp.asarray(logits + 7.0)), got, rtol=1e-12, atol=1e-12)


@pytest.mark.fast
def test_projection_comes_with_the_spectrum():
    rows, delta = np.random.default_rng(1).normal(size=(3, 6)), jnp.arange(6.0)
    projection, values = project_and_spectrum(jnp.asarray(1e-3 * rows), delta)
    np.testing.assert_allclose(values, np.linalg.svd(1e-3 * rows, compute_uv=False), rtol=1e-12)
    np.testing.assert_array_equal(projection, project(jnp.asarray(1e-3 * rows), delta))
