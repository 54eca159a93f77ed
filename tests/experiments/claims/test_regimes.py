"""Trained networks in all settings, in small; identities, and verdicts on made-up results."""

import numpy as np
import pytest
import xarray as xr

from fracture import experiments, theory
from fracture.experiments.claims import regimes


@pytest.fixture(scope="module")
def found():
    settings = {"dim": (6,), "network": ("clusters",), "steps": 100, "examples": 4}
    return experiments.reproduce("regimes", settings=settings, seeds=2)


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
    assert "0.8" in both.verdicts[2].finding  # at least, of 0.93
    np.testing.assert_allclose(both.summary["excess_map"], 1, rtol=0.02)
    neither = regimes.judge(made({"centre": 3.0, "tanh": 3.0}, law_e=2.0))
    assert [v.holds for v in neither.verdicts] == [False, False, False]
    assert "halfway" in neither.verdicts[1].finding


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


def test_networks_that_there_are_not_are_refused():
    with pytest.raises(ValueError, match="network must be of centre, tanh"):
        experiments.reproduce("regimes", settings={"network": ("sin",)})
