import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from scipy import stats

from fracture import data

KEY = jax.random.key(7)
FAMILIES = {
    "hypercube": lambda key, num, dtype=None: data.mixed_hypercube(
        key, 13, num, layers=2, dtype=dtype
    ),
    "mixture": lambda key, num, dtype=None: data.gaussian_mixture(
        key, 13, num, num_classes=3, clusters_per_class=2, noise=0.5, dtype=dtype
    ),
    "spheres": lambda key, num, dtype=None: data.concentric_spheres(key, 13, num, dtype=dtype),
    "subspace": lambda key, num, dtype=None: data.linear_subspace(
        key, 13, num, intrinsic_dim=4, noise=0.1, dtype=dtype
    ),
    "spiked": lambda key, num, dtype=None: data.spiked_covariance(
        key, 13, num, spikes=(9.0, -0.5), dtype=dtype
    ),
    "correlated": lambda key, num, dtype=None: data.correlated_gaussians(
        key, 13, num, num_classes=3, dtype=dtype
    ),
}
COMPILED = {
    name: jax.jit(draw, static_argnames=("num", "dtype")) for name, draw in FAMILIES.items()
}
family = pytest.mark.parametrize("name", FAMILIES)


def _assert_same(a, b, num):
    for field, x, y in zip(a._fields, a, b, strict=True):
        per_item = field in {"inputs", "labels", "codes", "clusters", "coefficients"}
        y = y[:num] if per_item else y
        np.testing.assert_array_equal(x, y, err_msg=field)


@family
def test_items_do_not_depend_on_their_number_or_on_compilation(name):
    many = COMPILED[name](KEY, 3000)
    _assert_same(COMPILED[name](KEY, 20), many, 20)
    if name == "mixture":
        _assert_same(FAMILIES[name](KEY, 5), many, 5)


@pytest.mark.fast
def test_vmapped_and_sharded_keys_draw_the_same():
    mesh = Mesh(np.array(jax.devices()), ("seeds",))
    keys = jax.random.split(KEY, 2 * len(jax.devices()))
    spec = PartitionSpec("seeds")
    draw = jax.vmap(lambda key: FAMILIES["hypercube"](key, 20))
    mapped = jax.jit(jax.shard_map(draw, mesh=mesh, in_specs=spec, out_specs=spec))
    together = mapped(jax.device_put(keys, NamedSharding(mesh, spec)))
    for i, key in enumerate(keys):
        one = jax.tree.map(lambda leaf: leaf[i], together)  # noqa: B023
        _assert_same(one, COMPILED["hypercube"](key, 20), 20)


@family
@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float32, None])
def test_dtypes_and_shapes(name, dtype):
    task = jax.eval_shape(lambda key: FAMILIES[name](key, 20, dtype), KEY)
    assert task.inputs.shape == (20, 13)
    assert task.labels.shape == (20,)
    assert task.labels.dtype == jnp.int32
    wanted = jnp.float64 if dtype is None else dtype  # JAX's default in these tests
    assert {leaf.dtype for leaf in jax.tree.leaves(task)} == {jnp.dtype(wanted), jnp.dtype("int32")}


@family
def test_lowers_for_accelerators(name):
    draw = jax.jit(lambda key: FAMILIES[name](key, 20, jnp.float32))
    jax.export.export(draw, platforms=["tpu", "cuda"])(KEY)


@pytest.mark.fast
def test_gaussian_points():
    task = jax.jit(lambda key: data.gaussian_points(key, 200))(KEY)
    assert task.inputs.dtype == jnp.float64  # JAX's default float
    np.testing.assert_array_equal(task.labels, np.arange(200))
    assert stats.kstest(np.ravel(task.inputs), "norm").pvalue > 0.01
    gram = np.asarray(task.inputs @ task.inputs.T) / 200
    off_diagonal = gram[~np.eye(200, dtype=bool)]  # each about N(0, 1/200)
    assert abs(off_diagonal.std() * 200**0.5 - 1) < 0.03
    jax.export.export(jax.jit(lambda key: data.gaussian_points(key, 9)), platforms=["tpu"])(KEY)


@pytest.mark.fast
def test_mixed_hypercube():
    layers = 3
    task = jax.jit(lambda key: data.mixed_hypercube(key, 8, 2000, layers=layers))(KEY)
    assert task.factors.shape == (layers, 8, 8)
    mixing = np.eye(8)
    for factor in np.asarray(task.factors):
        mixing = factor @ mixing
    np.testing.assert_allclose(task.inputs, np.asarray(task.codes) @ mixing.T, rtol=0, atol=1e-12)
    assert set(np.unique(task.codes)) == {-1, 1}
    np.testing.assert_array_equal(task.labels, (np.asarray(task.codes)[:, -1] == 1).astype(int))
    corners = (np.asarray(task.codes) > 0) @ (1 << np.arange(8))
    assert stats.chisquare(np.bincount(corners, minlength=256)).pvalue > 0.01


