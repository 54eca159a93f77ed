"""Verdicts on samples with known laws."""

import math

import numpy as np
import pytest
from sampled import DIMS, LAWS, beta, sample

from fracture import statistics
from fracture.experiments import verdicts
from fracture.statistics import Fit, Interval


def verdict_of(values, incomplete=()):
    fit = statistics.exponent(values, statistics.law_exponent(LAWS))
    tests = statistics.kolmogorov_smirnov(values, LAWS)
    scale = statistics.scale(values, LAWS)
    return verdicts.exact_law("Law", fit, scale, tests, incomplete)


def test_verdict_on_an_exact_law_depends_on_the_sample():
    assert verdict_of(sample(beta)).holds is True
    assert verdict_of(1.3 * sample(beta)).holds is False
    assert verdict_of(sample(beta)[:1]).holds is None
    assert verdict_of(sample(beta) * np.nan).holds is None
    assert verdict_of(sample(beta), [32]).holds is None
    assert "d = 32" in verdict_of(sample(beta), [32]).finding


def test_a_verdict_says_which_laws_it_excludes():
    """Ratios 10 % above the law, in the size of a quick sweep: never plainly "holds"."""
    intervals, verdicts = [], []
    for trial in range(12):
        rng = np.random.default_rng(trial)
        values = sample(lambda _, dim, seeds, rng=rng: beta(rng, dim, seeds), seeds=256)
        intervals.append(statistics.scale(1.1 * values, LAWS))
        verdicts.append(verdict_of(1.1 * values))
    assert sum(i.low <= 1.1 <= i.high for i in intervals) >= 11
    for interval, verdict in zip(intervals, verdicts, strict=True):
        if verdict.holds:
            assert f"medians {np.ceil(100 * interval.high - 100):.0f} % above" in verdict.finding
            assert interval.high > 1.05
    assert sum(verdict.holds is True for verdict in verdicts) <= 6


@pytest.mark.parametrize("seeds", [2, 4, 8, 16, 64])
def test_a_sample_too_small_to_exclude_another_law_decides_nothing(seeds):
    assert verdict_of(sample(beta, seeds=seeds)).holds is None
    assert verdict_of(2 * sample(beta, seeds=seeds)).holds is not True


def test_verdict_on_agreement_has_three_outcomes():
    judge = lambda *intervals, incomplete=(): verdicts.agreement(
        "Law",
        dict(zip(DIMS, intervals, strict=False)),
        incomplete,
        axis="dim",
        within=1.25,
        what="ratio",
    )
    close, wide, far = Interval(1, 0.9, 1.1), Interval(1, 0.5, 2), Interval(3.0, 2, 4)
    assert judge(close, close).holds is True
    assert judge(close, close, incomplete=[128]).holds is None
    assert judge(close, wide).holds is None
    assert judge(close, wide, far).holds is False
    assert "d = 128" in judge(close, wide, far).finding
    assert judge().holds is None
    blame = lambda **parts: (
        verdicts.agreement(
            *("Law", {8: far}, []),
            axis="dim",
            within=1.25,
            what="ratio",
            parts={name: {8: Interval(value, 0, 9)} for name, value in parts.items()},
        ).finding
    )
    # The ratio is 3: what lowers it is no reason, nor is what has no logarithm.
    said = blame(midpoint=1.1, secant=0.2, tangent=2.5)
    assert "the network bends before its boundary (× 2.5)" in said
    for value in (0.3, 0.0, -2.0, math.nan):
        assert "mostly" not in blame(tangent=value)
    assert "boundary" not in judge(far).finding


def test_findings_name_few_places_and_the_evidence_all():
    far, close = Interval(3.0, 2, 4), Interval(1, 0.9, 1.1)
    judge = lambda *factors: verdicts.agreement(
        "Law", dict(enumerate(factors, 1)), missing, axis="dim", within=1.25, what="ratio"
    )
    missing = []
    farther = far._replace(value=5.0)
    assert judge(farther, far, close).finding == "ratio is 5, 3 at d = 1, 2"
    assert judge(farther, far, far).finding == "ratio is 5, 3, 3 at all 3 places"
    some = judge(close, far, far, farther, far)
    assert some.finding == "ratio is 3 to 5 at 4 places"
    assert [one.at for one in some.evidence] == [f"d = {at}" for at in range(1, 6)]
    missing = [4]  # a place without any result is one of the axis, too
    assert judge(farther, far, far).finding == "ratio is 5, 3, 3 at d = 1, 2, 3"
    assert judge(close, close, close).finding == "too few seeds gave a result at d = 4"
    missing = [1, 2, 4]
    said = "too few seeds gave a result at d = 1, 2, 4"
    assert judge(close, close, close).finding == said
    missing = [1, 2, 3, 4]
    assert judge(close, close, close).finding == "too few seeds gave a result at all 4 places"


def test_verdict_on_scaling_has_three_outcomes():
    judge = lambda low, high: verdicts.scaling("Law", Fit("r", -0.5, low, high, -0.5)).holds
    assert judge(-0.55, -0.45) is True
    assert judge(-0.3, -0.2) is False
    assert judge(-0.9, -0.3) is None
    assert verdicts.scaling("Law", None).holds is None
    failed = verdicts.scaling("Law", Fit("r", -0.5, -0.51, -0.49, -0.5), [16])
    assert failed.holds is None
    assert failed.finding == "too few seeds gave a result at d = 16"


def test_verdict_on_what_is_at_least_so_large_has_three_outcomes():
    judge = lambda *intervals, incomplete=(): verdicts.at_least(
        "Law",
        dict(zip(DIMS, intervals, strict=False)),
        incomplete,
        axis="dim",
        least=0.5,
        what="share",
    )
    above, across, below = Interval(0.8, 0.5, 1), Interval(0.5, 0.4, 0.6), Interval(0.3, 0.2, 0.4)
    assert judge(above, above).holds is True
    assert "at least 0.5" in judge(above, above).finding
    assert judge(above, above, incomplete=[DIMS[0]]).holds is None
    assert judge(above, across).holds is None
    assert judge(above, across, below).holds is False
    assert "0.3, below 0.5" in judge(above, across, below).finding
    assert judge().holds is None


def test_the_effect_on_what_is_at_least_so_large_is_the_lowest_place():
    values = {4: Interval(0.6, 0.55, 0.7), 8: Interval(-3, -4, -2), 16: Interval(90, 80, 100)}
    lowest = {(4, 16): 0.6, (16, 4): 0.6, (4, 8, 16): -3, (8, 4): -3, (16,): 90}
    for places, value in lowest.items():
        of_places = {at: values[at] for at in places}
        effect = verdicts.at_least("Law", of_places, [], axis="dim", least=0.5, what="x").effect
        assert (effect.value, effect.claimed) == (value, 0.5)
        assert effect.departure == 0.5 - value
