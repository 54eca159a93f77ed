"""Statistics on samples with known answers, then the experiments themselves in small."""

import math

import jax
import numpy as np
import pytest
import scipy.stats
import xarray as xr
from fracture.experiments._summary import Interval

from fracture import data, experiments, theory
from fracture.experiments import Fit, _summary, _verdicts, network

DIMS = (8, 32, 128)


def sample(draw, *, seeds=400, name="ratio"):
    rng = np.random.default_rng(0)
    values = np.stack([draw(rng, dim, seeds) for dim in DIMS])
    attrs = {"long_name": name, "units": ""}
    return xr.DataArray(
        values, {"dim": list(DIMS), "seed": np.arange(seeds)}, ("dim", "seed"), name, attrs
    )


def beta(rng, dim, seeds):
    return np.sqrt(rng.beta(0.5, (dim - 1) / 2, seeds))


LAWS = {dim: theory.compression(dim) for dim in DIMS}


@pytest.mark.fast
@pytest.mark.parametrize("seeds", [6, 16, 101])
def test_median_intervals_cover_the_median_at_least_as_often_as_they_say(seeds):
    rng = np.random.default_rng(1)
    values = xr.DataArray(rng.exponential(size=(1000, seeds)), dims=("dim", "seed"))
    intervals = _summary.medians(values.assign_coords(dim=np.arange(1000))).values()
    covered = sum(i.low <= np.log(2) <= i.high for i in intervals)
    assert covered >= 930  # 95 % of 1000 is 950 +- 7
    assert all(np.isfinite([i.low, i.high]).all() for i in intervals)


def test_exponent_of_a_power_law_is_recovered_within_its_interval():
    values = sample(lambda rng, dim, seeds: dim**-0.7 * np.exp(rng.normal(size=seeds)))
    fit = _summary.exponent(values, "power", expected=-0.7)
    assert fit.low < -0.7 < fit.high
    assert fit.high - fit.low < 0.2
    noiseless = _summary.exponent(sample(lambda rng, dim, seeds: np.full(seeds, dim**-0.7)), "p")
    np.testing.assert_allclose(noiseless[2:5], -0.7, rtol=1e-12)


def test_exponent_needs_two_dimensions_with_positive_medians():
    values = sample(beta)
    assert _summary.exponent(values[:1], "one") is None
    assert _summary.exponent(values.where(values["dim"] == 8, 0.0), "zeros") is None
    assert _summary.exponent(values * np.nan, "nothing") is None


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_few_seeds_have_infinite_intervals(seeds):
    values = sample(beta, seeds=seeds)
    assert all(np.isinf([i.low, i.high]).all() for i in _summary.medians(values).values())
    fit = _summary.exponent(values, "few")
    assert np.isinf([fit.low, fit.high]).all()


def test_kolmogorov_smirnov_is_scipys():
    values = sample(beta)
    got = _summary.kolmogorov_smirnov(values, LAWS)
    for dim in DIMS:
        law = scipy.stats.beta(0.5, (dim - 1) / 2)
        expected = scipy.stats.kstest(values.sel(dim=dim) ** 2, law.cdf)
        np.testing.assert_allclose(got["ks_pvalue"].sel(dim=dim), expected.pvalue, rtol=1e-6)


def verdict_of(values, incomplete=()):
    fit = _summary.exponent(values, "ratio", _summary.law_exponent(LAWS))
    tests = _summary.kolmogorov_smirnov(values, LAWS)
    scale = _summary.scale(values, LAWS)
    return _verdicts.exact_law("Law", fit, scale, tests, incomplete)


def test_verdict_on_an_exact_law_depends_on_the_sample():
    assert verdict_of(sample(beta)).holds is True
    assert verdict_of(1.3 * sample(beta)).holds is False
    assert verdict_of(sample(beta)[:1]).holds is None
    assert verdict_of(sample(beta) * np.nan).holds is None
    assert verdict_of(sample(beta), [32]).holds is None
    assert "d = 32" in verdict_of(sample(beta), [32]).sentence


