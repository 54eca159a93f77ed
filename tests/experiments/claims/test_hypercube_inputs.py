"""The claim on single inputs of family B, in small, against brute force."""

import itertools

import jax
import numpy as np
import pytest
from measured import measured

from fracture import data
from fracture.experiments.claims import hypercube_inputs


@pytest.fixture(scope="module")
def found():
    return measured("hypercube_inputs")


def test_ratios_of_the_interpolator_are_what_it_reads(found):
    """Exactly, at every input, against the nearest of all points."""
    one = found.dataset.sel(network="interpolator")
    np.testing.assert_allclose(one["ratio"], one["rho_net"], rtol=1e-3)
    assert (one["accuracy"] == 1).all()
    assert (found.dataset["proven"] == 1).all()
    np.testing.assert_allclose(found.summary["off"].sel(network="interpolator"), 1, rtol=1e-3)


def test_only_what_can_fail_is_a_verdict_and_one_network_is_trained(found):
    assert {verdict.law: verdict.trained for verdict in found.verdicts} == {
        "Law B, interpolator": False,
        "Ratio is ρ, 9 inputs in 10, largest margin": False,
        "As fragile as the interpolator, largest margin": False,
        "Ratio is ρ, 9 inputs in 10, trained": True,
        "As fragile as the interpolator, trained": True,
    }


def test_inputs_without_a_proven_optimum_are_left_out(found):
    """An input in ten or fewer is masked; where there are more, there is no result."""
    unproven = found.dataset.isel(example=[*range(4)] * 5).copy(deep=True)
    unproven["proven"][{"example": [0, 19]}] = 0
    unproven["ratio"][{"example": [0, 19]}] = 100 * unproven["ratio"].isel(example=[0, 19])
    off = lambda findings: findings.summary["off"].sel(network="interpolator")
    np.testing.assert_allclose(off(hypercube_inputs.judge(unproven)), 1, rtol=1e-3)
    unproven["proven"][{"dim": 1, "example": 1}] = 0
    few = hypercube_inputs.judge(unproven)
    np.testing.assert_allclose(off(few), [1, np.nan], rtol=1e-3)
    assert all(verdict.holds is not True for verdict in few.verdicts[1:])


def test_no_linear_classifier_has_a_larger_least_radius(found):
    """Of those right everywhere, the one of largest margin has the largest least radius."""
    right = (found.dataset["accuracy"] == 1) & (found.dataset["correct"] > 0).all("example")
    least = found.dataset["radius"].where(right).min("example")
    linear, best = (least.sel(network=name) for name in ("interpolator", "largest margin"))
    assert (best >= 0.99 * linear).all()


def test_optimal_radii_are_those_of_all_points():
    options = hypercube_inputs.Options(draws=1, steps=1, examples=3, points_per_dim=4)
    key = jax.random.key(2)
    got = hypercube_inputs.measure(key, (), options, dim=5)
    task = data.mixed_hypercube(jax.random.split(key, 4)[1], 5, 20, dtype="float32")
    mixing, codes = np.asarray(task.factors[0]), np.array([*itertools.product([-1, 1], repeat=5)])
    inputs, labels = np.asarray(task.inputs[:3]), np.asarray(task.codes[:3, -1])
    for x, label, radius in zip(inputs, labels, got.r_opt, strict=True):
        others = codes[codes[:, -1] != label] @ mixing.T
        least = np.linalg.norm(others - x, axis=1).min() / 2
        np.testing.assert_allclose(radius, least, rtol=1e-4)
