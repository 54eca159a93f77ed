"""Verdicts: a sentence for everyone, with what it excludes, and the numbers that decided."""

import math
from collections.abc import Mapping, Sequence

import xarray as xr

from ._result import Fit, Verdict
from ._summary import Interval

_LEVEL = 0.01
# What a sample must exclude before a law is said to hold: other exponents, other distributions
# (one of twice the scale is 0.32 away where the law is half-normal), and other scales.
_WIDEST_EXPONENT = 0.2
_LARGEST_DISTANCE = 0.25
_LARGEST_SCALE = 1.25

_WHY = {
    "midpoint": "the boundary is not half-way to the other class",
    "secant": "the margin changes its slope along the displacement",
    "tangent": "the network bends on the way to its boundary",
}


def exact_law(
    law: str,
    fit: Fit | None,
    scale: Interval | None,
    tests: xr.Dataset,
    incomplete: Sequence[int],
) -> Verdict:
    """Does a sample follow a distribution, at every dimension?

    It does not where the smallest Kolmogorov–Smirnov p-value, times the number of tests (Holm), is
    below 1 %. It does where it is not, the law's own exponent lies in the interval of the fitted
    one, the law's medians are among those that `scale` allows, and the sample is large enough to
    exclude another law: the interval of the exponent is at most 0.2 wide, the distance from the
    law below 0.25 and its scale within a factor of 1.25 with 95 % confidence. Otherwise, or where
    seeds failed, the verdict is open.
    """
    pvalues = tests["ks_pvalue"].dropna("dim")
    if pvalues.size == 0 or scale is None:
        return Verdict(law, None, f"{law}: undecided, nothing to test was measured.")
    smallest = min(1.0, float(pvalues.min()) * pvalues.size)
    largest = float(tests["ks_largest"].max())
    parts = [
        f"median over the law's {scale}",
        f"smallest of {pvalues.size} Kolmogorov–Smirnov p-values {smallest:.2g} after Holm's "
        f"correction",
        f"distance from the law below {largest:.2g}",
    ]
    if fit is not None:
        parts.insert(0, f"exponent {_exponent(fit)}")
    evidence = "; ".join(parts)
    agrees = scale.low <= 1 <= scale.high
    if smallest < _LEVEL:
        how = "spread differently from" if agrees else f"{scale} times"
        said = f"does not hold here: the measured ratios are {how} what it says."
        return Verdict(law, False, f"{law}: {said}", evidence)
    near = fit is not None and fit.expected is not None and fit.low <= fit.expected <= fit.high
    sharp = fit is not None and fit.high - fit.low <= _WIDEST_EXPONENT
    sharp &= largest <= _LARGEST_DISTANCE
    sharp &= scale.low >= 1 / _LARGEST_SCALE and scale.high <= _LARGEST_SCALE
    if incomplete:
        said = f"undecided, {_failed(incomplete)}."
    elif not agrees:
        said = f"undecided: the medians are {scale} times the law's, the distributions still agree."
    elif not sharp:
        said = "undecided: too few seeds or dimensions to exclude other laws."
    elif not near:
        said = "undecided: the exponent is another one than the law's, the distributions agree."
    else:
        return Verdict(law, True, f"{law}: holds; {_excluded(scale)}.", evidence)
    return Verdict(law, None, f"{law}: {said}", evidence)


def agreement(
    law: str,
    factors: dict[int, Interval],
    incomplete: Sequence[int],
    *,
    within: float,
    what: str,
    parts: Mapping[str, Mapping[int, Interval]] | None = None,
) -> Verdict:
    """Is a measured factor equal to 1, up to a stated factor, at every dimension?

    At a dimension it is where the whole interval lies in [1 / within, within], and is not where
    the whole interval lies outside. Where seeds failed, it is not said to hold. `parts` are the
    factors that it is the product of: of those on its side of 1, the largest effect is the reason.
    """
    if not factors:
        return Verdict(law, None, f"{law}: undecided, nothing to compare was measured.")
    agree = [d for d, i in factors.items() if i.low >= 1 / within and i.high <= within]
    differ = [d for d, i in factors.items() if i.low > within or i.high < 1 / within]
    evidence = f"{what}: " + ", ".join(f"{i} at d = {d}" for d, i in factors.items())
    if differ:
        where = ", ".join(map(str, differ))
        values = ", ".join(f"{factors[d].value:.3g}" for d in differ)
        said = f"does not hold here at d = {where}: the {what} is {values}"
        said += _because(parts or {}, differ[-1], factors[differ[-1]].value)
        return Verdict(law, False, f"{law}: {said}.", evidence)
    if incomplete:
        return Verdict(law, None, f"{law}: undecided, {_failed(incomplete)}.", evidence)
    if len(agree) < len(factors):
        open_ = ", ".join(str(d) for d in factors if d not in agree)
        said = f"undecided: at d = {open_} the {what} may be within a factor of {within:g} or not."
        return Verdict(law, None, f"{law}: {said}", evidence)
    low, high = min(i.low for i in factors.values()), max(i.high for i in factors.values())
    said = f"holds within a factor of {within:g}: the {what} is {low:.3g} to {high:.3g}"
    return Verdict(law, True, f"{law}: {said} (95 % confidence).", evidence)


def scaling(law: str, fit: Fit | None, *, within: float = 0.1) -> Verdict:
    """Is a fitted exponent the expected one, up to `within`?

    It is where its whole interval lies that close, and is not where the whole interval is further
    away.
    """
    if fit is None or fit.expected is None:
        return Verdict(law, None, f"{law}: undecided, an exponent needs two dimensions.")
    low, high = fit.low - fit.expected, fit.high - fit.expected
    holds = None
    if -within <= low and high <= within:
        holds = True
    elif low > within or high < -within:
        holds = False
    said = {
        True: f"holds, the exponent is the expected one within {within:g}",
        False: f"does not hold here: the exponent is {fit.exponent:.2f}, not {fit.expected:.2f}",
        None: f"undecided: the exponent may be within {within:g} of {fit.expected:.2f} or not",
    }[holds].replace("-", "−")
    return Verdict(law, holds, f"{law}: {said}.", f"exponent {_exponent(fit)}")


def _excluded(scale: Interval) -> str:
    """What the interval of a scale leaves out, in words."""
    more, less = scale.high - 1, 1 - scale.low
    return (
        f"ratios more than {_percent(more)} above or {_percent(less)} below the law's are "
        "excluded (95 % confidence)"
    )


def _percent(share: float) -> str:
    return f"{math.ceil(100 * share)} %"


def _because(parts: Mapping[str, Mapping[int, Interval]], dim: int, value: float) -> str:
    """Of the parts of a product that move it from 1 to where it is, the largest, in words."""
    side = 1 if value > 1 else -1
    moved = {
        name: side * math.log(of_dim[dim].value)
        for name, of_dim in parts.items()
        if dim in of_dim and of_dim[dim].value > 0
    }
    name = max(moved, key=lambda name: moved[name], default=None)
    if name is None or moved[name] <= 0:
        return ""
    factor = parts[name][dim].value
    return f", mostly because {_WHY[name]} (a factor of {factor:.3g} at d = {dim})"


def _failed(incomplete: Sequence[int]) -> str:
    return f"too few seeds gave a result at d = {', '.join(map(str, incomplete))}"


def _exponent(fit: Fit) -> str:
    expected = "" if fit.expected is None else f", expected {fit.expected:.3f}"
    return f"{fit.exponent:.3f} [{fit.low:.3f}, {fit.high:.3f}]{expected}".replace("-", "−")
