"""Deep linear interpolators against the inverse of their points."""

import jax
import numpy as np
import pytest
import scipy.stats
from measured import measured
from sampled import DIMS, beta

from fracture import data, experiments
from fracture.experiments.claims import linear_depth


@pytest.fixture(scope="module")
def found():
    return measured("linear_depth")


def test_networks_of_any_depth_follow_law_a(found):
    dataset = found.dataset
    assert (dataset["residual"] < 1e-6).all()
    # Exactly, per seed: the pairwise ratio is what is read of the displacement.
    np.testing.assert_allclose(dataset["ratio_pair"], dataset["rho_net"], rtol=1e-6)
    # 1e-4, not 1e-2: the first 512 seeds of d = 5 and depth 2 give p = 0.0004 for the nearest
    # boundary. That is chance: the 14,336 seeds after the first 2,048 give 0.56, and 200,000 draws
    # of an independent simulation 0.85. With 2,048 seeds it takes a distance of 0.07 to fail.
    half_normal = scipy.stats.halfnorm(scale=0.5**0.5)
    for depth in (2, 5):
        one = dataset.sel(dim=5, depth=depth)
        assert scipy.stats.kstest(one["radius_pair"], half_normal.cdf).pvalue > 1e-4
        assert scipy.stats.ks_2samp(one["ratio"], one["ratio_theory"]).pvalue > 1e-4


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
    laws = [f"Law A, {of}, depth = " for of in ("pairwise", "nearest boundary")]
    assert names == [law + str(depth) for depth in (2, 5) for law in laws]
    # Of one dimension there is no exponent, without which no law holds.
    assert all(verdict.holds is not True for verdict in found.verdicts)


def drawn_from_the_law(like):
    """Draws of the laws at three dimensions and one depth, in place of measurements."""
    rng = np.random.default_rng(0)
    draw = lambda scale: np.stack([scale * beta(rng, dim, 2000) for dim in DIMS])[:, :, None]
    dataset = like.isel(dim=[0] * 3, depth=[0], seed=slice(2000)).copy()
    dataset = dataset.transpose("dim", "seed", "depth").assign_coords(dim=list(DIMS))
    # The law of the nearest boundary has no closed form: two samples of any one law will do.
    for name, scale in {"ratio_pair": 1, "ratio": 0.5, "ratio_theory": 0.5}.items():
        dataset[name] = dataset[name].copy(data=draw(scale))
    return dataset.assign_attrs(seeds=[2000] * 3)


def test_law_a_holds_of_draws_from_it_and_not_of_others(found):
    known = drawn_from_the_law(found.dataset)
    assert [verdict.holds for verdict in linear_depth.judge(known).verdicts] == [True, True]
    for name, holds in {"ratio_pair": [False, True], "ratio": [True, False]}.items():
        doubled = known.assign({name: (2 * known[name]).assign_attrs(known[name].attrs)})
        judged = linear_depth.judge(doubled).verdicts
        assert [verdict.holds for verdict in judged] == holds


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