def test_all_corners_of_a_hypercube_are_drawn_once():
    whole = data.mixed_hypercube(KEY, 6, None, layers=2, dtype="float32")
    some = data.mixed_hypercube(KEY, 6, 100, layers=2, dtype="float32")
    assert whole.inputs.dtype == np.float32
    np.testing.assert_array_equal(whole.factors, some.factors)
    numbers = (np.asarray(whole.codes) > 0) @ (1 << np.arange(6))
    np.testing.assert_array_equal(numbers, np.arange(64))
    np.testing.assert_array_equal(whole.labels, np.asarray(whole.codes)[:, -1] == 1)
    at = (np.asarray(some.codes) > 0) @ (1 << np.arange(6))
    np.testing.assert_allclose(whole.inputs[at], some.inputs, rtol=0, atol=1e-4)


def test_mixing_factors_are_standard_normal():
    draw = jax.jit(jax.vmap(lambda key: data.mixed_hypercube(key, 8, 1, layers=2).factors))
    factors = draw(jax.random.split(KEY, 50))
    assert stats.kstest(np.ravel(factors), "norm").pvalue > 0.01


@pytest.mark.parametrize("means", ["orthogonal", "random"])
def test_gaussian_mixture(means):
    task = jax.jit(
        lambda key: data.gaussian_mixture(
            key, 12, 6000, num_classes=3, clusters_per_class=2, means=means, radius=5.0, noise=0.25
        )
    )(KEY)
    centres = np.asarray(task.means)
    np.testing.assert_allclose(np.linalg.norm(centres, axis=1), 5, rtol=1e-12)
    if means == "orthogonal":
        np.testing.assert_allclose(centres @ centres.T, 25 * np.eye(6), atol=1e-12)
    np.testing.assert_array_equal(np.bincount(task.labels), [2000] * 3)
    np.testing.assert_array_equal(task.labels, np.asarray(task.mean_labels)[task.clusters])
    residual = (np.asarray(task.inputs) - centres[task.clusters]) / 0.25
    assert stats.kstest(residual.ravel(), "norm").pvalue > 0.01
    assert float(task.noise) == 0.25


@pytest.mark.fast
def test_gaussian_mixture_default_radius_is_that_of_the_noise():
    task = jax.jit(lambda key: data.gaussian_mixture(key, 9, 4))(KEY)
    np.testing.assert_allclose(jnp.linalg.vector_norm(task.means, axis=1), 3, rtol=1e-12)


@pytest.mark.fast
@pytest.mark.parametrize("dim", [1, 50])
def test_concentric_spheres(dim):
    task = jax.jit(lambda key: data.concentric_spheres(key, dim, 3000, radii=(1.0, 2.0, 2.5)))(KEY)
    lengths = np.linalg.norm(task.inputs, axis=1)
    np.testing.assert_allclose(lengths, np.asarray(task.radii)[task.labels], rtol=1e-12)
    np.testing.assert_array_equal(np.bincount(task.labels), [1000] * 3)
    if dim > 1:  # one squared coordinate of a uniform direction
        share = (np.asarray(task.inputs)[:, 0] / lengths) ** 2
        assert stats.kstest(share, stats.beta(0.5, (dim - 1) / 2).cdf).pvalue > 0.01


@pytest.mark.fast
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_linear_subspace(noise):
    task = jax.jit(
        lambda key: data.linear_subspace(key, 20, 2000, intrinsic_dim=3, margin=0.7, noise=noise)
    )(KEY)
    basis, inputs = np.asarray(task.basis), np.asarray(task.inputs)
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(inputs @ basis, task.coefficients, atol=1e-12)
    off = inputs - inputs @ basis @ basis.T
    if noise == 0:
        np.testing.assert_allclose(off, 0, atol=1e-12)
    else:  # 17 free directions
        lengths = (np.linalg.norm(off, axis=1) / noise) ** 2
        assert stats.kstest(lengths, stats.chi2(17).cdf).pvalue > 0.01
    first = np.asarray(task.coefficients)[:, 0]
    assert np.abs(first).min() >= 0.7
    np.testing.assert_array_equal(task.labels, first > 0)
    moved = np.abs(first) - 0.7
    assert stats.kstest(moved, stats.halfnorm.cdf).pvalue > 0.01
    assert stats.kstest(np.asarray(task.coefficients)[:, 1], "norm").pvalue > 0.01


