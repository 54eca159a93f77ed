"""One-line verdicts, computed from what was measured and its uncertainty."""

from collections.abc import Sequence

import xarray as xr

from ._result import Fit, Verdict
from ._summary import Interval

_LEVEL = 0.01
# What a sample must exclude before a law is said to hold: other exponents, and other distributions
# (one of twice the scale is 0.32 away where the law is half-normal).
_WIDEST_EXPONENT = 0.2
_LARGEST_DISTANCE = 0.25


def exact_law(law: str, fit: Fit | None, tests: xr.Dataset, incomplete: Sequence[int]) -> Verdict:
    """Does a sample follow a distribution, at every dimension?

    It does not where the smallest Kolmogorov–Smirnov p-value, times the number of tests (Holm), is
    below 1 %. It does where it is not, the law's own exponent lies in the interval of the fitted
    one, and the sample is large enough to exclude another law: the interval is at most 0.2 wide,
    and the distance from the law is below 0.25 with 95 % confidence. Otherwise, or where seeds
    failed, the verdict is open.
    """
    pvalues = tests["ks_pvalue"].dropna("dim")
    if pvalues.size == 0:
        return Verdict(law, None, f"{law}: undecided, nothing to test was measured.")
    smallest = min(1.0, float(pvalues.min()) * pvalues.size)
    largest = float(tests["ks_largest"].max())
    evidence = (
        f"smallest of {pvalues.size} Kolmogorov–Smirnov p-values {smallest:.2g} after Holm's "
        f"correction; distance from the law below {largest:.2g}{_failed(incomplete)}"
    )
    if fit is not None:
        evidence = f"exponent {_exponent(fit)}; {evidence}"
    if smallest < _LEVEL:
        return Verdict(law, False, f"{law}: does not hold here ({evidence}).")
    sharp = fit is not None and fit.high - fit.low <= _WIDEST_EXPONENT
    sharp = sharp and largest <= _LARGEST_DISTANCE
    near = fit is not None and fit.expected is not None and fit.low <= fit.expected <= fit.high
    if incomplete or not sharp or not near:
        return Verdict(law, None, f"{law}: undecided ({evidence}).")
    return Verdict(law, True, f"{law}: holds ({evidence}).")


def agreement(
    law: str,
    factors: dict[int, Interval],
    incomplete: Sequence[int],
    *,
    within: float,
    what: str,
) -> Verdict:
    """Is a measured factor equal to 1, up to a stated factor, at every dimension?

    At a dimension it is where the whole interval lies in [1 / within, within], and is not where
    the whole interval lies outside. Where seeds failed, it is not said to hold.
    """
    if not factors:
        return Verdict(law, None, f"{law}: undecided, nothing to compare was measured.")
    agree = [d for d, i in factors.items() if i.low >= 1 / within and i.high <= within]
    differ = [d for d, i in factors.items() if i.low > within or i.high < 1 / within]
    evidence = f"{what}: " + ", ".join(f"{i} at d = {d}" for d, i in factors.items())
    evidence += _failed(incomplete)
    if differ:
        where = ", ".join(map(str, differ))
        return Verdict(law, False, f"{law}: does not hold here at d = {where} ({evidence}).")
    if incomplete or len(agree) < len(factors):
        return Verdict(law, None, f"{law}: undecided ({evidence}).")
    return Verdict(law, True, f"{law}: holds within a factor of {within:g} ({evidence}).")


def _failed(incomplete: Sequence[int]) -> str:
    if not incomplete:
        return ""
    return f"; too few seeds gave a result at d = {', '.join(map(str, incomplete))}"


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
    said = {True: "holds", False: "does not hold here", None: "undecided"}[holds]
    return Verdict(law, holds, f"{law}: {said} (exponent {_exponent(fit)}).")


def _exponent(fit: Fit) -> str:
    expected = "" if fit.expected is None else f", expected {fit.expected:.3f}"
    return f"{fit.exponent:.3f} [{fit.low:.3f}, {fit.high:.3f}]{expected}".replace("-", "−")
