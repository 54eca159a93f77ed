"""The claim on norms, in small, against NumPy and against what holds exactly."""

import jax
import numpy as np
import pytest
import scipy.stats
from measured import measured

from fracture import data, experiments, theory
from fracture.experiments.claims import norm_orders


@pytest.fixture(scope="module")
def found():
    return measured("norm_orders")


def test_interpolators_are_those_of_numpy():
    """One draw of each family: all norms by hand."""
    key_b, key_a = jax.random.split(jax.random.key(3))
    got = norm_orders._interpolators(jax.random.key(3), dim=7)
    mixing = np.asarray(data.mixed_hypercube(key_b, 7, 1).factors[0])
    points = np.asarray(data.gaussian_points(key_a, 7).inputs)
    gradient, weight = np.linalg.inv(mixing)[-1], np.linalg.inv(points.T)
    for at, (ord, dual) in enumerate([(1, np.inf), (2, 2), (np.inf, 1)]):
        radius = 1 / np.linalg.norm(gradient, dual)
        half = np.linalg.norm(mixing[:, -1], ord)
        np.testing.assert_allclose(got.ratio_pair[at], radius / half, rtol=1e-8)
        distances = np.linalg.norm(points[1:] - points[0], ord, axis=1)
        of_network = min(1 / np.linalg.norm(weight[0] - row, dual) for row in weight[1:])
        np.testing.assert_allclose(got.ratio[at], of_network / (distances.min() / 2), rtol=1e-8)
        of_l2 = distances[np.linalg.norm(points[1:] - points[0], axis=1).argmin()]
        np.testing.assert_allclose(got.overestimate[at], of_l2 / distances.min(), rtol=1e-8)


def test_the_law_of_the_dual_norm_is_found(found):
    words = {verdict.law: verdict.word for verdict in found.verdicts}
    assert [words[f"Dual norm, {name}"] for name in norm_orders.ORDERS] == ["holds"] * 3
    ratios = found.dataset["ratio_pair"].sel(norm="ℓ2")
    for dim in (4, 16):
        drawn = np.ravel(ratios.sel(dim=dim))
        assert scipy.stats.kstest(drawn, theory.compression(dim).cdf).pvalue > 0.01
    assert (found.dataset["overestimate"].sel(norm="ℓ2") == 1).all()


def test_another_law_is_refuted(found):
    wrong = found.dataset.assign(ratio_pair=1.5 * found.dataset["ratio_pair"])
    words = {verdict.law: verdict.word for verdict in norm_orders.judge(wrong).verdicts}
    assert words["Dual norm, ℓ1"] == "does not hold"


def test_only_misuse_is_refused():
    with pytest.raises(ValueError, match="draws must be"):
        experiments.reproduce("norm_orders", settings={"draws": 0})


def test_a_slope_is_open_where_seeds_failed(found):
    known = found.dataset
    some = known.where((known["dim"] < 16) | (known["seed"] == known["seed"][0]))
    (verdict,) = [v for v in norm_orders.judge(some).verdicts if v.law == "1/√(d log d), ℓ1"]
    assert verdict.holds is None
    assert verdict.finding == "too few seeds gave a result at d = 16"
