"""Neural collapse: the simplex, the definitions with full matrices in NumPy, degenerate classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture.compression import NeuralCollapse, neural_collapse

MEASURE = jax.jit(jax.vmap(neural_collapse))


def by_numpy(features, labels, weight, bias):
    """As in the paper, with d x d covariances and their pseudo-inverse."""
    h, w = features.reshape(len(features), -1), weight
    num = len(w)
    means = np.stack([h[labels == c].mean(axis=0) for c in range(num)])
    within, m = h - means[labels], means - means.mean(axis=0)
    sigma_w, sigma_b = within.T @ within / len(h), m.T @ m / num
    inverse = np.linalg.pinv(sigma_b, rcond=1e-9, hermitian=True)

    def equinorm(v):
        norms = np.linalg.norm(v, axis=1)
        return norms.std(ddof=1) / norms.mean()

    def equiangular(v):
        pairs = [(a, b) for a in range(num) for b in range(num) if a != b]
        cos = [v[a] @ v[b] / np.linalg.norm(v[a]) / np.linalg.norm(v[b]) for a, b in pairs]
        return np.abs(np.add(cos, 1 / (num - 1))).mean()

    centres = np.linalg.norm(h[:, None] - means, axis=2).argmin(axis=1)
    return NeuralCollapse(
        np.trace(sigma_w @ inverse) / num,
        equinorm(m),
        equinorm(w),
        equiangular(m),
        equiangular(w),
        np.sum((w / np.linalg.norm(w) - m / np.linalg.norm(m)) ** 2),
        np.mean((h @ w.T + bias).argmax(axis=1) != centres),
    )


def problem(num, num_classes, shape, seed):
    """Features, labels of classes of unequal size, weight and bias; not separable."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(num_classes), rng.integers(num_classes, size=num)])[:num]
    dim = np.prod(shape)
    features = rng.normal(size=(num, dim)) + 2 * rng.normal(size=(num_classes, dim))[labels] + 1
    weight, bias = rng.normal(size=(num_classes, dim)), 3 * rng.normal(size=num_classes)
    return features.reshape(num, *shape), labels, weight, bias


@pytest.mark.parametrize(
    ("num_classes", "shape", "dtype"), [(4, (2, 3), np.float32), (6, (3,), np.float64)]
)
def test_matches_numpy_at_any_scale(num_classes, shape, dtype):
    """With fewer classes than features, and the other way round."""
    features, labels, weight, bias = problem(40, num_classes, shape, seed=num_classes)
    want = by_numpy(features, labels, weight, bias)
    assert 0.05 < want.nc4 < 0.95
    # A bias scaled as the products are leaves every decision what it is.
    scales = np.array([(1, 1), (1e15, 1), (1e-15, 1e15), (1e15, 1e15), (1e-15, 1e-15)])
    features = np.stack([a * features for a, _ in scales]).astype(dtype)
    weight = np.stack([b * weight for _, b in scales]).astype(dtype)
    bias = np.stack([a * b * bias for a, b in scales]).astype(dtype)
    labels = np.stack([labels] * len(scales))
    got = MEASURE(features, labels, weight, bias)
    rtol = 1e-4 if dtype == np.float32 else 1e-10
    for name, values, value in zip(want._fields, got, want, strict=True):
        assert values.dtype == dtype, name
        np.testing.assert_allclose(values, value, rtol=rtol, atol=rtol / 10, err_msg=name)


def test_all_vanish_at_a_simplex():
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0][:4]
    simplex = (np.eye(4) - 1 / 4) @ rotation
    labels = np.repeat(np.arange(4), 10)
    features = (3 * simplex[labels] + rotation[0]).reshape(40, 2, 3)  # with a common offset
    bias = -simplex @ rotation[0]
    arrays = (a.astype(np.float32) for a in (features, simplex, bias))
    features, simplex, bias = (np.stack([array] * 5) for array in arrays)
    got = MEASURE(features, np.stack([labels] * 5), simplex, bias)
    np.testing.assert_allclose(got, np.zeros((7, 5)), atol=20 * np.finfo(np.float32).eps)


