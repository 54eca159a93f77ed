"""Linear CKA: Kornblith's two forms in NumPy, its invariances, degenerate features."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture.compression import linear_cka

CKA = jax.jit(jax.vmap(linear_cka))


def hsic_ratio(x, y):
    """HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)) with the centring matrix, in float64."""
    n = len(x)
    centring = np.eye(n) - 1 / n
    k, l = (f.reshape(n, -1).astype(np.float64) for f in (x, y))
    k, l = (centring @ f @ f.T @ centring for f in (k, l))
    return np.trace(k @ l) / np.sqrt(np.trace(k @ k) * np.trace(l @ l))


@pytest.mark.fast
@pytest.mark.parametrize(("num", "dtype"), [(30, np.float32), (7, np.float64)])
def test_matches_the_hsic_formula_and_is_invariant(num, dtype):
    """With more inputs than features, and the other way round."""
    rng = np.random.default_rng(num)
    x = rng.normal(size=(num, 12)) + 3
    y = np.tanh(x @ rng.normal(size=(12, 12)))
    rotated = x @ np.linalg.qr(rng.normal(size=(12, 12)))[0]
    basis = np.linalg.qr(np.vander(np.linspace(-1, 1, num), 7, increasing=True))[0]
    odd, even = (basis[:, k] @ rng.normal(size=(3, 12)) for k in ([1, 3, 5], [2, 4, 6]))
    constant, nan, inf = np.full_like(x, 0.1), x.copy(), x.copy()
    nan[1, 1], inf[1, 1] = np.nan, np.inf
    pairs = [(x, y), (rotated, y), (1e15 * x, 1e-15 * y), (x + 5, y - 2), (x, 1e15 * rotated - 1)]
    pairs += [(odd, even + 2), (constant, y), (x, constant), (nan, y), (x, inf)]
    xs, ys = (np.stack(arrays).astype(dtype) for arrays in zip(*pairs, strict=True))
    got = CKA(xs, ys.reshape(-1, num, 3, 4))
    assert got.dtype == dtype
    eps = np.finfo(dtype).eps
    want = hsic_ratio(x, y)
    assert 0.05 < want < 0.95
    np.testing.assert_allclose(got[:6], [want] * 4 + [1, 0], atol=1000 * eps)
    assert jnp.isnan(got[6:]).all()
    np.testing.assert_allclose(linear_cka(xs[0], ys[0]), got[0], rtol=100 * eps)  # without jit


def test_dtypes():
    half, single, double = (jnp.eye(4, 3, dtype=d) for d in (jnp.bfloat16, jnp.float32, float))
    assert jax.eval_shape(linear_cka, half, half).dtype == jnp.float32
    assert jax.eval_shape(linear_cka, half, double).dtype == jnp.float64
    assert jax.eval_shape(linear_cka, single, single).dtype == jnp.float32


@pytest.mark.parametrize(
    ("error", "match", "args"),
    [
        (TypeError, "features .* got int32", (jnp.ones((3, 2), jnp.int32), jnp.ones((3, 2)))),
        (ValueError, "as many rows, got 3 and 4", (jnp.ones((3, 2)), jnp.ones((4, 2)))),
        (ValueError, r"other must be \(n >= 2", (jnp.ones((3, 2)), jnp.ones(3))),
        (ValueError, r"features must be \(n >= 2", (jnp.ones((1, 2)), jnp.ones((1, 2)))),
    ],
)
def test_misuse_is_an_error(error, match, args):
    with pytest.raises(error, match=match):
        linear_cka(*args)
