"""Deep linear interpolators against the inverse of their points."""

import jax
import numpy as np
import pytest
import scipy.stats

from fracture import data, experiments
from fracture.experiments.claims import linear_depth


@pytest.fixture(scope="module")
def found():
    settings = {"dim": (4, 6), "depth": (5,)}
    return experiments.reproduce("linear_depth", settings=settings, seeds=512)


@pytest.mark.fast
def test_networks_of_any_depth_follow_law_a(found):
    dataset = found.dataset
    assert (dataset["residual"] < 1e-6).all()
    # Exactly, per seed: the pairwise ratio is what is read of the displacement.
    np.testing.assert_allclose(dataset["ratio_pair"], dataset["rho_net"], rtol=1e-6)
    half_normal = scipy.stats.halfnorm(scale=0.5**0.5)
    for dim in (4, 6):
        one = dataset.sel(dim=dim, depth=5)
        assert scipy.stats.kstest(one["radius_pair"], half_normal.cdf).pvalue > 0.01
        assert scipy.stats.ks_2samp(one["ratio"], one["ratio_theory"]).pvalue > 0.01


@pytest.mark.parametrize("depth", [2, 4])
def test_radii_are_those_of_the_inverse(depth):
    key = jax.random.key(4)
    got = linear_depth.measure(key, (), linear_depth.Options(), dim=5, depth=depth)
    points = np.asarray(data.gaussian_points(jax.random.split(key, 3)[0], 5).inputs)
    rows = np.linalg.inv(points.T)
    slopes = np.linalg.norm(rows[0] - rows[1:], axis=1)
    np.testing.assert_allclose(got.radius_pair, 1 / slopes[0], rtol=1e-6)
    np.testing.assert_allclose(got.radius, 1 / slopes.max(), rtol=1e-6)
    apart = np.linalg.norm(points[0] - points[1:], axis=1)
    np.testing.assert_allclose([got.r_half, got.r_opt], [apart[0] / 2, apart.min() / 2])


def test_verdicts_of_what_is_known(found):
    names = [verdict.law for verdict in found.verdicts]
    assert names == ["Law A, pairwise, depth = 5", "Law A, nearest boundary, depth = 5"]
    assert all(verdict.holds is not False for verdict in found.verdicts)
    doubled = found.dataset.copy()
    for name in ("ratio_pair", "ratio"):
        doubled[name] = (2 * doubled[name]).assign_attrs(found.dataset[name].attrs)
    judged = linear_depth.judge(doubled)
    assert {verdict.holds for verdict in judged.verdicts} == {False}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dim": (1, 2)}, "dim must be at least 2"),
        ({"depth": (1, 2)}, "depth must be at least 2"),
        ({"widths_per_dim": "1,0"}, "widths_per_dim must be"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        experiments.reproduce("linear_depth", settings=settings)
