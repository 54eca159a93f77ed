"""Gaussians of classes: NumPy's pooled covariance, the law of χ², scales, empty classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from fracture.compression import atypicality, class_gaussians


def drawn(num, dim, rng):
    mixing = rng.normal(size=(dim, dim))
    labels = np.arange(num) % 3
    return 5 * rng.normal(size=(3, dim))[labels] + rng.normal(size=(num, dim)) @ mixing, labels


@pytest.mark.fast
@pytest.mark.parametrize(("dtype", "shrinkage"), [(np.float64, 0.0), (np.float32, 0.1)])
def test_is_the_mahalanobis_distance_of_the_pooled_covariance(dtype, shrinkage):
    rows, labels = drawn(60, 4, np.random.default_rng(1))
    means = np.stack([rows[labels == k].mean(axis=0) for k in range(3)])
    within = rows - means[labels]
    pooled = within.T @ within / len(rows)
    shrunk = (1 - shrinkage) * pooled + shrinkage * np.diag(np.diag(pooled))
    away = rows[:5] - means[[0, 1, 2, 0, 1]]
    want = np.sum(away @ np.linalg.inv(shrunk) * away, axis=1)

    @jax.jit
    def score(rows):
        classes = class_gaussians(rows.reshape(60, 2, 2), labels, 3, shrinkage=shrinkage)
        distance = lambda h, label: atypicality(classes, h, label)
        return jax.vmap(distance)(rows[:5], jnp.array([0, 1, 2, 0, 1]))

    got = score(rows.astype(dtype))
    assert got.dtype == dtype
    np.testing.assert_allclose(got, want, rtol=1e4 * np.finfo(dtype).eps)
    scaled = score((rows * 10.0 ** np.arange(-6, 6, 3)).astype(dtype))  # each feature its own scale
    np.testing.assert_allclose(scaled, want, rtol=1e4 * np.finfo(dtype).eps)
    classes = class_gaussians(rows.astype(dtype), labels, 3, shrinkage=shrinkage)  # without jit
    np.testing.assert_allclose(atypicality(classes, rows[0].astype(dtype), 0), got[0], rtol=1e-4)


def test_ordinary_inputs_follow_chi_squared():
    rows, labels = drawn(9000, 5, np.random.default_rng(2))
    classes = class_gaussians(rows[:6000], labels[:6000], 3, shrinkage=0.0)
    scores = jax.vmap(lambda h, label: atypicality(classes, h, label))(rows[6000:], labels[6000:])
    assert scipy.stats.kstest(scores, scipy.stats.chi2(5).cdf).pvalue > 0.01
    wrong = jax.vmap(lambda h: atypicality(classes, h, 1))(rows[6000::3])
    assert np.median(wrong) > scipy.stats.chi2(5).ppf(0.99)


def test_constant_features_are_left_out_and_empty_classes_have_no_distance():
    rows, labels = drawn(30, 3, np.random.default_rng(3))
    constant = np.concatenate([rows, np.full((30, 1), 7.0)], axis=1)
    plain = class_gaussians(rows, labels, 4, shrinkage=0.0)
    more = class_gaussians(constant, labels, 4, shrinkage=0.0)
    np.testing.assert_allclose(
        atypicality(more, constant[0] + 1, 0), atypicality(plain, rows[0] + 1, 0), rtol=1e-10
    )
    for label in (3, 99, -1):
        assert jnp.isnan(atypicality(plain, rows[0], label))
    made = jax.jit(lambda labels: class_gaussians(jnp.eye(3), labels, 2).whitening)
    assert jnp.isfinite(made(jnp.array([0, 1, 1]))).all()
    assert jnp.isnan(made(jnp.array([0, 1, 2]))).all()


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (
            ValueError,
            "shrinkage must be from 0 to 1",
            lambda: class_gaussians(jnp.eye(3), [0, 1, 1], 2, shrinkage=2.0),
        ),
        (ValueError, r"labels must be \(3,\)", lambda: class_gaussians(jnp.eye(3), [0, 1], 2)),
        (
            TypeError,
            "features must be",
            lambda: class_gaussians(jnp.eye(3, dtype=int), [0, 1, 1], 2),
        ),
        (ValueError, "labels must be 0 to 1", lambda: class_gaussians(jnp.eye(3), [0, 1, 2], 2)),
        (ValueError, "num_classes", lambda: class_gaussians(jnp.eye(3), [0, 1, 1], 0)),
        (
            ValueError,
            "must have 3 entries, got 2",
            lambda: atypicality(class_gaussians(jnp.eye(3), [0, 1, 1], 2), jnp.ones(2), 0),
        ),
    ],
)
def test_misuse_is_an_error(error, match, call):
    with pytest.raises(error, match=match):
        call()
