"""Trained networks in all settings, in small; identities, and verdicts on made-up results."""

import numpy as np
import pytest
import xarray as xr
from measured import measured

from fracture import experiments, statistics, theory
from fracture.experiments.claims import regimes


@pytest.fixture(scope="module")
def found():
    return measured("regimes")


def test_settings_of_a_cell_are_networks_of_their_own(found):
    dataset = found.dataset.isel(dim=0, network=0)
    assert (dataset["accuracy"].sel(setting="centre") > 0.7).all()
    keep = (dataset["found"] > 0) & (dataset["correct"] > 0)
    assert keep.mean() > 0.5
    product = dataset["rho_net"] * dataset["midpoint"] * dataset["secant"] * dataset["tangent"]
    ratio = dataset["radius_pair"] / dataset["r_half"]  # exactly, whatever is learned
    np.testing.assert_allclose(product.where(keep), ratio.where(keep), rtol=2e-3)
    # With fewer points, the nearest of another class cannot be nearer.
    half = dataset["r_half"].isel(time=-1, drop=True)
    assert (half.sel(setting="2 points") >= half.sel(setting="centre")).all()
    assert (half.sel(setting="centre") >= half.sel(setting="64 points")).all()
    same = half.sel(setting="low rate") == half.sel(setting="centre")
    assert same.all()
    final = dataset["radius_pair"].isel(time=-1, drop=True)
    for setting in list(regimes.SETTINGS)[1:]:
        assert (final.sel(setting=setting) != final.sel(setting="centre")).any()


def made(excess, law_e=1.0):
    """Eight seeds at two dimensions; `excess` by network, the same in all settings."""
    dims, names = [8, 16], list(excess)
    sizes = {"dim": 2, "network": len(names), "seed": 8, "setting": 7, "time": 2, "example": 4}
    ones = np.ones(tuple(sizes.values()))
    law = np.array([float(theory.compression(d).quantile(0.5)) for d in dims])
    spread = 1 + 0.01 * np.sin(np.arange(8))[None, None, :, None, None, None]
    of_network = np.array(list(excess.values()))[None, :, None, None, None, None]
    ratio = ones * law[:, None, None, None, None, None] * of_network * spread
    arrays = {"radius_pair": ratio, "rho_net": ratio / law_e, "midpoint": ones * law_e}
    arrays |= dict.fromkeys(("r_half", "correct", "found", "secant", "tangent"), ones)
    variables = {name: (tuple(sizes), array) for name, array in arrays.items()}
    variables["accuracy"] = (("dim", "network", "seed", "setting"), ones[..., 0, 0])
    coords = {"dim": dims, "network": names, "seed": np.arange(8)} | {
        name: list(values) for name, values in regimes.COORDINATES.items()
    }
    attrs = {"axes": ["dim", "network"], "seeds": [8, 8]}
    return xr.Dataset(variables, coords, attrs)


def test_verdicts_on_measurements_that_are_made_up():
    both = regimes.judge(made({"centre": 1.0, "tanh": 1.05}))
    assert [v.holds for v in both.verdicts] == [True, True, True]
    assert both.verdicts[2].finding.startswith("network explains 0.9")
    assert both.verdicts[2].evidence[0].at == "network"
    np.testing.assert_allclose(both.summary["excess_map"], 1, rtol=0.02)
    neither = regimes.judge(made({"centre": 3.0, "tanh": 3.0}, law_e=2.0))
    assert [v.holds for v in neither.verdicts] == [False, False, False]
    assert "halfway" in neither.verdicts[1].finding
    assert neither.verdicts[2].finding.endswith("the others less")


def test_networks_that_are_right_about_few_inputs_do_not_count():
    """Half of all inputs have to be classified right and fooled, not of those classified right."""
    dataset = made({"centre": 1.0, "tanh": 3.0})
    little = dataset["correct"].copy()
    little.loc[{"network": "tanh", "example": [0, 1]}] = 0  # half of four are enough
    counted = regimes.judge(dataset.assign(correct=little)).summary
    np.testing.assert_allclose(counted["excess_by_network"].sel(network="tanh"), 3, rtol=0.02)
    little.loc[{"network": "tanh", "example": [0, 1, 2]}] = 0  # one of four, which is fooled
    found = regimes.judge(dataset.assign(correct=little))
    assert found.summary["excess_by_network"].sel(network="tanh").isnull().all()
    assert found.verdicts[0].holds is True
    np.testing.assert_allclose(found.summary["excess"], 1, rtol=0.02)


def test_that_no_factor_decides_is_said_only_where_none_may():
    interval = statistics.Interval
    of = lambda **shares: regimes._decides("one", shares)
    seed = interval(0.6, 0.55, 0.65)
    assert of(a=interval(0.1, 0, 0.2), b=interval(0.3, 0.2, 0.4), seed=seed).holds is False
    wide = of(a=interval(0.3, 0.25, 0.4), b=interval(0.2, 0, 0.6), seed=seed)  # not the largest
    assert wide.holds is None
    assert wide.finding.startswith("a explains 0.3 ")
    assert wide.finding.endswith("half may be by b")
    sure = of(a=interval(0.2, 0.1, 0.3), b=interval(0.7, 0.6, 0.8))
    assert sure.holds is True
    assert sure.finding.startswith("b explains 0.7 [0.6, 0.8]")
    few = interval(0.9, -np.inf, np.inf)
    assert of(a=few, b=few._replace(value=0.1)).holds is None
    assert of().holds is None


def test_seeds_that_are_missing_are_not_made_up():
    """Levels with gaps are left out, those that miss most first; the others count as they are."""
    ratio = made({"centre": 1.0, "tanh": 1.5, "gelu": 2.0})["radius_pair"].median("example")
    ratio *= 1 + 0.1 * np.random.default_rng(0).normal(size=ratio.shape)
    gaps = ratio.copy()
    gaps.loc[{"network": "gelu", "seed": [0, 1]}] = np.nan
    gaps.loc[{"network": "tanh", "setting": "4 points", "seed": 3, "time": 0.1}] = np.nan
    gaps.loc[{"dim": 16, "network": "gelu"}] = np.nan
    kept = ratio.sel(network=["centre", "tanh"], setting=ratio["setting"] != "4 points")
    got, want = regimes._explained(gaps), statistics.variance_explained(np.log(kept))
    assert list(got) == list(want)
    np.testing.assert_allclose(list(got.values()), list(want.values()), atol=1e-9)
    assert regimes._explained(gaps * np.nan) == {}


def test_the_centre_and_the_largest_dimension_are_found_wherever_they_are():
    dataset = made({"centre": 1.0, "tanh": 1.5})
    turned = dataset.isel(dim=[1, 0], network=[1, 0])
    want, got = (regimes.judge(one).summary for one in (dataset, turned))
    for name in ("excess_map", "excess_by_setting", "excess_by_network"):
        xr.testing.assert_allclose(got[name].sel(want[name].coords), want[name])
    assert list(regimes.draw(regimes.judge(turned))) == list(regimes.draw(regimes.judge(dataset)))
    without = regimes.draw(regimes.judge(dataset.sel(network=["tanh"])))
    assert list(without) == ["networks", "variance", "dimension"]


def test_networks_that_there_are_not_are_refused():
    with pytest.raises(ValueError, match="network must be of centre, tanh"):
        experiments.reproduce("regimes", settings={"network": ("sin",)})
