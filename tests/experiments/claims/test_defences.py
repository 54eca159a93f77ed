"""Objectives of defences on affine networks, where they are known; verdicts on made-up results."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from fracture import experiments
from fracture.experiments.claims import _defences, defences

XS = np.random.default_rng(1).uniform(0.4, 0.6, (6, 5))
YS = np.array([0, 1, 0, 1, 1, 0])
WEIGHT = np.random.default_rng(2).normal(size=(2, 5))
DIRECTION = WEIGHT[0] - WEIGHT[1]
MARGINS = (1 - 2 * YS) * (XS @ DIRECTION)


def apply(params, x):
    return params @ x


def value(objective, strength):
    return float(jax.jit(partial(objective, apply))(jnp.array(strength), WEIGHT, XS, YS))


def losses(margins):
    return np.mean(np.log1p(np.exp(-margins)))


@pytest.mark.parametrize("steps", [1, 5])
def test_the_worst_loss_of_an_affine_network_is_at_the_end_of_the_gradient(steps):
    worst = losses(MARGINS - 0.1 * np.linalg.norm(DIRECTION))
    objective = partial(_defences.adversarial, steps=steps)
    np.testing.assert_allclose(value(objective, 0.1), worst, rtol=1e-9)
    np.testing.assert_allclose(value(objective, 0.0), losses(MARGINS), rtol=1e-12)


def test_penalties_of_an_affine_network():
    plain = losses(MARGINS)
    added = lambda objective: value(objective, 1.0) - plain
    square = np.sum(DIRECTION**2)
    np.testing.assert_allclose(added(_defences.small_jacobian), square / 2, rtol=1e-9)
    radii = np.clip(MARGINS, 0, None) / np.sqrt(square)
    np.testing.assert_allclose(added(_defences.large_radius), -np.mean(radii), rtol=1e-3, atol=1e-6)
    ratios = []
    for x, y in zip(XS, YS, strict=True):
        others = XS[y != YS] - x
        nearest = others[np.argmin(np.linalg.norm(others, axis=1))]
        ratios.append(abs(nearest @ DIRECTION) / np.linalg.norm(nearest) / np.sqrt(square))
    np.testing.assert_allclose(added(_defences.little_compression), -np.mean(ratios), rtol=1e-9)
    gram = WEIGHT @ WEIGHT.T - np.eye(2)
    np.testing.assert_allclose(added(_defences.orthogonal), np.sum(gram**2), rtol=1e-9)
    assert value(_defences.plain, 3.0) == pytest.approx(plain)


def test_finer_labels_change_the_network_and_no_strength_is_the_measure_of_gains():
    settings = {"dim": 49, "defence": ("labels",), "hidden": 16, "examples": 8}
    settings |= {"steps": 80, "learning_rate": 2e-2}
    found = experiments.reproduce("defences", settings=settings, seeds=2)
    dataset = found.dataset.isel(defence=0)
    assert (dataset["accuracy"] > 0.3).all()
    assert (dataset["radius"].isel(strength=0) != dataset["radius"].isel(strength=2)).any()
    assert (found.summary["radius_gain_by_strength"].sel(strength=0) == 1).all()


def made(radius, rho, accuracy):
    """Two defences at four strengths, twelve seeds, one input each."""
    axes = ("defence", "seed", "strength")
    coords = {"defence": ["FGSM", "PGD"], "seed": np.arange(12), "strength": [0, 1, 2, 3]}
    spread = 1 + 0.01 * np.sin(np.arange(12))[None, :, None, None]
    over = lambda values: np.broadcast_to(
        np.array(values, float)[None, None, :, None], (2, 12, 4, 1)
    )
    example = {"radius": over(radius) * spread, "rho_net": over(rho) * spread}
    example |= {"found": over([1] * 4), "correct": over([1] * 4)}
    variables = {name: ((*axes, "example"), array) for name, array in example.items()}
    variables["accuracy"] = (axes, over(accuracy)[..., 0].copy())
    attrs = {"axes": ["defence"], "seeds": [12, 12]}
    return xr.Dataset(variables, coords, attrs)


def words(dataset):
    return [verdict.holds for verdict in defences.judge(dataset).verdicts]


def test_verdicts_compare_at_matched_accuracy():
    """The strongest defence costs too much: what counts is the one before."""
    judged = defences.judge(made([1, 1.5, 2, 4], [0.1, 0.15, 0.2, 0.1], [0.9, 0.9, 0.895, 0.7]))
    assert (judged.summary["chosen"] == 2).all()
    assert (judged.summary["seeds"] == 6).all()
    np.testing.assert_allclose(judged.summary["radius_gain"], 2)
    assert [v.holds for v in judged.verdicts] == [True, True, True]
    assert words(made([1, 2, 2, 2], [0.1, 0.11, 0.11, 0.11], [0.9] * 4)) == [True, True, False]


def test_that_the_radius_follows_is_not_judged_without_a_gain_of_compression():
    worse = defences.judge(made([1, 0.8, 0.5, 4], [0.1, 0.08, 0.09, 0.1], [0.9, 0.9, 0.9, 0.7]))
    assert (worse.summary["chosen"] == 1).all()
    assert [v.holds for v in worse.verdicts] == [False, False, None]
    assert "told from 1 at defence = FGSM, PGD" in worse.verdicts[2].finding
    assert words(made([1, 2, 2, 2], [0.1] * 4, [0.9] * 4))[2] is None


def test_a_defence_that_always_costs_much_is_not_judged_as_matched():
    dataset = made([1, 1.5, 2, 4], [0.1, 0.15, 0.2, 0.4], [0.9] * 4)
    dataset["accuracy"].loc[{"defence": "FGSM", "strength": [1, 2, 3]}] = 0.8
    judged = defences.judge(dataset)
    np.testing.assert_array_equal(judged.summary["chosen"], [np.nan, 3])
    np.testing.assert_allclose(judged.summary["radius_gain"], [np.nan, 4])
    assert [v.holds for v in judged.verdicts] == [None, None, None]
    assert all("defence = FGSM" in v.finding for v in judged.verdicts)
    dataset["accuracy"].loc[{"strength": [1, 2, 3]}] = 0.8
    assert words(dataset) == [None, None, None]


def test_the_strength_is_chosen_on_other_seeds_than_it_is_judged_on():
    """Each strength is large on one half: what is judged is not what was chosen for being large."""
    dataset = made([1, 1, 1, 0.5], [0.1, 0.2, 0.2, 0.2], [0.9] * 4)
    even = dataset["seed"] % 2 == 0
    dataset["radius"] = dataset["radius"] * xr.where((dataset["strength"] == 2) & even, 3, 1)
    judged = defences.judge(dataset)
    assert (judged.summary["chosen"] == 2).all()
    np.testing.assert_allclose(judged.summary["radius_gain"], 1)


def test_the_page_states_the_strengths():
    _, said = defences.describe(defences.Options())
    for part in ("PGD 0.2, 0.4, 0.8", "Jacobian 0.0001, 0.001, 0.01", "labels 1, 2, 3"):
        assert part in said


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"defence": ("prayer",)}, "must be of FGSM, PGD"), ({"dim": 50}, "must be a square")],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        experiments.reproduce("defences", settings=settings)
