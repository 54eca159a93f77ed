"""What layers keep and what detectors see, in small; and the verdicts on made-up measurements."""

import numpy as np
import pytest
import xarray as xr
from measured import measured

from fracture import experiments
from fracture.experiments.claims import information


@pytest.fixture(scope="module")
def found():
    return measured("information")


def test_later_layers_keep_less_and_margins_give_minimal_perturbations_away(found):
    dataset = found.dataset.sel(width=8)
    for name in ("information", "information_start"):
        assert (dataset[name].diff("noise") < 0).all()
        assert (dataset[name].isel(layer=0) > dataset[name].isel(layer=slice(1, None))).all()
        np.testing.assert_allclose(
            dataset[name].isel(layer=0, seed=0), dataset[name].isel(layer=0, seed=1)
        )
    assert (dataset["accuracy"] > 0.6).all()
    assert (dataset["detected"].sel(reads="margin", push=1) > 0.9).all()
    assert (abs(dataset["false_alarms"] - 0.01) < 0.02).all()
    # Further away from the digit, its own pixels look the odder.
    seen = dataset["detected"].sel(reads="input").mean("seed")
    assert seen.sel(push=3) >= seen.sel(push=1)


def test_verdicts_on_measurements_that_are_made_up(found):
    """Radii like the root of what is kept, and detection of nine in ten or of half."""
    wide = found.dataset.isel(seed=[0] * 12).assign_coords(seed=np.arange(12))
    both = {8: 4.0, 64: 16.0}
    parts = []
    for width, kept in both.items():
        one = wide.assign_coords(width=[width]).copy()
        one["information"] = one["information"] * 0 + kept
        one["information_start"] = one["information"] * 2
        one["radius"] = one["radius"] * 0 + kept**0.5
        one["radius"] = one["radius"].where(np.isfinite(one["radius"]), kept**0.5)
        one["found"], one["correct"] = one["found"] | True, one["correct"] | True
        one["detected"] = one["detected"] * 0 + 0.95
        parts.append(one)
    made = xr.concat(parts, "width").assign_attrs(wide.attrs | {"seeds": [12, 12]})
    judged = information.judge(made)
    assert [v.holds for v in judged.verdicts] == [True, True, True]
    # The widest is what others are compared with, wherever it stands, and is not judged.
    assert [one.at for one in judged.verdicts[1].evidence] == ["m = 8"]
    turned = information.judge(made.isel(width=[1, 0]))
    assert turned.verdicts[1] == judged.verdicts[1]
    noisy = made.copy()
    noisy["radius"] = made["radius"] * xr.where(made["width"] == 64, 1 + made["seed"] % 2, 1.5)
    assert information.judge(noisy).verdicts[1].holds is None
    # At push 1 the equal logits give all away; that is not what is judged.
    made["detected"] = made["detected"].where(made["push"] == 1, 0.5)
    assert [v.holds for v in information.judge(made).verdicts] == [True, True, False]
    made["radius"] = made["radius"] * 0 + 1
    made["detected"] = made["detected"] * 0 + 0.5
    made["information_start"] = made["information"] / 2
    assert [v.holds for v in information.judge(made).verdicts] == [False, False, False]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": 50}, "must be a square"),
        ({"looked_at": 0}, "looked_at"),
        ({"width": (0,)}, "width"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        experiments.reproduce("information", settings=settings)