def test_a_verdict_says_which_laws_it_excludes():
    """Ratios 10 % above the law, in the size of a quick sweep: never plainly "holds"."""
    intervals, verdicts = [], []
    for trial in range(12):
        rng = np.random.default_rng(trial)
        values = sample(lambda _, dim, seeds, rng=rng: beta(rng, dim, seeds), seeds=256)
        intervals.append(_summary.scale(1.1 * values, LAWS))
        verdicts.append(verdict_of(1.1 * values))
    assert sum(i.low <= 1.1 <= i.high for i in intervals) >= 11
    for interval, verdict in zip(intervals, verdicts, strict=True):
        if verdict.holds:
            assert f"more than {np.ceil(100 * interval.high - 100):.0f} % above" in verdict.sentence
            assert interval.high > 1.05
    assert sum(verdict.holds is True for verdict in verdicts) <= 6


def test_the_scale_of_a_sampled_law_is_known_as_well_as_its_sample():
    rng = np.random.default_rng(0)
    values = sample(lambda _, dim, seeds: beta(rng, dim, seeds), seeds=256)
    exact = _summary.scale(values, LAWS)
    drawn = _summary.scale(values, against={dim: beta(rng, dim, 256) for dim in DIMS})
    many = _summary.scale(values, against={dim: beta(rng, dim, 5000) for dim in DIMS})
    width = lambda interval: np.log(interval.high / interval.low)
    np.testing.assert_allclose(many, exact, rtol=0.04)
    assert 1.2 < width(drawn) / width(exact) < 1.7  # √2
    assert _summary.scale(values * np.nan, LAWS) is None
    assert np.isinf(_summary.scale(values[:, :5], LAWS).high)


@pytest.mark.parametrize("seeds", [2, 4, 8, 16, 64])
def test_a_sample_too_small_to_exclude_another_law_decides_nothing(seeds):
    assert verdict_of(sample(beta, seeds=seeds)).holds is None
    assert verdict_of(2 * sample(beta, seeds=seeds)).holds is not True


def test_a_sampled_law_is_known_as_well_as_its_sample():
    """Of 100 pairs of samples of one law, about 95 slopes must agree within their interval."""
    agree = 0
    for trial in range(100):
        rng = np.random.default_rng(trial)
        values = sample(lambda _, dim, seeds, rng=rng: beta(rng, dim, seeds), seeds=64)
        drawn = {dim: beta(rng, dim, 64) for dim in DIMS}
        fit = _summary.exponent(values, "ratio", against=drawn)
        agree += fit.low <= fit.expected <= fit.high
    assert agree >= 88


def test_failed_seeds_are_counted():
    values = sample(beta, seeds=20)
    dataset = xr.Dataset({"ratio": values}, attrs={"seeds": [20, 20, 20]})
    assert _summary.incomplete(values, dataset) == []
    failed = values.where((values["dim"] != 32) | (values["seed"] < 17))
    assert _summary.incomplete(failed, dataset) == [32]
    assert _summary.incomplete(failed.where(values["dim"] != 8), dataset) == [8, 32]


def test_verdict_on_agreement_has_three_outcomes():
    judge = lambda *intervals, incomplete=(): _verdicts.agreement(
        "Law", dict(zip(DIMS, intervals, strict=False)), incomplete, within=1.25, what="ratio"
    )
    close, wide, far = Interval(1, 0.9, 1.1), Interval(1, 0.5, 2), Interval(3.0, 2, 4)
    assert judge(close, close).holds is True
    assert judge(close, close, incomplete=[128]).holds is None
    assert judge(close, wide).holds is None
    assert judge(close, wide, far).holds is False
    assert "d = 128" in judge(close, wide, far).sentence
    assert judge().holds is None
    blame = lambda **parts: (
        _verdicts.agreement(
            *("Law", {8: far}, []),
            within=1.25,
            what="ratio",
            parts={name: {8: Interval(value, 0, 9)} for name, value in parts.items()},
        ).sentence
    )
    # The ratio is 3: what lowers it is no reason, nor is what has no logarithm.
    said = blame(midpoint=1.1, secant=0.2, tangent=2.5)
    assert "bends on the way to its boundary (a factor of 2.5 at d = 8)" in said
    for value in (0.3, 0.0, -2.0, math.nan):
        assert "because" not in blame(tangent=value)
    assert "boundary" not in judge(far).sentence


def test_verdict_on_scaling_has_three_outcomes():
    judge = lambda low, high: _verdicts.scaling("Law", Fit("r", "r", -0.5, low, high, -0.5)).holds
    assert judge(-0.55, -0.45) is True
    assert judge(-0.3, -0.2) is False
    assert judge(-0.9, -0.3) is None
    assert _verdicts.scaling("Law", None).holds is None


