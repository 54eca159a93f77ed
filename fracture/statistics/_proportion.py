"""Shares of independent trials, with their uncertainty."""

import math

import scipy.stats

from ._medians import Interval


def proportion(successes: int, trials: int) -> Interval:
    """Share of successes among independent trials, with its exact 95 % interval.

    The ends are those probabilities at which so many, or so few, successes have the chance 2.5 %;
    the interval is never shorter than it claims, and infinite where nothing was tried.

    References
    ----------
    Clopper and Pearson (1934), "The use of confidence or fiducial limits illustrated in the case of
    the binomial", Biometrika 26.
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"successes must be 0 to {trials}, the trials; got {successes}.")
    if trials == 0:
        return Interval(math.nan, -math.inf, math.inf)
    found = scipy.stats.binomtest(successes, trials).proportion_ci(0.95, "exact")
    return Interval(successes / trials, float(found.low), float(found.high))
