"""What an experiment hands to the report: measurements, summary, fits and verdicts."""

from typing import NamedTuple

import xarray as xr


class Fit(NamedTuple):
    """Exponent of one quantity as a power of the dimension, quantity ~ d^exponent."""

    quantity: str  # name of the summary variable that was fitted, such as "ratio"
    label: str  # for people, such as "fragility ratio, pairwise"
    exponent: float
    low: float  # bounds of the 95 % bootstrap confidence interval (seeds are resampled)
    high: float
    expected: float | None  # what theory says; None where it says nothing


class Verdict(NamedTuple):
    """Whether one law holds in one experiment, computed from the measurements."""

    law: str  # such as "Law A (pairwise)"
    holds: bool | None  # None: the measurements do not decide
    sentence: str  # for everyone: what was found, and how large a deviation is excluded
    evidence: str = ""  # for those who check: the numbers that decided


class Result(NamedTuple):
    """One experiment, ready to be reported.

    `dataset` holds what was measured, with dimensions `dim`, `seed` and possibly `example` and
    `references`; its variables carry `long_name` and `units`, and its attributes `title`,
    `description`, `experiment` and the provenance. `summary` holds medians over seeds along `dim`;
    a variable `v` has its interval in `v_lo` and `v_hi`.
    """

    dataset: xr.Dataset
    summary: xr.Dataset
    fits: tuple[Fit, ...]
    verdicts: tuple[Verdict, ...]
