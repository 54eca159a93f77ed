"""Law E and its corrections: identities in small, and verdicts on made-up results."""

import numpy as np
import pytest
import xarray as xr
from measured import measured

from fracture import experiments
from fracture.experiments.claims import law_e


@pytest.fixture(scope="module")
def found():
    return measured("law_e")


def test_first_order_laws_differ_from_what_is_measured_by_the_tangent_factor(found):
    dataset = found.dataset
    keep = (dataset["found"] > 0) & (dataset["correct"] > 0)
    assert keep.sum() > 5
    ratio = (dataset["radius_pair"] / dataset["r_half"]).where(keep)
    laws = law_e.predictions(dataset)
    first = laws["first order at x"] * dataset["tangent"]
    np.testing.assert_allclose(first.where(keep), ratio, rtol=2e-3)
    # What a crossing is at is beyond the smallest perturbation; its tangent plane may not be.
    reached = dataset["crossing"] > 0
    assert (reached & keep).any()
    assert (abs(np.log(dataset["crossing"] / ratio)).where(reached & keep).median() < 0.5).all()


def made(factors, crossing=1.0, noise=0.0, seeds=24, names=("clusters", "digits")):
    """Factors of each seed: a constant and a spread of the logarithm."""
    rng = np.random.default_rng(0)
    shape, dims = (len(names), seeds, 5), ("network", "seed", "example")
    draw = lambda centre, spread: np.exp(rng.normal(np.log(centre), spread, shape))
    arrays = {name: draw(*factors.get(name, (1.0, 1e-3))) for name in law_e.FACTORS}
    rho = draw(0.3, 0.3)
    ratio = rho * np.prod(list(arrays.values()), axis=0)
    arrays |= {"rho_net": rho, "radius_pair": ratio, "crossing": draw(crossing, 0.01 + noise)}
    arrays["crossing"] *= ratio / arrays["box"]
    arrays |= dict.fromkeys(("r_half", "correct", "found"), np.ones(shape))
    coords = {"network": list(names), "seed": np.arange(seeds)}
    attrs = {"axes": ["network"], "seeds": [seeds] * len(names)}
    return xr.Dataset({name: (dims, array) for name, array in arrays.items()}, coords, attrs)


def test_verdicts_on_measurements_that_are_made_up():
    fails = law_e.judge(made({"midpoint": (1.5, 0.3), "tangent": (1.0, 0.1)}))
    assert [v.holds for v in fails.verdicts] == [False, True, True]
    assert "halfway" in fails.verdicts[0].finding
    assert fails.summary.attrs["chosen"] == "first order at the boundary"
    assert float(fails.summary["share"].sum()) == pytest.approx(1)
    both = law_e.judge(made({"midpoint": (1.5, 0.3), "secant": (1.5, 0.3), "tangent": (1.0, 0.05)}))
    assert both.summary.attrs["chosen"] == "first order at the boundary"
    np.testing.assert_allclose(both.summary["share"][:2], 0.5, atol=0.05)
    holding = law_e.judge(made({"tangent": (1.0, 0.05)}, crossing=2.0))
    assert holding.verdicts[0].holds
    assert holding.verdicts[1].evidence[0].at == "factor = tangent"
    assert holding.verdicts[2].holds is not True  # to first order, all are law E
    wrong = law_e.judge(made({"secant": (0.5, 0.1), "tangent": (2.0, 0.1)}, crossing=3.0))
    assert wrong.verdicts[0].holds
    # All corrections err more than law E, or are it.
    assert wrong.summary.attrs["chosen"] == "box"
    assert wrong.verdicts[2].holds is not True
    few = law_e.judge(made({"midpoint": (1.5, 0.3)}, seeds=5))
    assert [v.holds for v in few.verdicts] == [None, None, None]


@pytest.mark.fast
def test_law_e_holds_only_at_both_ends_of_a_bracket():
    dataset = made({"tangent": (1.0, 0.05)})
    verdict = lambda share: law_e.judge(
        dataset.assign(radius_certified=share * dataset["radius_pair"])
    ).verdicts[0]
    assert verdict(0.95).holds is True
    assert verdict(0.5).holds is None
    assert verdict(0.5).evidence[0].low < 0.6 < 0.9 < verdict(0.5).evidence[0].high


def test_only_networks_that_are_small_are_certified():
    with pytest.raises(ValueError, match="possible where network is one of clusters, spiked"):
        experiments.reproduce("law_e", settings={"network": ("digits",), "certify": True})


@pytest.mark.fast
def test_what_chooses_a_correction_does_not_judge_it():
    dataset = made({"midpoint": (2.0, 0.1), "tangent": (1.0, 0.1)})
    spoiled = dataset.copy(deep=True)
    spoiled["crossing"][:, 1::2] *= 8.0  # on the seeds that judge
    got = law_e.judge(spoiled)
    assert got.summary.attrs["chosen"] == "first order at the boundary"
    assert got.verdicts[2].holds is False


@pytest.mark.fast
def test_inputs_without_a_crossing_are_left_out_of_all_errors():
    dataset = made({"midpoint": (1.5, 0.3)})
    spoiled = dataset.copy(deep=True)
    spoiled["crossing"][:, :, 0] = np.nan
    got, want = law_e.judge(spoiled), law_e.judge(dataset.isel(example=slice(1, None)))
    np.testing.assert_array_equal(got.summary["error"], want.summary["error"])
    assert got.verdicts[2] == want.verdicts[2]
    np.testing.assert_allclose(got.summary["covered"], 0.8)
    # Law E itself is judged at all of them.
    assert got.verdicts[:2] == law_e.judge(dataset).verdicts[:2]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"network": ("words",)}, "network must be of clusters; digits"),
        ({"dim": 50}, "dim must be a square of at least 20"),
        ({"dim": 16}, "dim must be a square of at least 20"),
        ({"points": 0}, "points"),
        ({"solver": "none"}, "solver"),
    ],
)
@pytest.mark.fast
def test_what_cannot_be_measured_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        experiments.reproduce("law_e", settings=wrong)
