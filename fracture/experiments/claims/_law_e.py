"""Law E, that the pairwise ratio is what the network reads: its verdict and its figures."""

from collections.abc import Sequence
from typing import Any

import xarray as xr

from ... import statistics
from ...drawing import Drawing, against_axis, scatter
from .. import verdicts
from .._findings import Verdict

WITHIN = 1.25  # two radii agree if their ratio is within this factor
FACTORS = ("law_e", "midpoint", "secant", "tangent")


def law_e_verdict(
    law: str,
    middle: xr.Dataset,
    incomplete: Sequence[Any],
    *,
    what: str = "ratio over ρ_net",
    axis: str = "dim",
) -> Verdict:
    """Is the ratio what is read, and which factor is the reason where it is not?

    Where there are certified radii, `law_e_certified`, between them and what was found.
    """
    factors = statistics.medians(middle["law_e"])
    if "law_e_certified" in middle:
        factors = verdicts.bracketed(statistics.medians(middle["law_e_certified"]), factors)
    return verdicts.agreement(
        law,
        factors,
        incomplete,
        axis=axis,
        within=WITHIN,
        what=what,
        parts={name: statistics.medians(middle[name]) for name in FACTORS[1:]},
    )


def law_e_cloud(summary: xr.Dataset, read: xr.DataArray, ratio: xr.DataArray) -> Drawing:
    """Every input's ratio against what is read there."""
    return scatter(
        read,
        ratio,
        title="Law E: ratio against the network's own compression",
        by="dim",
        within=summary,
        note="Each point is one input of one network; law E puts it on the dashed line.",
    )


def law_e_factors(summary: xr.Dataset, *, note: str) -> Drawing:
    """The factors between what is read and the ratio."""
    names = [name for name in (*FACTORS, "box") if name in summary]
    return against_axis(summary, names, title="Law E factor by factor", reference=1.0, note=note)
