"""Trained linear networks against the inverse of their points."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from measured import measured

from fracture import experiments
from fracture.experiments.claims import trained_linear


@pytest.fixture(scope="module")
def found():
    return measured("trained_linear")


def test_without_error_the_inverse_is_found_and_law_a_with_it(found):
    dataset = found.dataset
    fits = dataset["loss"] < 1e-9
    assert (fits.mean("seed") > 0.5).all()  # of each optimiser, from each scale
    for name, value in {"share": 1, "error": 0, "over_theory": 1}.items():
        reached = dataset[name].transpose(*fits.dims).values[fits.values]
        np.testing.assert_allclose(reached, value, atol=0.02)
    # By Cauchy and Schwarz, up to the rounding of float32.
    assert (dataset["error"] >= abs(1 - dataset["share"]) - 1e-6).all()


def test_pairwise_radii_are_those_of_the_rows():
    rng = np.random.default_rng(0)
    points, weight = rng.normal(size=(2, 4, 4))
    got = trained_linear._pairwise(jnp.asarray(weight), jnp.asarray(points))
    for at, x in enumerate(points):
        slope = weight[at] - weight[(at + 1) % 4]
        radius = slope @ x / np.linalg.norm(slope)
        np.testing.assert_allclose(got[at], radius if radius > 0 else np.nan, rtol=1e-9)
    inverse = np.linalg.inv(points.T)
    assert np.isfinite(jax.jit(trained_linear._pairwise)(inverse, points)).all()


def test_verdicts_of_what_is_known(found):
    dataset = found.dataset
    known = dataset.assign(share=0 * dataset["share"] + 1, over_theory=0 * dataset["share"] + 2)
    for name in known.data_vars:
        known[name].attrs = dataset[name].attrs
    assert [verdict.holds for verdict in trained_linear.judge(known).verdicts] == [
        *(True, False),
        *(True, False),
    ]
    known["over_theory"] = known["share"].where(known["seed"] > 3)  # half of them misclassify
    law_a = trained_linear.judge(known).verdicts[1]
    assert law_a.holds is None
    assert "too few seeds gave a result at all 3 places" in law_a.finding


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"optimizer": ("lion",)}, "must be adam or descent, got lion"),
        ({"dim": (1, 2)}, "dim must be at least 2"),
        ({"depth": 0}, "depth must be"),
        ({"descent_rate": "nan"}, "descent_rate must be finite"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        experiments.reproduce("trained_linear", settings=settings)
