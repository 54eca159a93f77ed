"""Statistics on samples with known answers."""

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from sampled import DIMS, LAWS, beta, sample

from fracture import statistics
from fracture.vocabulary import quantity


@pytest.mark.fast
@pytest.mark.parametrize("seeds", [6, 16, 101])
def test_median_intervals_cover_the_median_at_least_as_often_as_they_say(seeds):
    rng = np.random.default_rng(1)
    values = xr.DataArray(rng.exponential(size=(1000, seeds)), dims=("dim", "seed"))
    intervals = statistics.medians(values.assign_coords(dim=np.arange(1000))).values()
    covered = sum(i.low <= np.log(2) <= i.high for i in intervals)
    assert covered >= 930  # 95 % of 1000 is 950 +- 7
    assert all(np.isfinite([i.low, i.high]).all() for i in intervals)


def test_exponent_of_a_power_law_is_recovered_within_its_interval():
    values = sample(lambda rng, dim, seeds: dim**-0.7 * np.exp(rng.normal(size=seeds)))
    fit = statistics.exponent(values, expected=-0.7)
    assert fit.low < -0.7 < fit.high
    assert fit.high - fit.low < 0.2
    noiseless = statistics.exponent(sample(lambda rng, dim, seeds: np.full(seeds, dim**-0.7)))
    np.testing.assert_allclose(noiseless[1:4], -0.7, rtol=1e-12)


@pytest.mark.parametrize("seeds", [6, 7, 40, 101])
def test_intervals_of_exponents_are_those_of_resampled_seeds(seeds):
    rng = np.random.default_rng(seeds)
    row = np.exp(rng.normal(size=seeds))
    values = xr.DataArray([np.ones(seeds), row], {"dim": [1.0, np.e]}, ("dim", "seed"), name="r")
    fit = statistics.exponent(values)
    drawn = np.log(np.median(rng.choice(row, (100_000, seeds)), axis=1))
    for end, level in ((fit.low, 0.025), (fit.high, 0.975)):  # about 5 standard errors
        assert np.mean(drawn < end - 1e-9) < level + 0.006
        assert np.mean(drawn <= end + 1e-9) > level - 0.006


def test_exponent_needs_two_dimensions_with_positive_medians():
    values = sample(beta)
    assert statistics.exponent(values[:1]) is None
    assert statistics.exponent(values.where(values["dim"] == 8, 0.0)) is None
    assert statistics.exponent(values * np.nan) is None


@pytest.mark.parametrize("seeds", [1, 2, 5])
def test_few_seeds_have_infinite_intervals(seeds):
    values = sample(beta, seeds=seeds)
    assert all(np.isinf([i.low, i.high]).all() for i in statistics.medians(values).values())
    fit = statistics.exponent(values)
    assert np.isinf([fit.low, fit.high]).all()


def test_kolmogorov_smirnov_is_scipys():
    values = sample(beta)
    got = statistics.kolmogorov_smirnov(values, LAWS)
    for dim in DIMS:
        law = scipy.stats.beta(0.5, (dim - 1) / 2)
        expected = scipy.stats.kstest(values.sel(dim=dim) ** 2, law.cdf)
        np.testing.assert_allclose(got["ks_pvalue"].sel(dim=dim), expected.pvalue, rtol=1e-6)
    assert {of.attrs["tested"] for of in got.values()} == {values.name}
    few = statistics.kolmogorov_smirnov(values[:, :1], LAWS)
    assert (few["ks_largest"] == 1).all()  # 0.5 + √(ln 40 / 2) is no distance


def test_the_scale_of_a_sampled_law_is_known_as_well_as_its_sample():
    rng = np.random.default_rng(0)
    values = sample(lambda _, dim, seeds: beta(rng, dim, seeds), seeds=256)
    exact = statistics.scale(values, LAWS)
    drawn = statistics.scale(values, against={dim: beta(rng, dim, 256) for dim in DIMS})
    many = statistics.scale(values, against={dim: beta(rng, dim, 5000) for dim in DIMS})
    width = lambda interval: np.log(interval.high / interval.low)
    np.testing.assert_allclose(many, exact, rtol=0.04)
    assert 1.2 < width(drawn) / width(exact) < 1.7  # √2
    assert statistics.scale(values * np.nan, LAWS) is None
    assert np.isinf(statistics.scale(values[:, :5], LAWS).high)


