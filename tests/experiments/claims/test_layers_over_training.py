"""Layers over training: the network with statistics in small, and verdicts on made-up results."""

import numpy as np
import pytest
import xarray as xr

from fracture import experiments
from fracture.experiments.claims import layers_over_training


def test_layers_are_looked_at_on_the_way():
    settings = {"dim": 64, "model": ("resnet",), "steps": 100, "examples": 4}
    found = experiments.reproduce("layers_over_training", settings=settings, seeds=2)
    dataset = found.dataset.isel(model=0)
    assert ((dataset["layer_rho"] > 0) & (dataset["layer_rho"] <= 1)).all()
    # What a random subspace of nine dimensions of the pixels, and of the last features, contains.
    chance = dataset["layer_null"].sel(time=1.0)
    np.testing.assert_allclose(chance.sel(layer="input"), (9 / 64) ** 0.5, rtol=1e-5)
    np.testing.assert_allclose(chance.sel(layer="layer 4"), (9 / 16) ** 0.5, rtol=1e-5)
    assert (dataset["accuracy"].sel(time=0.0) < 0.4).all()
    assert (dataset["accuracy"].sel(time=1.0) > dataset["accuracy"].sel(time=0.0)).all()


def made(start, early, end):
    """Two models, eight seeds; ρ of the five layers at the start, early, and at the end."""
    times, layers = layers_over_training.MOMENTS, layers_over_training.LAYERS
    of_time = [start if time == 0 else end if time == 1 else early for time in times]
    spread = 1 + 0.001 * np.sin(np.arange(8))[None, :, None, None]
    axes = ("model", "seed", "time", "layer")
    variables = {
        "layer_rho": (axes, np.ones((2, 8, 6, 5)) * np.array(of_time) * spread),
        "layer_null": (axes, np.full((2, 8, 6, 5), 0.1)),
        "layer_effective_rank": (axes, np.full((2, 8, 6, 5), 9.0)),
        "accuracy": (axes[:3], np.full((2, 8, 6), 0.9)),
    }
    coords = {"model": ["mlp", "cnn"], "seed": np.arange(8), "time": [*times], "layer": [*layers]}
    return xr.Dataset(variables, coords, {"axes": ["model"], "seeds": [8, 8]})


def test_verdicts_on_measurements_that_are_made_up():
    low, high = [0.1, 0.2, 0.2, 0.2, 0.2], [0.2, 0.8, 0.8, 0.9, 0.9]
    judged = layers_over_training.judge(made(low, high, high))
    assert [v.holds for v in judged.verdicts] == [True, True, True]
    np.testing.assert_allclose(judged.summary["gain"], 2, rtol=1e-6)
    np.testing.assert_allclose(judged.summary["first"], 1 - np.log(0.8) / np.log(0.2), rtol=0.01)
    np.testing.assert_allclose(judged.summary["last"], np.log(0.9) / np.log(0.2), rtol=0.02)
    late = layers_over_training.judge(made(high, high, low))
    assert [v.holds for v in late.verdicts] == [False, False, False]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"model": ("rnn",)}, "model must be of mlp, cnn"),
        ({"dim": 49}, "must be the square of 4"),
        ({"steps": 50}, "steps must be an integer of at least 100"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        experiments.reproduce("layers_over_training", settings=settings)
