"""The laws against SciPy, and against dense float64 simulations of the families in NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
import scipy.stats

from fracture import theory

PROBABILITIES = np.array([1e-8, 1e-3, 0.05, 0.5, 0.95, 0.999])
CLOSED = {
    "pairwise_radius": (theory.pairwise_radius, scipy.stats.halfnorm(scale=0.5**0.5)),
    "optimal_64": (lambda: theory.pairwise_optimal_radius(64), scipy.stats.chi(64, scale=0.5**0.5)),
    "claimed_2": (lambda: theory.hypercube_optimal_radius(2), scipy.stats.chi(2)),
    "claimed_100000": (lambda: theory.hypercube_optimal_radius(100_000), scipy.stats.chi(100_000)),
    "pivot_1": (lambda: theory.pivot(1), scipy.stats.halfnorm()),
    "pivot_wide": (lambda: theory.pivot(excess=8), scipy.stats.chi(9)),
}
RATIOS = [(2, 1), (3, 1), (3, 2), (512, 9), (512, 256), (100_000, 1), (100_000, 99_999)]


def conditioning(x, pdf, cdf, dtype):
    """Relative error that one rounding of the argument makes in a distribution function."""
    return float(jnp.finfo(dtype).eps) * (10 + 10 * np.max(x * pdf / cdf))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize("name", CLOSED)
def test_closed_laws_match_scipy(name, dtype):
    make, reference = CLOSED[name]
    law = make()
    x = reference.ppf(PROBABILITIES).astype(dtype)
    wide = x.astype(np.float64)
    pdf, cdf = reference.pdf(wide), reference.cdf(wide)
    rtol = conditioning(wide, pdf, cdf, dtype)
    assert law.cdf(x).dtype == law.pdf(x).dtype == law.quantile(x).dtype == dtype
    np.testing.assert_allclose(law.cdf(x), cdf, rtol=rtol)
    # SciPy's own density subtracts logarithms of gamma functions.
    np.testing.assert_allclose(law.pdf(x), pdf, rtol=max(rtol, 1e-9 if "100000" in name else 0))
    u = jnp.asarray(PROBABILITIES, dtype)
    np.testing.assert_allclose(reference.cdf(np.float64(law.quantile(u))), u, rtol=rtol)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize(("dim", "directions"), RATIOS)
def test_compression_matches_scipy(dim, directions, dtype):
    law = theory.compression(dim, directions)
    reference = scipy.stats.beta(directions / 2, (dim - directions) / 2)
    x = np.sqrt(reference.ppf(PROBABILITIES)).astype(dtype)
    x = x[x < 1]
    wide = x.astype(np.float64)
    pdf, cdf = 2 * wide * reference.pdf(wide**2), reference.cdf(wide**2)
    rtol = max(conditioning(wide, pdf, cdf, dtype), 1e-10 * (dim > 1000))  # SciPy at 1e5
    np.testing.assert_allclose(law.cdf(x), cdf, rtol=rtol)
    near_one = conditioning(wide, wide, 1 - wide**2, dtype)  # the density is singular at 1
    np.testing.assert_allclose(law.pdf(x), pdf, rtol=rtol + near_one)
    u = jnp.asarray(PROBABILITIES, dtype)
    np.testing.assert_allclose(reference.cdf(np.float64(law.quantile(u)) ** 2), u, rtol=rtol)


@pytest.mark.fast
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_pivot_of_two_layers_is_bessel(dtype):
    law = theory.pivot(2)
    x = np.geomspace(1e-18, 20, 40).astype(dtype)
    wide = x.astype(np.float64)
    rtol = max(50 * float(jnp.finfo(dtype).eps), 1e-12)  # SciPy's integral of K0: about 3e-13
    np.testing.assert_allclose(law.pdf(x), 2 / np.pi * scipy.special.k0(wide), rtol=rtol)
    np.testing.assert_allclose(law.cdf(x), 2 / np.pi * scipy.special.iti0k0(wide)[1], rtol=rtol)
    u = np.array([1e-12, 0.01, 0.5, 0.99], dtype)
    np.testing.assert_allclose(law.cdf(law.quantile(u)), u, rtol=rtol)


@pytest.mark.fast
def test_quantile_of_tiny_probabilities():
    # F(x) = x sqrt(2 / π) Γ-ratio near 0: linear, so the quantile is too, at any scale.
    quantile = theory.compression(100_000).quantile
    x = np.asarray(quantile(jnp.array([1e-4, 1e-30, 1e-300])))
    np.testing.assert_allclose(x[1:] / x[0], [1e-26, 1e-296], rtol=1e-8)
    assert quantile(jnp.float32(1e-30)) > 0


@pytest.mark.fast
@pytest.mark.parametrize("dim", [64, 4096, 100_000])
def test_median_of_compression(dim):
    median = float(theory.compression(dim).quantile(0.5))
    assert median * dim**0.5 == pytest.approx(0.6745, abs=0.5 / dim + 1e-4)


LAWS = {
    **{name: make for name, (make, _) in CLOSED.items()},
    "compression": lambda: theory.compression(8),
    "compression_3": lambda: theory.compression(8, 3),
    "pivot_2": lambda: theory.pivot(2),
    "empirical": lambda: theory.empirical(jnp.linspace(0.0, 2.0, 21)),
}


@pytest.mark.parametrize("name", LAWS)
def test_ends_and_outside_of_the_support(name):
    law = LAWS[name]()
    top = float(law.quantile(1.0))
    np.testing.assert_array_equal(law.cdf(jnp.array([-1.0, top, top + 1])), [0, 1, 1])
    assert float(law.quantile(0.0)) == 0
    bad = jnp.array([-0.1, 1.1, jnp.nan])
    assert jnp.isnan(law.quantile(bad)).all()
    assert jnp.isnan(law.cdf(jnp.nan))
    if law.pdf is not None:
        np.testing.assert_array_equal(law.pdf(jnp.array([-1.0, top + 1])), 0)
        assert jnp.isnan(law.pdf(jnp.nan))


@pytest.mark.parametrize("name", ["pairwise_radius", "optimal_64", "compression", "pivot_2"])
def test_samples_follow_the_law(name):
    law = LAWS[name]()
    draws = law.sample(jax.random.key(3), (50, 40))
    assert draws.shape == (50, 40)
    assert scipy.stats.kstest(np.ravel(draws), law.cdf).pvalue > 0.01
    single = jax.eval_shape(lambda key: law.sample(key, dtype=jnp.float32), jax.random.key(3))
    assert single.shape == ()
    assert single.dtype == jnp.float32


@pytest.mark.fast
@pytest.mark.parametrize("name", ["optimal_64", "compression_3", "pivot_2", "pivot_1"])
def test_laws_compose(name):
    law = LAWS[name]()
    u = jnp.linspace(0.1, 0.9, 6)
    x = law.quantile(u)
    for function, arguments in ((law.cdf, x), (law.pdf, x), (law.quantile, u)):
        eager = function(arguments)
        np.testing.assert_allclose(jax.jit(function)(arguments), eager, rtol=1e-12)
        np.testing.assert_allclose(jax.vmap(function)(arguments), eager, rtol=1e-12)
        half = function(arguments.astype(jnp.bfloat16))
        assert half.dtype == jnp.bfloat16
        jax.export.export(jax.jit(function), platforms=["tpu", "cuda"])(arguments)
    slope = jax.vmap(jax.grad(law.cdf))(x)
    np.testing.assert_allclose(slope, law.pdf(x), rtol=1e-12)
    np.testing.assert_allclose(jax.vmap(jax.grad(law.quantile))(u), 1 / slope, rtol=1e-12)
    numeric = (law.cdf(x + 1e-6) - law.cdf(x - 1e-6)) / 2e-6
    np.testing.assert_allclose(slope, numeric, rtol=1e-7)


# Family A, by dense inverses.


def dense_points(num, dim, seed):
    x = np.random.default_rng(seed).normal(size=(num, dim, dim))
    displacement = np.linalg.norm(x[:, :, :1] - x[:, :, 1:], axis=1)
    rows = np.linalg.inv(x)
    slope = np.linalg.norm(rows[:, :1] - rows[:, 1:], axis=2)
    return displacement / 2, 1 / slope


def test_family_a_pairwise():
    for dim in (2, 8, 32):
        optimal, network = (r[:, 0] for r in dense_points(2000, dim, dim))
        assert scipy.stats.kstest(network, theory.pairwise_radius().cdf).pvalue > 0.01
        assert scipy.stats.kstest(optimal, theory.pairwise_optimal_radius(dim).cdf).pvalue > 0.01
        assert scipy.stats.kstest(network / optimal, theory.compression(dim).cdf).pvalue > 0.01


@pytest.mark.parametrize("dim", [2, 8, 24])
def test_family_a_untargeted(dim):
    optimal, network = (r.min(1) for r in dense_points(2000, dim, dim + 1))
    got = theory.sample_points(jax.random.key(0), 2000, dim)
    assert scipy.stats.ks_2samp(got.optimal, optimal).pvalue > 0.01
    assert scipy.stats.ks_2samp(got.network, network).pvalue > 0.01
    assert scipy.stats.ks_2samp(got.ratio, network / optimal).pvalue > 0.01


@pytest.mark.parametrize(
    ("dim", "num", "network", "optimal"),
    [
        (8, 4096, 0.244, 0.68),
        (64, 512, 0.188, 0.82),
        (256, 128, 0.162, 0.89),
    ],
)
def test_family_a_untargeted_medians(dim, num, network, optimal):
    radii = theory.sample_points(jax.random.key(1), num, dim, dtype=jnp.float32)
    assert radii.network.dtype == jnp.float32
    law = theory.empirical(radii.network)
    # The quoted medians come from samples too: four standard errors of the smaller one.
    error = 4 * 0.5 / min(num, 512) ** 0.5
    low, high = law.quantile(jnp.array([0.5 - error, 0.5 + error], jnp.float32))
    assert low < network < high
    np.testing.assert_allclose(np.median(radii.optimal) / (dim / 2) ** 0.5, optimal, atol=0.02)


# Family B, by dense QR.


def dense_hypercube(num, dim, layers, seed):
    h = np.random.default_rng(seed).normal(size=(layers, num, dim, dim))
    mixing = h[0]
    for layer in h[1:]:
        mixing = layer @ mixing
    q, r = np.linalg.qr(mixing)
    return mixing[..., -1], q[..., -1], np.abs(r[:, -1, -1])


@pytest.mark.parametrize(("dim", "layers"), [(2, 3), (10, 1), (10, 2)])
def test_family_b(dim, layers):
    column, _, pivot = dense_hypercube(2000, dim, layers, dim)
    claimed = np.linalg.norm(column, axis=1)
    got = theory.sample_hypercube(jax.random.key(2), 2000, dim, layers=layers)
    assert scipy.stats.ks_2samp(got.optimal, claimed).pvalue > 0.01
    assert scipy.stats.ks_2samp(got.network, pivot).pvalue > 0.01
    assert scipy.stats.ks_2samp(got.ratio, pivot / claimed).pvalue > 0.01
    if layers <= 2:
        assert scipy.stats.kstest(pivot, theory.pivot(layers).cdf).pvalue > 0.01
    if layers == 1:
        assert scipy.stats.kstest(claimed, theory.hypercube_optimal_radius(dim).cdf).pvalue > 0.01
        assert scipy.stats.kstest(pivot / claimed, theory.compression(dim).cdf).pvalue > 0.01


@pytest.mark.parametrize(("layers", "ord", "dual"), [(1, 1, np.inf), (2, np.inf, 1)])
def test_family_b_in_other_norms(layers, ord, dual):
    column, q, pivot = dense_hypercube(2000, 12, layers, 5)
    claimed = np.linalg.norm(column, ord, axis=1)
    network = pivot / np.linalg.norm(q, dual, axis=1)
    got = theory.sample_hypercube(jax.random.key(4), 2000, 12, layers=layers, ord=ord)
    assert scipy.stats.ks_2samp(got.optimal, claimed).pvalue > 0.01
    assert scipy.stats.ks_2samp(got.network, network).pvalue > 0.01
    assert scipy.stats.ks_2samp(got.ratio, network / claimed).pvalue > 0.01


def test_median_of_two_layers():
    law = theory.mixing_compression(jax.random.key(5), 40, 2)
    assert float(law.quantile(0.5)) * 40**0.5 == pytest.approx(0.06, abs=0.01)


@pytest.mark.parametrize(("ord", "dual"), [(1, np.inf), (np.inf, 1)])
def test_pairs_of_family_a_have_the_law_of_family_b_in_other_norms(ord, dual):
    law = theory.mixing_compression(jax.random.key(6), 12, 1, ord=ord, num=2**15)
    u, v = np.random.default_rng(1).normal(size=(2, 2000, 12))
    sizes = np.linalg.norm(u, dual, axis=1) * np.linalg.norm(v, ord, axis=1)
    assert scipy.stats.kstest(np.abs((u * v).sum(1)) / sizes, law.cdf).pvalue > 0.01


def test_span_of_random_directions():
    rng = np.random.default_rng(0)
    q, _ = np.linalg.qr(rng.normal(size=(2000, 12, 5)))
    seen = np.linalg.norm(q[:, 0, :], axis=1)  # of a fixed displacement, e_1
    assert scipy.stats.kstest(seen, theory.compression(12, 5).cdf).pvalue > 0.01


@pytest.mark.parametrize("sample", [theory.sample_points, theory.sample_hypercube])
def test_draws_depend_on_their_index_only(sample):
    keys = jax.random.split(jax.random.key(0), 2)
    many = sample(keys[1], 5, 6).ratio
    both = jax.vmap(lambda key: sample(key, 3, 6).ratio)(keys)
    np.testing.assert_allclose(both[1], many[:3], rtol=1e-10)
    assert jnp.abs(both[0] - both[1]).min() > 0
    jax.export.export(jax.jit(lambda key: sample(key, 3, 6)), platforms=["tpu", "cuda"])(keys[0])


@pytest.mark.fast
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_null_pvalue_matches_scipy(dtype):
    """Rank by rank in one call: SciPy's Beta, to what the rounding of ρ makes of it."""
    dim, rank = np.array([*RATIOS, (784, 9), (150_528, 49)]).T[..., None]
    halves = rank / 2, (dim - rank) / 2
    rho = np.sqrt(scipy.special.betainccinv(*halves, [1e-8, 1e-3, 0.05, 0.5, 0.9])).astype(dtype)
    below, want, above = (
        scipy.special.betaincc(*halves, np.float64(np.nextafter(rho, to)) ** 2)
        for to in (np.zeros_like(rho), rho, np.ones_like(rho))
    )
    got = theory.null_pvalue(rho, rank, dim)
    assert got.dtype == dtype
    slack = 10 * (below - above) + 1e-4 * want * (dtype == jnp.float32) + 1e-9 * want
    assert (np.abs(np.float64(got) - want) <= slack).all()