@pytest.mark.parametrize("name", ["spiked", "correlated"])
def test_gaussian_classes_know_their_covariance(name):
    task = COMPILED[name](KEY, 3000)
    factor, means = np.asarray(task.factor), np.asarray(task.means)
    np.testing.assert_allclose(factor @ factor.T, task.covariance, atol=1e-12)
    gaps = np.linalg.norm(means[:, None] - means[None], axis=-1)[~np.eye(len(means), dtype=bool)]
    np.testing.assert_allclose(gaps, 4, rtol=1e-12)
    white = np.linalg.solve(factor, (np.asarray(task.inputs) - means[task.labels]).T).T
    assert stats.kstest(white.ravel(), "norm").pvalue > 0.01
    np.testing.assert_allclose(white.T @ white / 3000, np.eye(13), atol=5 * 2**0.5 / 3000**0.5)


@pytest.mark.fast
def test_covariances_are_as_named():
    values = np.linalg.eigvalsh(COMPILED["spiked"](KEY, 20).covariance)
    np.testing.assert_allclose(values, [0.5, *[1] * 11, 10], rtol=1e-12)
    lag = np.abs(np.subtract.outer(np.arange(13), np.arange(13)))
    covariance = COMPILED["correlated"](KEY, 20).covariance
    np.testing.assert_allclose(covariance, 0.9**lag, rtol=1e-12)

    @jax.jit
    def others(key):
        return (
            data.spiked_covariance(key, 6, 1, spikes=()).covariance,
            data.correlated_gaussians(key, 6, 1, correlation=0.0).covariance,
            data.correlated_gaussians(key, 6, 1, correlation=-0.6).covariance,
        )

    flat, independent, alternating = others(KEY)
    np.testing.assert_array_equal(flat, np.eye(6))
    np.testing.assert_array_equal(independent, np.eye(6))
    np.testing.assert_allclose(alternating, (-0.6) ** lag[:6, :6], rtol=1e-12)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: data.gaussian_points(KEY, 0), "dim must be an integer of at least 1, got 0"),
        (lambda: data.mixed_hypercube(KEY, 3, 0), "num must be an integer"),
        (lambda: data.mixed_hypercube(KEY, 21, None), "to dim = 20, got 21: give num"),
        (
            lambda: data.mixed_hypercube(KEY, 3, 2, layers=0),
            "layers must be an integer",
        ),
        (lambda: data.gaussian_mixture(KEY, 3, 2, means="equal"), "means must be one of"),
        (lambda: data.gaussian_mixture(KEY, 3, 2, num_classes=4), "At most 3 orthogonal means"),
        (
            lambda: data.gaussian_mixture(KEY, 3, 2, radius=np.nan),
            "radius must be finite",
        ),
        (
            lambda: data.gaussian_mixture(KEY, 3, 2, noise=-1.0),
            "noise must be finite",
        ),
        (lambda: data.concentric_spheres(KEY, 3, 2, radii=()), "one or several positive"),
        (
            lambda: data.concentric_spheres(KEY, 3, 2, radii=(1.0, 0.0)),
            r"got \(1\.0, 0\.0\)",
        ),
        (lambda: data.linear_subspace(KEY, 3, 2, intrinsic_dim=4), "at most dim = 3"),
        (
            lambda: data.linear_subspace(KEY, 3, 2, intrinsic_dim=2, margin=-1.0),
            "margin must be",
        ),
        (lambda: data.spiked_covariance(KEY, 3, 2, spikes=(-1.0,)), "spikes must be"),
        (lambda: data.spiked_covariance(KEY, 1, 2, spikes=(1.0, 2.0)), "spikes must be at most 1"),
        (lambda: data.correlated_gaussians(KEY, 3, 2, correlation=1.0), "between -1 and 1"),
    ],
)
def test_wrong_options(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


@pytest.mark.fast
def test_wrong_dtype():
    with pytest.raises(TypeError, match="dtype must be floating, got int32"):
        data.gaussian_points(KEY, 3, dtype=jnp.int32)


@family
def test_split(name):
    task = COMPILED[name](KEY, 20)
    train, test = data.split(task, 9)
    assert type(train) is type(task)
    _assert_same(train, task, 9)
    np.testing.assert_array_equal(np.vstack([train.inputs, test.inputs]), task.inputs)
    for num in (0, 20):
        with pytest.raises(ValueError, match="num_train must be"):
            data.split(task, num)
