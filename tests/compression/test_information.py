"""Information: joint covariances of linear Gaussian channels in NumPy, any scale, bad input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture.compression import gaussian_information, layer_information


def from_joint_covariance(matrix, factor, noise):
    """log(det Σ_x det Σ_y / det Σ_xy) / 2 of (x, J x + σ n): no formula for the channel."""
    prior = factor @ factor.T
    out = matrix @ prior @ matrix.T + noise**2 * np.eye(len(matrix))
    joint = np.block([[prior, prior @ matrix.T], [matrix @ prior, out]])
    return 0.5 * sum(
        sign * np.linalg.slogdet(m)[1] for sign, m in [(1, prior), (1, out), (-1, joint)]
    )


@pytest.mark.fast
@pytest.mark.parametrize(("shape", "dtype"), [((3, 5), np.float32), ((7, 4), np.float64)])
def test_is_exact_for_linear_gaussian_channels(shape, dtype):
    rng = np.random.default_rng(1)
    matrix, factor = rng.normal(size=shape), rng.normal(size=(shape[1], shape[1] + 2))
    noise = np.array([0.3, 1, 30])  # the reference loses digits like 1 / σ²
    want = [from_joint_covariance(matrix, factor, sigma) for sigma in noise]
    plain = [from_joint_covariance(matrix, np.eye(shape[1]), sigma) for sigma in noise]
    rtol = 2000 * np.finfo(dtype).eps
    given = matrix.astype(dtype), noise.astype(dtype)
    got = jax.jit(gaussian_information)(*given, factor=factor.astype(dtype))
    assert got.dtype == dtype
    np.testing.assert_allclose(got, want, rtol=rtol)
    np.testing.assert_allclose(gaussian_information(*given), plain, rtol=rtol)


def test_any_scale_and_its_slope():
    """Signal over noise from 1e-30 to 1e30; derivatives are finite where values vanish."""
    singular = jnp.diag(jnp.array([2, 1, 0], jnp.float32))
    scales = jnp.array([1e-30, 1, 1e30], jnp.float32)
    values = jax.jit(jax.vmap(lambda s: gaussian_information(singular * s, s)))(scales)
    np.testing.assert_allclose(values, 0.5 * np.log(5 * 2), rtol=1e-6)
    np.testing.assert_allclose(
        gaussian_information(singular, jnp.float32(1e-30)), np.log(2) + 60 * np.log(10), rtol=1e-6
    )
    slope = jax.grad(lambda m: gaussian_information(m, 1.0))(singular.astype(float))
    np.testing.assert_allclose(slope, np.diag([2 / 5, 1 / 2, 0]), atol=1e-12)
    assert jnp.isnan(gaussian_information(singular.at[0, 0].set(jnp.nan), 1.0))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_layers_of_a_linear_network_are_exact_and_lose_information(dtype):
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=(6, 4)), rng.normal(size=(2, 6))
    factor = rng.normal(size=(4, 9))
    stages = [lambda h: first.astype(dtype) @ h.ravel(), lambda h: second.astype(dtype) @ h]
    x, noise = rng.normal(size=(2, 2)).astype(dtype), np.array([0.3, 2])
    run = jax.jit(lambda x: layer_information(stages, x, noise, factor=factor.astype(dtype)))
    got = run(x)
    assert got.information.dtype == dtype
    assert got.dim.tolist() == [4, 6, 2]
    matrices = [np.eye(4), first, second @ first]
    want = [[from_joint_covariance(m, factor, sigma) for sigma in noise] for m in matrices]
    np.testing.assert_allclose(got.information, want, rtol=2000 * np.finfo(dtype).eps)
    again = layer_information(stages, x, np.tile(noise, (3, 1)), factor=factor.astype(dtype))
    np.testing.assert_allclose(again.information, got.information, rtol=1e-5)  # without jit
    mapped = jax.vmap(run)(np.stack([x, 2 * x]))
    np.testing.assert_allclose(mapped.information, [got.information] * 2, rtol=1e-5)


def test_a_layer_that_is_flat_at_the_input_says_nothing():
    got = layer_information([jax.nn.relu, jnp.cos], -jnp.ones(3), jnp.ones(2))
    np.testing.assert_allclose(got.information, [[1.5 * np.log(2)] * 2, [0, 0], [0, 0]], atol=1e-15)


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (ValueError, "noise must be positive", lambda: gaussian_information(jnp.eye(2), 0.0)),
        (
            ValueError,
            r"factor must be \(2, r\)",
            lambda: gaussian_information(jnp.eye(2), 1.0, factor=jnp.eye(3)),
        ),
        (TypeError, "matrix must be", lambda: gaussian_information(jnp.eye(2, dtype=int), 1.0)),
        (ValueError, "stages is empty", lambda: layer_information([], jnp.ones(2), jnp.ones(1))),
        (
            ValueError,
            r"noise must be \(noises,\) or \(2",
            lambda: layer_information([jnp.sin], jnp.ones(2), jnp.ones((3, 1))),
        ),
        (
            ValueError,
            r"factor must be \(2, r\)",
            lambda: layer_information([jnp.sin], jnp.ones(2), jnp.ones(1), factor=jnp.eye(3)),
        ),
    ],
)
def test_misuse_is_an_error(error, match, call):
    with pytest.raises(error, match=match):
        call()