@pytest.mark.fast
def test_null_pvalue_of_everything_and_nothing():
    rho, rank = (
        jnp.array([0.5, 1, 0, 0.3, jnp.nan, 0.5, 1, 0]),
        jnp.array([0, 4, 4, -1, 2, 5, 2, 2]),
    )
    got = theory.null_pvalue(rho, rank, 4)
    np.testing.assert_array_equal(got, [1, 1, 1, jnp.nan, jnp.nan, jnp.nan, 0, 1])
    slope = jax.grad(lambda rho: theory.null_pvalue(rho, 2, 4))(0.3)
    np.testing.assert_allclose(slope, -theory.compression(4, 2).pdf(0.3), rtol=1e-9)


@pytest.mark.fast
def test_empirical_law_counts():
    law = theory.empirical(jnp.array([3.0, 1.0, 2.0, 2.0]))
    np.testing.assert_array_equal(
        law.cdf(jnp.array([0.0, 1.0, 2.0, 2.5, 3.0])), [0, 0.25, 0.75, 0.75, 1]
    )
    np.testing.assert_array_equal(law.quantile(jnp.array([0.0, 0.5, 1.0])), [1, 2, 3])
    assert law.pdf is None
    assert law.cdf(np.float32(2)).dtype == jnp.float32
    assert set(np.unique(law.sample(jax.random.key(0), (50,)))) == {1, 2, 3}


