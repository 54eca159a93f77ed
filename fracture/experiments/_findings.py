"""What a claim hands to the page: measurements, summary, fits and verdicts."""

import math
from typing import NamedTuple

import xarray as xr

from ..statistics import Fit


class Evidence(NamedTuple):
    """A number that decided a verdict, with its 95 % interval where it has one.

    Attributes
    ----------
    what
        A phrase, such as `median over the law's`.
    value, low, high
        The number, and its interval; NaN for none.
    at
        Where along the axes, such as `d = 16`; empty for everywhere.
    claimed
        What the number is if the law holds, such as 1 for a factor; NaN where none is claimed.
    or_more
        Whether a larger number is as claimed, too.
    """

    what: str
    value: float
    low: float = math.nan
    high: float = math.nan
    at: str = ""
    claimed: float = math.nan
    or_more: bool = False

    @property
    def departure(self) -> float:
        """How far the number is from what is claimed: by factors where both are positive.

        Of what may be more, it is by how much the number is less, negative where it is more.
        """
        if math.isnan(self.claimed):
            return 0.0
        if self.or_more:
            return float(self.claimed - self.value)
        if min(self.value, self.claimed) > 0:
            return abs(math.log(self.value / self.claimed))
        return float(abs(self.value - self.claimed))


class Verdict(NamedTuple):
    """Whether one law holds in one experiment, computed from the measurements.

    Attributes
    ----------
    law
        A few words, such as `Law A, pairwise`.
    holds
        None where the measurements do not decide.
    finding
        A short phrase for everyone: what was found, what a deviation is excluded, or what is
        missing. One line together with the law and the word.
    evidence
        The numbers that decided, for those who check.
    trained
        Whether it is about trained networks; else about interpolators, random networks or data.
    """

    law: str
    holds: bool | None
    finding: str
    evidence: tuple[Evidence, ...] = ()
    trained: bool = False

    @property
    def word(self) -> str:
        """`holds`, `does not hold` or `undecided`."""
        return {True: "holds", False: "does not hold", None: "undecided"}[self.holds]

    @property
    def effect(self) -> Evidence | None:
        """The number to show where there is room for one, None where none has an interval.

        It is of the first kind that has intervals; of several places, the one that is furthest from
        what is claimed.
        """
        known = [one for one in self.evidence if math.isfinite(one.low) and math.isfinite(one.high)]
        alike = [one for one in known if one.what == known[0].what]
        return max(alike, key=lambda one: one.departure, default=None)


class Findings(NamedTuple):
    """One claim after its measurement, ready for the page.

    Attributes
    ----------
    dataset
        What was measured: dimensions are the axes of the sweep (attribute `axes`, the first of them
        is what is summarised along), `seed`, and those of the variables. Variables carry the
        attributes of `vocabulary.Quantity`; its own attributes are `title`, `description`, `claim`,
        and the provenance.
    summary
        Over the axes, without seeds: a median `v` has its 95 % interval in `v_lo` and `v_hi`, a law
        `predicted_v` its 90 % interval likewise. Variables carry the attributes of a quantity.
    fits, verdicts
        What was concluded.
    """

    dataset: xr.Dataset
    summary: xr.Dataset
    fits: tuple[Fit, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