@pytest.mark.fast
def test_by_hand():
    """Means ±2 e1 and ±4 e2; one step back and forth along e1 to e5; weights e3 to e6."""
    axes = np.eye(6, dtype=np.float32)
    means = np.stack([2 * axes[0], -2 * axes[0], 4 * axes[1], -4 * axes[1]])
    steps = np.concatenate([axes[:5], -axes[:5]])
    features = (means[:, None] + steps).reshape(40, 2, 3)
    arrays = features, np.repeat(np.arange(4), 10), axes[2:], np.zeros(4, np.float32)
    got = np.stack(MEASURE(*(np.stack([array] * 5) for array in arrays)))[:, 0]
    want = NeuralCollapse(
        nc1=(0.2 / 2 + 0.2 / 8) / 4,  # Σ_W = 0.2 on five axes, Σ_B = diag(2, 8)
        nc2_equinorm_means=np.sqrt(4 / 3) / 3,  # of norms 2, 2, 4, 4
        nc2_equinorm_weights=0,
        nc2_equiangular_means=(2 * 2 / 3 + 4 * 1 / 3) / 6,  # cosines -1 twice and 0 four times
        nc2_equiangular_weights=1 / 3,
        nc3=2,  # unit vectors at right angles
        nc4=3 / 4,  # the steps alone decide: in each class the same, one in four of them right
    )
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-7)


def test_what_is_undefined_is_nan_and_nothing_else():
    good = problem(40, 4, (2, 3), seed=1)
    names = ["good", "empty class", "label out of range", "negative label", "nan", "inf"]
    names += ["one point", "nan weight", "zero row", "inf bias"]
    batch = [np.stack([array] * len(names)) for array in good]
    features, labels, weight, bias = batch
    labels[1][labels[1] == 2] = 0
    labels[2, 7], labels[3, 7] = 4, -1
    features[4, 3, 1, 2], features[5, 3, 1, 2], features[6] = np.nan, np.inf, 0.1
    weight[7, 1, 1], weight[8, 1], bias[9, 0] = np.nan, 0, np.inf
    features, weight, bias = (array.astype(np.float32) for array in (features, weight, bias))
    halves = [MEASURE(*(a[h : h + 5] for a in (features, labels, weight, bias))) for h in (0, 5)]
    got = np.isnan(np.concatenate(halves, axis=1)).T

    all_but_weights = [True, True, False, True, False, True, True]
    want = {name: all_but_weights for name in names[1:7]}
    want["good"] = [False] * 7
    want["nan weight"] = [False, False, True, False, True, True, True]
    want["zero row"] = [False, False, False, False, True, False, False]
    want["inf bias"] = [False] * 6 + [True]
    assert {name: row.tolist() for name, row in zip(names, got, strict=True)} == want


def test_half_precision_is_widened():
    half = jnp.eye(3, 2, dtype=jnp.bfloat16)
    got = jax.eval_shape(neural_collapse, half, jnp.array([0, 1, 1]), half[:2])
    assert {(field.shape, field.dtype) for field in got} == {((), jnp.dtype(jnp.float32))}


FEATURES, LABELS, WEIGHT = jnp.ones((4, 3)), jnp.zeros(4, int), jnp.ones((2, 3))


@pytest.mark.parametrize(
    ("error", "match", "args"),
    [
        (TypeError, "features .* got int", (jnp.ones((4, 3), int), LABELS, WEIGHT)),
        (TypeError, "labels .* got float", (FEATURES, jnp.zeros(4), WEIGHT)),
        (TypeError, "bias .* got int", (FEATURES, LABELS, WEIGHT, jnp.zeros(2, int))),
        (ValueError, r"labels must be \(4,\), got shape \(3,\)", (FEATURES, LABELS[:3], WEIGHT)),
        (ValueError, r"\(K >= 2, 3\), got shape \(3, 2\)", (FEATURES, LABELS, WEIGHT.T)),
        (ValueError, r"\(K >= 2, 3\), got shape \(1, 3\)", (FEATURES, LABELS, WEIGHT[:1])),
        (ValueError, r"bias must be \(2,\), got", (FEATURES, LABELS, WEIGHT, jnp.zeros(3))),
        (ValueError, r"features must be \(n >= 1", (jnp.ones((0, 3)), LABELS[:0], WEIGHT)),
    ],
)
def test_misuse_is_an_error(error, match, args):
    with pytest.raises(error, match=match):
        neural_collapse(*args)
