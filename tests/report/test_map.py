"""The map of many claims, on verdicts that were made up."""

import math

import numpy as np
import pytest
import xarray as xr

from fracture.drawing import Row, forest
from fracture.experiments import Evidence, Findings, Verdict, verdicts
from fracture.report import verdict_map, verdict_sentences

KS = Evidence("smallest of 3 Kolmogorov–Smirnov p-values, after Holm", 0.4)


def factor(value, low, high, at=""):
    return Evidence("median over the law's", value, low, high, at, claimed=1)


def findings(*judged, trained=False):
    """An accuracy says nothing: the interpolator has one, too."""
    dataset = xr.Dataset({"accuracy": 1.0})
    return Findings(dataset, xr.Dataset(), (), verdicts.of_trained(*judged) if trained else judged)


CLAIMS = {
    "linear": findings(
        Verdict("Law A", True, "holds well", (factor(1.01, 0.9, 1.12), KS)),
        Verdict("Law X", False, "is twice the law", (factor(2.0, 1.8, 2.2), KS)),
    ),
    "training": findings(
        Verdict("Law E", False, "is 3 at d = 8", (factor(3.0, 2.0, 4.0, "d = 8"),)),
        Verdict(
            "Slope",
            None,
            "may be −0.5 or not",
            (Evidence("exponent", -0.4, -0.6, -0.2, claimed=-0.5),),
        ),
        trained=True,
    ),
    "networks": findings(
        Verdict("Rank", True, "is large", (Evidence("correlation", 0.8, 0.7, 0.9),)),
        Verdict("Law A", None, "too few seeds", (Evidence("exponent", 1.0, -np.inf, np.inf),)),
    ),
}


def test_the_effect_of_a_verdict_is_the_furthest_of_its_first_kind():
    near, far = factor(1.5, 1.4, 1.6, "d = 8"), factor(0.2, 0.1, 0.3, "d = 16")
    other = Evidence("exponent", 9.0, 8.0, 10.0, claimed=1)
    assert Verdict("Law", None, "", (near, far, other)).effect == far
    assert Verdict("Law", None, "", (KS, other, far)).effect == other
    assert Verdict("Law", None, "", (KS, near._replace(high=np.inf))).effect is None
    slope = Evidence("exponent", -0.4, -0.5, -0.3, claimed=-0.5)
    assert Verdict("Law", None, "", (slope, slope._replace(value=0.2))).effect.value == 0.2


def test_every_verdict_is_on_the_map():
    made = verdict_map(CLAIMS)
    assert "Law A (linear): 1.01 [0.900, 1.12], holds" in made.alt
    assert "Slope: −0.400 [−0.600, −0.200], undecided" in made.alt
    assert "Without an interval: Law A (networks) (undecided)." in made.caption
    words = [part.rpartition(", ")[2] for part in made.alt.split("; ")]
    assert words == ["holds", "holds", "undecided", "does not hold", "does not hold"]
    factors, exponents, others = made.draw().axes
    labels = [text.get_text() for text in factors.get_yticklabels()]
    assert labels == ["Law A (linear)", "Law X", "Law E"]
    assert factors.get_xscale() == "log"
    points = [line for line in exponents.lines if line.get_marker() == "D"]
    np.testing.assert_allclose(points[0].get_xdata(), [0.1])  # beside what is claimed
    assert [text.get_text() for text in others.texts] == ["0.800 [0.700, 0.900]"]
    assert made.encode("png", "light") != made.encode("png", "dark")


def test_what_is_at_least_so_large_is_drawn_beside_the_least():
    share, gain = (
        Verdict(law, True, "", (Evidence("x", *ends, claimed=least, or_more=True),))
        for law, ends, least in (("Share", (0.7, 0.6, 0.8), 0.5), ("Gain", (3, 2, 4), 1))
    )
    made = verdict_map({"one": findings(share, gain)})
    factors, differences = made.draw().axes
    assert [text.get_text() for text in factors.get_yticklabels()] == ["Gain (≥ 1.00)"]
    assert [text.get_text() for text in differences.get_yticklabels()] == ["Share (≥ 0.500)"]
    points = [line for line in differences.lines if line.get_marker() == "o"]
    np.testing.assert_allclose(points[0].get_xdata(), [0.2])


def test_a_claim_with_many_laws_leaves_room_for_the_others():
    words = {True: "holds", False: "does not hold"}
    laws = [
        Verdict(f"Law {at} {words[holds]}", holds, "", (factor(1.0 + at, 0.5, 90.0),))
        for at in range(40)
        for holds in (True, False)
    ]
    made = verdict_map({"many": findings(*laws), "one": CLAIMS["networks"]})
    assert "Rank: 0.800" in made.alt
    assert "Not drawn: 46 further laws" in made.caption
    for word in words.values():  # the furthest of both words
        assert f"Law 39 {word}: 40.0" in made.alt
        assert f"Law 22 {word}: " not in made.alt


def test_sentences_name_every_law_and_where_it_stops():
    said = verdict_sentences(CLAIMS)
    assert said == [
        "Of 6 laws that 3 claims put to the test, 2 hold within what is stated of each, 2 do not, "
        "and 2 are undecided.",
        "As exact distributions, 1 of 2 laws hold, with medians less than 13 % off: "
        "some of linear (1 of 2).",
        "For trained networks, 0 of 2 laws hold, and 1 is undecided: none of training.",
        "Law E: is 3 at d = 8.",
        "Where nothing is trained, 1 of 2 laws hold, and 1 is undecided: "
        "some of networks (1 of 2).",
        "These are undecided: Slope; Law A (networks).",
    ]


def test_sentences_are_ten_at_most_whatever_there_is():
    many = {
        f"claim_{trained}_{kind}": findings(
            *(
                Verdict(f"Law {kind} {at}", holds, "finding", (factor(2.0, 1.0, 3.0), *tested))
                for at in range(12)
                for holds in (True, False, None)
            ),
            trained=trained,
        )
        for trained in (True, False)
        for kind, tested in {"tested": (KS,), "compared": ()}.items()
    }
    said = verdict_sentences(many | {"images": images()})
    assert len(said) == 10
    assert all(sentence.endswith(".") for sentence in said)


def images():
    """A ratio that doubles with every factor of 16 in the number of references."""
    counts, known = [100, 1600], {"axes": ["dim"]}
    coords = {"dim": [49, 784], "references": counts}
    ratios = xr.DataArray([[0.3, 0.3], [0.1, 0.2]], coords, ("dim", "references"))
    dataset = xr.Dataset(coords=coords, attrs=known)
    return Findings(dataset, xr.Dataset({"ratio_pair_by_references": ratios}))


def test_more_references_are_told_as_measured():
    _, where, rate = verdict_sentences({"images": images()})
    assert "from 100 to 1600 references the ratio at d = 784 goes from 0.100 to 0.200" in where
    assert f"multiplied by {2 ** math.log(1_281_167 / 20, 16):.1f}" in rate


@pytest.mark.fast
def test_a_forest_of_nothing_can_be_drawn():
    for rows in ([], [Row("a", math.nan, math.nan, math.nan, 1, "undecided")]):
        assert forest(rows, title="Nothing").encode("svg")
