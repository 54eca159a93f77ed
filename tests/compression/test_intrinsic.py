"""Intrinsic dimension: NumPy in float64, the law of uniform points, degenerate clouds."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture.compression import mle_dimension, two_nn

NUM, SHAPE, K = 400, (2, 3), 10
# One shape for all clouds, so that each estimator is compiled once per dtype.
ESTIMATORS = {
    "two_nn": jax.jit(jax.vmap(two_nn)),
    "mle": jax.jit(jax.vmap(lambda points: mle_dimension(points, num_neighbours=K))),
}


def neighbours(points):
    """Sorted distances to the other distinct points, in float64."""
    rows = np.unique(np.asarray(points, np.float64).reshape(len(points), -1), axis=0)
    squares = np.sum((rows[:, None] - rows) ** 2, axis=2)
    return np.sort(np.sqrt(squares), axis=1)[:, 1:]


def two_nn_by_numpy(points, discard_fraction=0.1):
    r = neighbours(points)
    x = np.log(np.sort(r[:, 1] / r[:, 0]))
    kept = min(int(len(x) * (1 - discard_fraction)), len(x) - 1)
    y = -np.log(1 - np.arange(1, kept + 1) / len(x))
    return np.linalg.lstsq(x[:kept, None], y)[0][0]


def mle_by_numpy(points, k=K):
    r = neighbours(points)[:, :k]
    local = (k - 1) / np.log(r[:, -1:] / r[:, :-1]).sum(axis=1)
    return 1 / np.mean(1 / local)


REFERENCES = {"two_nn": two_nn_by_numpy, "mle": mle_by_numpy}


def clouds():
    """A cloud, and what is made of it, in float32."""
    rng = np.random.default_rng(0)
    cloud = rng.normal(size=(NUM, *SHAPE)).astype(np.float32)
    copies = cloud.copy()
    copies[300:] = cloud[:100]
    copies[5] = copies[6] = cloud[7]
    # Two clusters: what is within one is below the rounding of a Gram matrix of both.
    far = cloud * np.float32(1e-4)
    far[::2] += 1
    few = np.resize(cloud[: K + 1], cloud.shape)  # as many distinct points as k needs
    scaled = [cloud * np.float32(s) for s in (2.0**60, 1e-15, 1e15)]
    return np.stack([cloud, *scaled, copies, far, few])


def degenerate():
    nan, inf, same, few = np.random.default_rng(1).normal(size=(4, NUM, *SHAPE))
    nan[3, 1, 1], inf[3, 1, 1], same[:] = np.nan, np.inf, 0.1
    few[2:] = np.resize(few[:2], few[2:].shape)  # two distinct points
    lattice = np.zeros_like(nan)
    lattice[:, 0, :2] = np.stack(np.divmod(np.arange(NUM), 20), axis=1)
    return np.stack([nan, inf, same, few, lattice])


def uniform():
    """Uniform in a cube of 1, 2 or 3 dimensions, in a random subspace; eight of each."""
    rng = np.random.default_rng(2)
    rotations = np.linalg.qr(rng.normal(size=(24, 6, 6)))[0]
    dims = np.repeat([1, 2, 3], 8)
    cubes = [rng.uniform(size=(NUM, d)) @ q[:d] for d, q in zip(dims, rotations, strict=True)]
    return np.stack(cubes).reshape(24, NUM, *SHAPE)


@pytest.mark.parametrize("name", ESTIMATORS)
def test_matches_numpy_and_the_law_in_float32(name):
    points = clouds()
    want = [REFERENCES[name](cloud) for cloud in points]
    batch = np.concatenate([points, degenerate(), uniform()]).astype(np.float32)
    got, bad, means = np.split(ESTIMATORS[name](batch), [len(points), len(points) + 5])
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, want, rtol=1e-4)
    assert got[0] == got[1]  # scaled by a power of two

    assert np.isnan(bad[:4]).all()
    assert bad[4] == np.inf if name == "two_nn" else np.isfinite(bad[4])

    # A mean over 8 clouds of 400. The logs of 3200 ratios are exponential: a standard error of
    # 1 / sqrt(3200) = 1.8% at best, less at worst than twice that for the fit and for neighbours
    # that points share; and a bias of a few per cent, for those at the edge of the cube.
    np.testing.assert_allclose(means.reshape(3, 8).mean(axis=1), [1, 2, 3], rtol=0.1)


def test_mle_in_float64():
    points = clouds().astype(np.float64)
    got = ESTIMATORS["mle"](points)
    assert got.dtype == jnp.float64
    np.testing.assert_allclose(got, [mle_by_numpy(cloud) for cloud in points], rtol=1e-12)


def test_two_nn_in_float64_without_jit():
    points = clouds()[0, :40].astype(np.float64)
    got = two_nn(points, discard_fraction=0.75)
    assert got.dtype == jnp.float64
    np.testing.assert_allclose(got, two_nn_by_numpy(points, 0.75), rtol=1e-12)


@pytest.mark.fast
def test_two_neighbours_are_the_maximum_likelihood_form_of_two_nn():
    points = clouds()[0, :40]
    r = neighbours(points)
    want = len(r) / np.log(r[:, 1] / r[:, 0]).sum()
    got = jax.jit(lambda points: mle_dimension(points, num_neighbours=2))(points)
    np.testing.assert_allclose(got, want, rtol=1e-5)


def test_half_precision_is_widened():
    for dtype in (jnp.bfloat16, jnp.float16):
        assert jax.eval_shape(two_nn, jnp.ones((30, 2), dtype)).dtype == jnp.float32
        assert jax.eval_shape(mle_dimension, jnp.ones((30, 2), dtype)).dtype == jnp.float32


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (TypeError, "points .* got int32", lambda: two_nn(jnp.ones((5, 2), jnp.int32))),
        (ValueError, r"n >= 3.* got shape \(2, 4\)", lambda: two_nn(jnp.ones((2, 4)))),
        (ValueError, "got shape", lambda: two_nn(jnp.ones(5))),
        (ValueError, r"\[0, 1\), got 1", lambda: two_nn(jnp.ones((5, 2)), discard_fraction=1.0)),
        (TypeError, "list|1.0", lambda: mle_dimension([[1.0], [2.0], [3.0]])),
        (ValueError, "2 … 4, got 5", lambda: mle_dimension(jnp.ones((5, 2)), num_neighbours=5)),
        (ValueError, "got 1", lambda: mle_dimension(jnp.ones((5, 2)), num_neighbours=1)),
    ],
)
def test_misuse_is_an_error(error, match, call):
    with pytest.raises(error, match=match):
        call()
