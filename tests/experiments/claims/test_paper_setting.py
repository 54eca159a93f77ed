"""The paper's own setting, in four dimensions."""

import numpy as np
import pytest
from measured import measured

from fracture import experiments
from fracture.experiments.claims import paper_setting


@pytest.fixture(scope="module")
def found():
    return measured("paper_setting")


def test_a_linear_network_that_fits_reads_the_last_column_of_q(found):
    dataset = found.dataset.sel(network="linear")
    # The perturbation of a linear network is its gradient, and the ratio what it reads of the twin.
    np.testing.assert_allclose(dataset["cos_attack"].where(dataset["correct"], 1), 1, rtol=1e-4)
    fits = dataset.where(dataset["loss"] < 1e-7, drop=True)
    assert fits.sizes["seed"] >= 4
    np.testing.assert_allclose(fits["cos_pivot"], 1, rtol=1e-3)
    for name in ("rho_net", "radius"):
        read = fits[name] / (fits["r_half"] if name == "radius" else 1)
        np.testing.assert_allclose(read / fits["rho_theory"], 1, rtol=1e-2)


def test_relu_networks_are_attacked_at_points_that_they_know(found):
    dataset = found.dataset.sel(network="relu")
    assert (dataset["accuracy"] > 0.9).all()
    assert dataset["found"].mean() > 0.9
    assert (dataset["radius"].where(dataset["found"], 1) > 0).all()
    for name in ("cos_attack", "cos_pivot", "rho_net"):
        assert (dataset[name].where(dataset["found"], 0) <= 1 + 1e-6).all()


def test_verdicts_of_what_is_known(found):
    dataset = found.dataset
    known = dataset.assign(
        radius=dataset["rho_theory"] * dataset["r_half"] + 0 * dataset["radius"],
        rho_net=dataset["rho_theory"] + 0 * dataset["rho_net"],
        cos_attack=0.99 + 0 * dataset["cos_attack"],
        cos_pivot=0.3 + 0 * dataset["cos_pivot"],
        correct=dataset["correct"] | True,
        found=dataset["found"] | True,
    )
    for name in known.data_vars:
        known[name].attrs = dataset[name].attrs
    attack, pivot, law_b, law_e = paper_setting.judge(known).verdicts
    assert [attack.holds, pivot.holds, law_b.holds, law_e.holds] == [True, False, True, True]
    assert "below 0.95, at network = linear, relu" in pivot.finding
    assert [one.at for one in attack.evidence] == ["network = relu"]
    # Within a factor of 1.25 of 1, and yet not along it.
    apart = paper_setting.judge(known.assign(cos_attack=0.9 + 0 * known["cos_attack"]))
    assert apart.verdicts[0].holds is False
    linear = paper_setting.judge(known.sel(network=["linear"]).assign_attrs(seeds=[8]))
    assert linear.verdicts[0].holds is None
    np.testing.assert_allclose(paper_setting.judge(known).summary["close"], 1)
    twice = paper_setting.judge(known.assign(radius=2 * known["radius"]))
    assert [verdict.holds for verdict in twice.verdicts[2:]] == [False, False]
    np.testing.assert_allclose(twice.summary["close"], 0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network": ("cnn",)}, "must be linear or relu, got cnn"),
        ({"dim": 17}, "from 2 to 16"),
        ({"dim": 3}, r"at most 2\^3, got 16"),
        ({"steps": 0}, "steps must be"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        experiments.reproduce("paper_setting", settings=settings)
