import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture.optimal import hypercube_radius

rng = np.random.default_rng(5)
search = jax.jit(jax.vmap(hypercube_radius))


def _draw(num, dim, layers=1):
    factors = rng.normal(size=(num, layers, dim, dim))
    return factors, rng.choice([-1.0, 1.0], size=(num, dim))


def _brute_force(factors, code):
    """All subsets of the other coordinates: least length, and the code there."""
    mixing = np.eye(len(code))
    for factor in factors:
        mixing = factor @ mixing
    dim = len(code)
    flips = (np.arange(2 ** (dim - 1))[:, None] >> np.arange(dim - 1)) & 1
    flips = np.hstack([flips, np.ones((len(flips), 1), int)])
    lengths = np.linalg.norm((flips * code) @ mixing.T, axis=1)
    best = lengths.argmin()
    return lengths[best], code * (1 - 2 * flips[best])


@pytest.mark.parametrize(
    ("dim", "num"), [pytest.param(4, 60, marks=pytest.mark.fast), (12, 60), (18, 3)]
)
def test_matches_brute_force(dim, num):
    factors, codes = _draw(num, dim)
    got = search(jnp.asarray(factors), jnp.asarray(codes))
    expected = [_brute_force(*pair) for pair in zip(factors, codes, strict=True)]
    np.testing.assert_allclose(got.radius, [radius for radius, _ in expected], rtol=1e-12)
    np.testing.assert_array_equal(got.code, [code for _, code in expected])
    assert got.proven.all()
    assert got.num_nodes.dtype == jnp.int32


@pytest.mark.fast
def test_one_dimension():
    got = hypercube_radius(jnp.array([[-3.0]]), jnp.array([1.0]))
    assert (float(got.radius), got.code.tolist(), bool(got.proven)) == (3, [-1], True)


@pytest.mark.fast
def test_pair_itself_is_often_the_nearest():
    """Flipping the last coordinate alone: about half of the points at d = 16."""
    factors, codes = _draw(200, 16)
    got = search(jnp.asarray(factors[:, 0]), jnp.asarray(codes))
    alone = np.linalg.norm(factors[:, 0, :, -1], axis=1)
    assert (got.radius <= alone * (1 + 1e-14)).all()
    same = (np.asarray(got.code)[:, :-1] == codes[:, :-1]).all(1)
    np.testing.assert_allclose(got.radius[same], alone[same], rtol=1e-14)
    assert 0.4 < same.mean() < 0.65


def test_forty_dimensions():
    factors, codes = _draw(16, 40)
    one_by_one = jax.jit(lambda a, z: jax.lax.map(lambda pair: hypercube_radius(*pair), (a, z)))
    got = one_by_one(jnp.asarray(factors[:, 0]), jnp.asarray(codes))
    assert got.proven.all()
    assert int(got.num_nodes.max()) < 100_000
    # The nearest point has the other class, is where the radius says, and no single or double
    # flip of another coordinate comes nearer.
    for mixing, code, nearest, radius in zip(
        factors[:, 0], codes, got.code, got.radius, strict=True
    ):
        assert nearest[-1] == -code[-1]
        step = np.asarray(nearest) - code
        np.testing.assert_allclose(np.linalg.norm(mixing @ step) / 2, radius, rtol=1e-12)
        flip = np.eye(40)[:39] * (2 * (step == 0) - 1)[:39, None] * code
        single = step / 2 - flip
        double = (single[:, None] - flip[None])[~np.eye(39, dtype=bool)]
        for steps in (single, double):
            assert np.linalg.norm(steps @ mixing.T, axis=1).min() >= radius * (1 - 1e-12)


@pytest.mark.fast
def test_several_layers():
    factors, codes = _draw(10, 8, layers=3)
    got = search(jnp.asarray(factors), jnp.asarray(codes))
    expected = [_brute_force(*pair)[0] for pair in zip(factors, codes, strict=True)]
    np.testing.assert_allclose(got.radius, expected, rtol=1e-11)


@pytest.mark.fast
@pytest.mark.parametrize("scale", [1e-25, 1, 1e25])
def test_float32_at_any_scale(scale):
    factors, codes = _draw(10, 10)
    mixing = (factors[:, 0] * scale).astype(np.float32)
    got = search(jnp.asarray(mixing), jnp.asarray(codes, jnp.float32))
    assert got.radius.dtype == jnp.float32
    expected = [_brute_force([a], z)[0] for a, z in zip(mixing.astype(float), codes, strict=True)]
    np.testing.assert_allclose(got.radius, expected, rtol=1e-5)
    assert got.proven.all()


@pytest.mark.fast
def test_node_limit_leaves_an_upper_bound():
    factors, codes = _draw(60, 12)
    factors, codes = jnp.asarray(factors), jnp.asarray(codes)
    cut = jax.jit(jax.vmap(lambda a, z: hypercube_radius(a, z, max_nodes=3)))(factors, codes)
    full = search(factors, codes)
    assert not cut.proven.any()
    assert (cut.num_nodes == 3).all()
    assert (cut.radius >= full.radius).all()
    assert (cut.radius <= jnp.linalg.vector_norm(factors[:, 0, :, -1], axis=1) * (1 + 1e-14)).all()


@pytest.mark.fast
def test_singular_and_bad_matrices():
    repeated = np.ones((4, 4)) * [1, 1, -1, 1]  # the last two columns cancel
    bad = np.eye(4) * [[1], [np.nan], [1], [1]]
    worse = np.where(np.eye(4), np.inf, 1)
    got = search(jnp.array([np.zeros((4, 4)), repeated, bad, worse]), jnp.ones((4, 4)))
    np.testing.assert_array_equal(got.radius, [0, 0, np.nan, np.nan])
    np.testing.assert_array_equal(got.proven, [True, True, False, False])
    codes = jnp.array([[1, -1, 0.5, 1], [0, 1, 1, 1], [2, 2, 2, 2], [1, -1, -1, 1]])
    got = search(jnp.broadcast_to(jnp.eye(4), (4, 4, 4)), codes)
    np.testing.assert_array_equal(got.radius, [np.nan, np.nan, np.nan, 1])
    np.testing.assert_array_equal(got.proven, [False, False, False, True])


@pytest.mark.fast
def test_wrong_use():
    with pytest.raises(ValueError, match=r"got \(3, 3\) and \(4,\)"):
        hypercube_radius.__wrapped__(jnp.eye(3), jnp.ones(4))
    with pytest.raises(ValueError, match="max_nodes must be an integer of at least 1, got 0"):
        hypercube_radius(jnp.eye(3), jnp.ones(3), max_nodes=0)
    with pytest.raises(TypeError, match="code must be float32 or float64, got bfloat16"):
        hypercube_radius(jnp.eye(3), jnp.ones(3, jnp.bfloat16))


def test_lowers_for_accelerators():
    args = jax.ShapeDtypeStruct((5, 10, 10), jnp.float32), jax.ShapeDtypeStruct((5, 10), "f4")
    jax.export.export(search, platforms=["tpu", "cuda"])(*args)