def test_a_scale_may_reach_down_to_zero():
    """Where so many seeds are 0 that the median may be, too."""
    rng = np.random.default_rng(0)
    values = sample(lambda _, dim, seeds: beta(rng, dim, seeds), seeds=16)
    some = statistics.scale(values.where(values["seed"] >= 7, 0), LAWS)
    assert 0 == some.low < some.value < some.high < np.inf
    assert statistics.scale(0 * values, LAWS) == (0, 0, 0)


def test_a_sampled_law_is_known_as_well_as_its_sample():
    """Of 100 pairs of samples of one law, about 95 slopes must agree within their interval."""
    agree = 0
    for trial in range(100):
        rng = np.random.default_rng(trial)
        values = sample(lambda _, dim, seeds, rng=rng: beta(rng, dim, seeds), seeds=64)
        drawn = {dim: beta(rng, dim, 64) for dim in DIMS}
        fit = statistics.exponent(values, against=drawn)
        agree += fit.low <= fit.expected <= fit.high
    assert agree >= 88


def test_failed_seeds_are_counted():
    values = sample(beta, seeds=20)
    dataset = xr.Dataset({"ratio": values}, attrs={"seeds": [20, 20, 20]})
    assert statistics.incomplete(values, dataset) == []
    failed = values.where((values["dim"] != 32) | (values["seed"] < 17))
    assert statistics.incomplete(failed, dataset) == [32]
    assert statistics.incomplete(failed.where(values["dim"] != 8), dataset) == [8, 32]


def test_what_is_made_for_one_axis_is_made_for_each_level_of_another():
    rng = np.random.default_rng(0)
    values = np.exp(rng.normal(size=(2, 3, 20)))
    dataset = xr.Dataset(
        {"ratio": (("dim", "layers", "seed"), values, quantity("ratio").attrs())},
        {"dim": [4, 16], "layers": [1, 2, 3]},
        {"axes": ["dim", "layers"], "seeds": [20, 20]},
    )
    got = statistics.each_level(dataset, lambda one: statistics.median_table(one, ["ratio"]))
    assert got["ratio"].attrs == quantity("ratio").attrs()
    for at in range(3):
        alone = statistics.medians(dataset["ratio"][:, at])
        for dim in (4, 16):
            row = got.sel(dim=dim, layers=at + 1)
            assert [row["ratio"], row["ratio_lo"], row["ratio_hi"]] == list(alone[dim])
    names = [name for name, _ in statistics.levels(dataset)]
    assert names == ["L = 1", "L = 2", "L = 3"]
    assert [
        name for name, _ in statistics.levels(dataset.sel(layers=1).assign_attrs(axes=["dim"]))
    ] == [""]
    with pytest.raises(ValueError, match=r"over one axis and 'seed', got \('dim', 'layers'"):
        statistics.medians(dataset["ratio"])


def test_an_axis_may_start_at_zero():
    values = xr.DataArray(
        np.array([[3.0], [2.0], [4.0], [8.0]]) * np.ones(8),
        {"steps": [0, 1, 2, 4]},
        ("steps", "seed"),
        "ratio",
    )
    np.testing.assert_allclose(statistics.exponent(values).exponent, 1)
    assert statistics.exponent(values[:2]) is None


def test_an_axis_may_be_words():
    values = xr.DataArray(
        np.arange(12.0).reshape(2, 6), {"loss": ["mse", "hinge"]}, ("loss", "seed"), "ratio"
    )
    assert statistics.medians(values)["hinge"].value == 8.5
    assert statistics.exponent(values) is None


@pytest.mark.fast
def test_words_keep_their_order_and_numbers_are_sorted():
    words = ["relu", "gelu", "abs"]
    values = xr.DataArray(
        np.ones((3, 2, 6)), {"kind": words, "dim": [16, 4]}, ("kind", "dim", "seed"), "ratio"
    )
    few = values.where((values["kind"] != "relu") | (values["dim"] == 16))
    of = lambda one: statistics.median_table(one, ["ratio"]).dropna("kind")
    dataset = xr.Dataset({"ratio": few}, attrs={"axes": ["kind", "dim"], "seeds": [6, 6, 6]})
    got = statistics.each_level(dataset, of)
    assert got["kind"].values.tolist() == words
    assert np.isnan(got["ratio"].sel(kind="relu")).values.tolist() == [False, True]
    drawn = dict.fromkeys(words, np.ones(6))
    assert statistics.two_samples(values[:, 0], drawn)["kind"].values.tolist() == words
    of_numbers = statistics.median_table(xr.Dataset({"ratio": values[0]}), ["ratio"])
    assert of_numbers["dim"].values.tolist() == [4, 16]