@pytest.fixture(scope="module")
def points():
    return experiments.linear_points.run(dims=(4, 16), seeds=1000)


@pytest.fixture(scope="module")
def hypercube():
    return experiments.linear_hypercube.run(dims=(4, 16), seeds=1000)


@pytest.mark.fast
def test_points_follow_their_laws(points):
    dataset = points.dataset
    assert points.verdicts[0].holds is True, points.verdicts
    # Exactly, per seed: the pairwise ratio is the compression ratio of the displacement.
    np.testing.assert_allclose(dataset["ratio"], dataset["rho"], rtol=1e-9)
    assert (dataset["r_nn_untargeted"] <= dataset["r_nn"] * (1 + 1e-9)).all()
    assert (dataset["r_opt_untargeted"] <= dataset["r_opt"] * (1 + 1e-9)).all()
    half_normal = scipy.stats.halfnorm(scale=0.5**0.5)
    for dim in (4, 16):
        assert scipy.stats.kstest(dataset["r_nn"].sel(dim=dim), half_normal.cdf).pvalue > 0.01
        untargeted = dataset["r_nn_untargeted"].sel(dim=dim)
        theirs = theory.sample_points(jax.random.key(5), 2000, dim).network
        assert scipy.stats.ks_2samp(untargeted, theirs).pvalue > 0.01


def test_hypercube_follows_its_laws(hypercube):
    dataset = hypercube.dataset
    assert hypercube.verdicts[0].holds is True, hypercube.verdicts
    np.testing.assert_allclose(dataset["ratio"], dataset["rho"], rtol=1e-6)
    assert (dataset["r_opt_untargeted"] <= dataset["r_opt"] * (1 + 1e-9)).all()
    half_normal = scipy.stats.halfnorm()
    for dim in (4, 16):
        assert scipy.stats.kstest(dataset["r_nn"].sel(dim=dim), half_normal.cdf).pvalue > 0.01


def test_mixing_layers_make_the_interpolator_more_fragile(hypercube):
    mixed = experiments.linear_hypercube.run(dims=(4, 16), seeds=1000, layers=2)
    assert mixed.verdicts[0].holds is not False, mixed.verdicts
    assert (mixed.summary["ratio_hi"] < hypercube.summary["ratio_lo"]).all()


@pytest.mark.parametrize("dim", [256, 512])
def test_many_mixing_layers_are_measured_right_in_float32(dim):
    """Four layers: radius and ratio against QR in float64; at x as stored they were 24 % off."""
    cell = experiments.linear_hypercube.cell
    keys = jax.random.split(jax.random.key(1), 4)
    with jax.enable_x64(False):
        # One lane after the other: sweeps measure so, too, where decompositions are large.
        got = jax.jit(lambda keys: jax.lax.map(lambda k: cell(k, "affine", 4, dim=dim), keys))(keys)
        draw = jax.jit(lambda key: data.mixed_hypercube(key, dim, 1, layers=4).factors)
        mixings = [np.asarray(draw(key), np.float64) for key in keys]
    assert got.ratio.dtype == np.float32
    for at, factors in enumerate(mixings):
        basis, pivot, column = np.eye(dim), 1.0, np.eye(dim)[-1]
        for factor in factors:
            basis, triangle = np.linalg.qr(factor @ basis)
            pivot, column = pivot * abs(triangle[-1, -1]), factor @ column
        np.testing.assert_allclose(got.r_nn[at], pivot, rtol=2e-3)
        np.testing.assert_allclose(got.ratio[at], pivot / np.linalg.norm(column), rtol=2e-3)
    assert np.isnan(got.rho).all()  # by inner products at this precision: nothing but rounding


@pytest.mark.fast
def test_rounding_is_refused_where_it_would_be_measured():
    resolved = experiments.linear_hypercube.resolved
    assert resolved(512, 4, "float64")
    assert resolved(512, 2, "float32")
    assert not resolved(256, 4, "float32")
    assert not resolved(512, 12, "float64")
    with jax.enable_x64(False), pytest.raises(ValueError, match=r"dims 256 .* float32.*enable_x64"):
        experiments.linear_hypercube.run(dims=(8, 256), layers=4, solver="deepfool")
    with pytest.raises(ValueError, match=r"dims 256 .* float32"):
        experiments.trained.run(dims=(8, 256), layers=4)