@pytest.mark.fast
@pytest.mark.parametrize(
    "misuse",
    [
        lambda: theory.compression(4, 4),
        lambda: theory.compression(4, 0),
        lambda: theory.compression(1),
        lambda: theory.pairwise_optimal_radius(0),
        lambda: theory.pivot(0),
        lambda: theory.pivot(3),
        lambda: theory.pivot(2, excess=1),
        lambda: theory.pivot(excess=-1),
        lambda: theory.empirical(jnp.zeros(0)),
        lambda: theory.sample_points(jax.random.key(0), 4, 1),
        lambda: theory.sample_points(jax.random.key(0), 0, 4),
        lambda: theory.sample_hypercube(jax.random.key(0), 4, 4, layers=0),
        lambda: theory.sample_hypercube(jax.random.key(0), 4, 4, ord=0.5),
        lambda: theory.mixing_compression(jax.random.key(0), 1, 2),
    ],
)
def test_misuse_raises(misuse):
    with pytest.raises(ValueError, match="got"):
        misuse()


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
@pytest.mark.parametrize(("dim", "directions"), [(2, 1), (3, 1), (4, 2), (16, 3)])
def test_density_of_the_compression_ratio_at_its_ends(dim, directions, dtype):
    law = theory.compression(dim, directions)
    ends = jnp.array([-jnp.inf, -0.1, 0, 1, 1.1, jnp.inf, jnp.nan], dtype)
    # SciPy's density at the numbers next to the ends, of the square, times its derivative 2 x.
    square = scipy.stats.beta(directions / 2, (dim - directions) / 2)
    first, last = (2 * x * square.pdf(x**2) for x in (1e-8, 1 - 1e-9))
    last = np.inf if dim - directions == 1 else last
    np.testing.assert_allclose(law.pdf(ends), [0, 0, first, last, 0, 0, np.nan], 1e-5, 1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dim", [2, 3, 10, 500])
def test_caps_of_the_sphere_have_their_share(dim, dtype):
    """The height of a uniform point has the square Beta(1/2, (d - 1)/2); jit and vmap agree."""
    share = np.array([1e-4, 0.01, 0.3, 0.5, 0.9], dtype)
    angle = theory.cap_angle(share, dim)
    assert angle.dtype == dtype
    law = scipy.stats.beta((dim - 1) / 2, (dim - 1) / 2)  # of (1 + height) / 2
    expected = np.arccos(2 * law.isf(share.astype(np.float64)) - 1)
    np.testing.assert_allclose(angle, expected, rtol=0, atol=2e-3 / dim**0.5)
    again = jax.jit(jax.vmap(lambda one: theory.cap_angle(one, dim)))(share)
    np.testing.assert_allclose(again, angle, rtol=0, atol=8 * np.finfo(dtype).eps)  # of radians
    assert np.isnan(theory.cap_angle(np.array([-0.1, 1.1], dtype), dim)).all()
    np.testing.assert_allclose(theory.cap_angle(np.array([0, 1], dtype), dim), [0, np.pi])


@pytest.mark.parametrize("dim", [3, 20, 300])
def test_distances_from_caps_are_those_of_random_points(dim):
    points = np.random.default_rng(dim).normal(size=(40_000, dim))
    angle = np.arccos(points[:, 0] / np.linalg.norm(points, axis=1))
    for share in (0.01, 0.2):
        rim = float(theory.cap_angle(share, dim))
        assert np.mean(angle <= rim) == pytest.approx(share, rel=0.15)
        mean = np.mean(2 * np.sin(np.maximum(angle - rim, 0) / 2))
        assert float(theory.cap_distance(share, dim)) == pytest.approx(mean, rel=0.01)
    assert float(theory.cap_distance(1.0, dim)) == pytest.approx(0, abs=1e-6)
