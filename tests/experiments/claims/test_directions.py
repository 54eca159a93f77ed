"""The claim on k directions, in small, and its verdicts on made-up measurements."""

import numpy as np
import pytest
import scipy.stats
from measured import measured

from fracture import experiments, theory
from fracture.experiments.claims import directions


@pytest.fixture(scope="module")
def found():
    return measured("directions")


def test_random_displacements_follow_the_null_model(found):
    """Whatever was learned: ρ² is Beta(k/2, (d − k)/2), k one less than the classes."""
    for classes in (2, 5):
        one = found.dataset.sel(classes=classes, data="clusters")
        assert (one["span_rank"] == classes - 1).all()
        law = scipy.stats.beta((classes - 1) / 2, (17 - classes) / 2)
        assert scipy.stats.kstest(np.ravel(one["rho_unrelated"]) ** 2, law.cdf).pvalue > 0.01
        np.testing.assert_allclose(one["null_ratio"], ((classes - 1) / 16) ** 0.5, rtol=1e-6)


def test_verdicts_follow_what_was_measured(found):
    """Chance is told apart from twice as much, and a ratio that is the span from half of it."""
    medians = [float(theory.compression(16, k - 1).quantile(0.5)) for k in (2, 5)]
    chance = 0 * found.dataset["null_ratio"] + found.dataset["classes"].copy(data=medians)
    known = {"correct": chance * 0 + 1, "found": chance * 0 + 1}
    judge = lambda span, ratio: {
        verdict.law: verdict.word
        for verdict in directions.judge(
            found.dataset.assign(known | {"rho_span": span, "ratio": ratio})
        ).verdicts
    }
    said = judge(chance, chance)
    assert said["Chance is all that is read, clusters"] == "holds"
    assert said["Ratio is ρ_span, clusters"] == "holds"
    said = judge(2 * chance, chance)
    assert said["Chance is all that is read, clusters"] == "does not hold"
    assert said["Ratio is ρ_span, clusters"] == "does not hold"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"classes": (2, 12)}, "classes must be from 2 to 10"),
        ({"data": ("moons",)}, "data must be of clusters, digits"),
        ({"dim": 8}, "more than 10 coordinates"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        experiments.reproduce("directions", settings=settings)


def test_a_slope_is_open_where_seeds_failed(found):
    """With five classes only one of the seeds has a result."""
    medians = [float(theory.compression(16, k - 1).quantile(0.5)) for k in (2, 5)]
    chance = 0 * found.dataset["null_ratio"] + found.dataset["classes"].copy(data=medians)
    ones = chance * 0 + 1
    whole = found.dataset.assign(ratio=chance, correct=ones, found=ones)
    with_result = (whole["classes"] < 5) | (whole["seed"] == whole["seed"][0])
    some = whole.assign(found=ones.where(with_result, 0))
    for dataset, word in ((whole, "holds"), (some, "undecided")):
        (verdict,) = [v for v in directions.judge(dataset).verdicts if "grows with K" in v.law]
        assert verdict.word == word
    assert verdict.finding.endswith("K = 5")