def test_pooled_draws_are_seeds():
    values = np.random.default_rng(0).normal(size=(2, 3, 4, 5))
    dims = ("dim", "seed", "draw", "norm")
    coords = {"dim": [8, 16], "seed": [0, 1, 2]}
    dataset = xr.Dataset({"ratio": (dims, values)}, coords, {"seeds": [3, 3], "axes": ["dim"]})
    got = statistics.pooled(dataset, "draw")
    assert got.attrs["seeds"] == [12, 12]
    flat = got["ratio"].transpose("dim", "seed", "norm")
    np.testing.assert_array_equal(flat, values.reshape(2, 12, 5))
    rows = statistics.rows(got["ratio"].isel(norm=0))
    np.testing.assert_array_equal(rows[16], values[1, :, :, 0].ravel())


def _shares_of(cells, noise, num, *, common=0.0, repeats=20):
    """Estimates, and how often their interval holds the truth, component by component."""
    mains = [cells.mean(axis=1).var(), cells.mean(axis=0).var()]
    parts = np.array([*mains, cells.var() - sum(mains), noise**2 + common**2])
    rng, found = np.random.default_rng(3), []
    for _ in range(repeats):
        drawn = cells[..., None] + noise * rng.normal(size=(*cells.shape, num))
        drawn += common * rng.normal(size=num)  # the same in all cells of a seed
        got = statistics.variance_explained(xr.DataArray(drawn, dims=("a", "b", "seed")))
        assert list(got) == ["a", "b", "interactions", "seed"]
        assert all(0 <= share.low <= share.value <= share.high <= 1 for share in got.values())
        assert sum(share.value for share in got.values()) == pytest.approx(1)
        found.append(list(got.values()))
    truth, (value, low, high) = parts / parts.sum(), np.moveaxis(np.array(found), -1, 0)
    return truth, value, ((low <= truth) & (truth <= high)).mean(axis=0)


def test_factors_that_do_nothing_explain_nothing():
    """Means of eight seeds vary by chance, by 1/8 of the variance of seeds: that is no effect."""
    _, value, covered = _shares_of(np.zeros((3, 5)), 1.0, 8)
    assert (value[:, :3].mean(axis=0) < 0.03).all()  # not 0, as they are not negative
    assert value[:, 3].mean() > 0.95  # and not 7/8
    assert (covered >= 0.9).all()


@pytest.mark.parametrize("common", [0.0, 0.5])
def test_variance_is_shared_between_factors_as_it_was_made(common):
    """Effects of known variance in known noise, also where all cells of a seed share some of it."""
    cells = np.add.outer([-0.5, 0, 0.5], [-1.0, 0, 0, 0, 1])
    cells += 0.3 * np.outer([-1, 2, -1], [1, -1, 0, -1, 1])  # orthogonal to both
    truth, value, covered = _shares_of(cells, 0.6, 8, common=common)
    error = value.std(axis=0, ddof=1) / np.sqrt(len(value))
    assert (np.abs(value.mean(axis=0) - truth) < 3 * error).all()
    assert (error < 0.03).all()
    assert (covered >= 0.8).all()


def test_shares_of_variance_are_of_the_factors_by_name():
    rng = np.random.default_rng(1)
    cells = np.add.outer([-1.0, 1.0], [-2.0, 0.0, 2.0])
    values = cells[..., None] + 0.5 * rng.normal(size=(2, 3, 40))
    values = xr.DataArray(values, dims=("a", "b", "seed"))
    got = statistics.variance_explained(values.transpose("seed", "b", "a"))
    assert list(got) == ["b", "a", "interactions", "seed"]
    assert got["a"].high < got["b"].low
    few = statistics.variance_explained(values.isel(seed=slice(4)))["a"]
    assert (few.low, few.high) == (-np.inf, np.inf)
    assert statistics.variance_explained(values.where(values > 0)) == {}
    assert statistics.variance_explained(0 * values + 0.1) == {}
    assert statistics.variance_explained(values.isel(seed=[0])) == {}
    one = statistics.variance_explained(values.isel(b=0, drop=True))
    assert one["interactions"].value == pytest.approx(0, abs=1e-12)


