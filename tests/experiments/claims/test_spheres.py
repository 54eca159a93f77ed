"""The claim on concentric spheres: verdicts on made-up measurements, and what must hold."""

import jax
import numpy as np
import pytest
from measured import measured

from fracture import data
from fracture.experiments.claims import spheres


@pytest.fixture(scope="module")
def found():
    return measured("spheres")


def test_distances_obey_isoperimetry(found):
    """Errors are no farther than a cap of them on average over points, which are a sample here.

    So the mean over networks exceeds the bound by no more than two of its standard errors; were
    distances half as far again, it would.
    """
    dataset = found.dataset
    assert (dataset["error"] > 0).all()
    assert (dataset["on_sphere"] == 1).all()
    for factor, obeys in {1.0: True, 1.5: False}.items():
        excess = factor * dataset["distance"] - dataset["cap"]
        error = excess.std("seed", ddof=1) / excess.sizes["seed"] ** 0.5
        assert ((excess.mean("seed") <= 2 * error) == obeys).all()
    np.testing.assert_allclose(dataset["r_opt"], 0.15, rtol=1e-6)


def test_verdicts_follow_what_was_measured(found):
    known = found.dataset.copy()
    known["cap"] = 0.3 + 0 * known["cap"]
    known["on_sphere"] = 1 + 0 * known["on_sphere"]
    for factor, word in {1.0: "holds", 2.0: "does not hold"}.items():
        known["distance"] = factor * known["cap"]
        verdict = spheres.judge(known).verdicts[0]
        assert (verdict.law, verdict.word) == ("Errors are as far as those of a cap", word)


def test_half_distances_are_those_of_samples():
    keys = jax.random.split(jax.random.key(0), 400)
    points = jax.jit(jax.vmap(lambda key: data.concentric_spheres(key, 6, 41).inputs))(keys)
    outer, inner = np.asarray(points[:, 1::2]), np.asarray(points[:, :1])
    nearest = np.linalg.norm(outer - inner, axis=-1).min(1) / 2
    assert np.median(nearest) == pytest.approx(float(spheres._half_distance(6, 20)), rel=0.03)


def test_a_slope_is_open_where_seeds_failed(found):
    """At the second dimension only one of the seeds has a result."""
    known = found.dataset
    ratio = known["r_opt"] * known["dim"] ** -0.5 + 0 * known["radius"]
    whole = known.assign(radius=ratio, correct=ratio * 0 + 1, found=ratio * 0 + 1)
    some = whole.assign(found=whole["found"].where((known["dim"] < 16) | (known["seed"] == 0), 0))
    for dataset, word in ((whole, "holds"), (some, "undecided")):
        verdict = spheres.judge(dataset).verdicts[1]
        assert (verdict.law, verdict.word) == ("Ratio falls like 1/√d", word)
    assert verdict.finding.endswith("d = 16")