def test_a_solver_agrees_with_the_closed_form(points):
    searched = experiments.linear_points.run(dims=(4, 16), seeds=16, solver="deepfool")
    few = points.dataset.isel(seed=slice(16))
    np.testing.assert_allclose(searched.dataset["r_nn"], few["r_nn"], rtol=1e-3)


def test_stored_results_are_judged_again_alike(points, tmp_path):
    experiments.save(points, tmp_path)
    (loaded,) = experiments.load(tmp_path).values()
    xr.testing.assert_identical(loaded.dataset, points.dataset)
    xr.testing.assert_identical(loaded.summary, points.summary)
    assert loaded.fits == points.fits
    assert loaded.verdicts == points.verdicts


def test_folders_without_results_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no results"):
        experiments.load(tmp_path)
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match=r"other\.nc holds no experiment"):
        experiments.load(tmp_path)


@pytest.mark.parametrize(
    ("data", "options", "message"),
    [
        ("mixture", {"model": "interpolator"}, "interpolator exists"),
        ("points", {"layers": 2}, "layers belong"),
        ("digits", {"dims": (50,)}, "squares"),
        ("digits", {"model": "interpolator"}, "must be linear, mlp or cnn"),
        ("points", {"dims": (1, 2)}, "at least 2"),
        ("hypercube", {"dims": (1, 2)}, "at least 2"),
        ("mixture", {"model": "cnn"}, "must be linear or mlp"),
    ],
)
def test_options_that_do_not_fit_are_refused(data, options, message):
    def run_all():
        for run in experiments.plan(data, **options).values():
            run()

    with pytest.raises(ValueError, match=message):
        run_all()


@pytest.mark.fast
def test_trained_networks_are_judged_on_both_laws():
    result = experiments.trained.run(dims=(4, 6), seeds=6)
    names = [verdict.law for verdict in result.verdicts]
    assert names == ["Law B for trained networks", "Law E"]
    summary, dataset = result.summary, result.dataset
    assert (summary["accuracy"] > 0.9).all()
    assert (summary["found"] == 1).all()
    # Law E is an identity of its four factors, whatever the network has learned.
    product = dataset["rho_net"] * dataset["midpoint"] * dataset["secant"] * dataset["tangent"]
    ratio = dataset["r_nn"] / dataset["r_opt"]
    keep = dataset["found"] > 0
    np.testing.assert_allclose(product.where(keep), ratio.where(keep), rtol=2e-3)


@pytest.mark.parametrize("data", experiments.trained.FAMILIES)
def test_every_family_can_be_trained_on(data):
    result = experiments.trained.run(dims=(6,), seeds=2, data=data)
    assert result.summary["ratio"].notnull().all()
    assert (result.dataset["r_nn"].where(result.dataset["found"] > 0, 1) > 0).all()


def test_digits_shrink_the_bound_with_the_number_of_references():
    result = experiments.digits.run(dims=(49,), seeds=1)
    bound = result.summary["r_opt_by_references"].sel(dim=49)
    assert (bound.diff("references") <= 0).all()
    assert (result.summary["accuracy"] > 0.85).all()
    measured = result.dataset
    keep = (measured["found"] > 0) & (measured["correct"] > 0)
    assert keep.mean() > 0.8
    closest, given = measured["r_nn_untargeted"].where(keep), measured["r_nn"].where(keep)
    assert ((closest <= 1.05 * given) | ~keep).all()
    assert "exponent needs two dimensions" in result.verdicts[0].sentence
    older = experiments.digits.judge(measured.drop_vars(["box", "null_pvalue"]))
    assert (older.summary["box"] == 1).all()
    assert older.verdicts[0] == result.verdicts[0]


@pytest.mark.fast
def test_where_images_have_their_channels():
    first = [(2, 3, 8, 8), (2, 1, 28, 28), (2, 5, 8, 8), (2, 3, 32, 2)]
    last = [(2, 8, 8, 3), (2, 28, 28, 1), (2, 8, 8, 5), (2, 3, 3, 3), (2, 7, 7, 7)]
    assert [network._channel_axis(shape) for shape in first] == [1] * len(first)
    assert [network._channel_axis(shape) for shape in last] == [3] * len(last)