@pytest.mark.fast
def test_a_share_has_its_exact_interval():
    """Against the tables of Clopper and Pearson, and by the chances that define the ends."""
    np.testing.assert_allclose(statistics.proportion(0, 10), (0, 0, 0.3085), atol=5e-5)
    np.testing.assert_allclose(statistics.proportion(5, 10), (0.5, 0.1871, 0.8129), atol=5e-5)
    _, low, high = statistics.proportion(3, 17)
    np.testing.assert_allclose(scipy.stats.binom.sf(2, 17, low), 0.025, rtol=1e-6)
    np.testing.assert_allclose(scipy.stats.binom.cdf(3, 17, high), 0.025, rtol=1e-6)
    assert np.isnan(statistics.proportion(0, 0).value)
    assert np.isinf(statistics.proportion(0, 0).high)
    with pytest.raises(ValueError, match="must be 0 to 3, the trials; got 4"):
        statistics.proportion(4, 3)


@pytest.mark.fast
def test_rank_correlations_are_those_of_others_also_where_values_repeat():
    rng = np.random.default_rng(0)
    cause = rng.normal(size=(3, 400))
    one, other = cause + rng.normal(size=(2, 3, 400))
    got = statistics.rank_correlation(one, other)
    np.testing.assert_allclose(
        got, [scipy.stats.spearmanr(*pair)[0] for pair in zip(one, other, strict=True)]
    )
    # Of normal variables of correlation 1/2, 6/π arcsin(1/4); their cause is all of it.
    np.testing.assert_allclose(got, 6 / np.pi * np.arcsin(0.25), atol=0.1)
    np.testing.assert_allclose(statistics.rank_correlation(one, other, given=[cause]), 0, atol=0.1)
    repeated = np.round(one)
    want = [scipy.stats.spearmanr(*pair)[0] for pair in zip(repeated, other, strict=True)]
    np.testing.assert_allclose(statistics.rank_correlation(repeated, other), want)


@pytest.mark.fast
def test_partial_rank_correlations_are_those_of_residuals_of_ranks():
    rng = np.random.default_rng(1)
    one, other, first, second = rng.normal(size=(4, 50)) + rng.normal(size=50)
    ranks = [scipy.stats.rankdata(values) for values in (one, other, first, second)]
    design = np.stack([np.ones(50), *ranks[2:]], axis=1)
    left = [y - design @ np.linalg.lstsq(design, y)[0] for y in ranks[:2]]
    got = statistics.rank_correlation(one, other, given=[first, second])
    np.testing.assert_allclose(got, np.corrcoef(*left)[0, 1], rtol=1e-9)
    assert np.isnan(statistics.rank_correlation(one, other, given=[np.exp(one)]))
    assert np.isnan(statistics.rank_correlation(one, np.ones(50)))
    np.testing.assert_allclose(statistics.rank_correlation(one, np.exp(one), given=[first]), 1)


def test_nothing_is_known_of_a_statistic_without_values():
    found = statistics.bootstrap(statistics.rank_correlation, np.ones(10), np.arange(10.0))
    assert np.isnan(found.value)
    assert (found.low, found.high) == (-np.inf, np.inf)
    with pytest.raises(ValueError, match="a factor beside seed"):
        statistics.variance_explained(xr.DataArray(np.arange(8.0), dims="seed"))


@pytest.mark.fast
def test_bootstrap_intervals_of_a_mean_are_those_of_theory():
    values = np.random.default_rng(2).normal(size=400)
    mean = lambda x: x.mean(axis=-1)
    found = statistics.bootstrap(mean, values)
    assert found.value == pytest.approx(values.mean())
    half = 1.96 * values.std() / 20
    np.testing.assert_allclose(
        [found.low, found.high], values.mean() + np.array([-half, half]), atol=0.2 * half
    )
    assert statistics.bootstrap(mean, values) == found
    assert np.isinf(statistics.bootstrap(mean, values[:5]).high)
    difference = statistics.bootstrap(lambda x, y: mean(x) - mean(y), values, values)
    assert difference == (0, 0, 0)  # rows are resampled together
