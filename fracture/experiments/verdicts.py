"""Verdicts: whether a law holds, in a phrase, and the numbers that decided."""

import math
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import Any

import xarray as xr

from ..statistics import Fit, Interval
from ..vocabulary import axis_quantity
from ._findings import Evidence, Verdict

_LEVEL = 0.01
# What a sample must exclude before a law is said to hold: other exponents, other distributions
# (one of twice the scale is 0.32 away where the law is half-normal), and other scales.
_WIDEST_EXPONENT = 0.2
_LARGEST_DISTANCE = 0.25
_LARGEST_SCALE = 1.25
_LISTED = 3  # places that a finding names

_WHY = {
    "midpoint": "the boundary is not halfway",
    "secant": "the margin's slope changes",
    "tangent": "the network bends before its boundary",
}


def exact_law(
    law: str,
    fit: Fit | None,
    scale: Interval | None,
    tests: xr.Dataset,
    incomplete: Sequence[Any],
) -> Verdict:
    """Does a sample follow a distribution, everywhere along the axis?

    It does not where the smallest Kolmogorov–Smirnov p-value, times the number of tests (Holm), is
    below 1 %. It does where it is not, the law's own exponent lies in the interval of the fitted
    one, the law's medians are among those that `scale` allows, and the sample is large enough to
    exclude another law: the interval of the exponent is at most 0.2 wide, the distance from the
    law below 0.25 and its scale within a factor of 1.25 with 95 % confidence. Otherwise, or where
    seeds failed, the verdict is open.

    Parameters
    ----------
    law
        Its name.
    fit, scale, tests
        As `statistics.exponent`, `statistics.scale` and `statistics.kolmogorov_smirnov` give them.
    incomplete
        Places along the axis at which seeds failed, `statistics.incomplete`.
    """
    pvalues = tests["ks_pvalue"].dropna(*tests.dims)
    if pvalues.size == 0 or scale is None:
        return Verdict(law, None, "nothing to test was measured")
    smallest = min(1.0, float(pvalues.min()) * pvalues.size)
    largest = float(tests["ks_largest"].max())
    evidence = (
        Evidence("median over the law's", *scale, claimed=1),
        *_of_fit(fit),
        Evidence(f"smallest of {pvalues.size} Kolmogorov–Smirnov p-values, after Holm", smallest),
        Evidence("distance from the law, at most", largest),
    )
    agrees = scale.low <= 1 <= scale.high
    near = fit is not None and fit.expected is not None and fit.low <= fit.expected <= fit.high
    sharp = fit is not None and fit.high - fit.low <= _WIDEST_EXPONENT
    sharp &= largest <= _LARGEST_DISTANCE
    sharp &= scale.low >= 1 / _LARGEST_SCALE and scale.high <= _LARGEST_SCALE
    holds = None
    if smallest < _LEVEL:
        holds = False
        said = "spread differently from the law" if agrees else f"{scale} times the law"
    elif incomplete:
        (axis,) = tests.dims
        said = _too_few(_where(str(axis), incomplete))
    elif not agrees:
        said = f"medians are {scale} times the law's, the distributions still agree"
    elif not sharp:
        said = "too few measurements to exclude other laws"
    elif not near:
        said = "the exponent is another one, the distributions agree"
    else:
        holds = True
        more, less = math.ceil(100 * (scale.high - 1)), math.ceil(100 * (1 - scale.low))
        said = f"medians {more} % above or {less} % below are excluded"
    return Verdict(law, holds, said, evidence)


def agreement(
    law: str,
    factors: Mapping[Any, Interval],
    incomplete: Sequence[Any],
    *,
    axis: str,
    within: float,
    what: str,
    parts: Mapping[str, Mapping[Any, Interval]] | None = None,
) -> Verdict:
    """Is a measured factor equal to 1, up to a stated factor, everywhere along an axis?

    At a place it is where the whole interval lies in [1 / within, within], and is not where the
    whole interval lies outside. Where seeds failed, it is not said to hold.

    Parameters
    ----------
    law
        Its name.
    factors
        Intervals of the factor by place, `statistics.medians`.
    incomplete
        Places at which seeds failed.
    axis
        Name of the axis.
    within
        The largest factor that is agreement.
    what
        The factor in words.
    parts
        Factors that it is the product of, by name: of those on its side of 1, the one with the
        largest effect is given as the reason.
    """
    if not factors:
        return Verdict(law, None, "nothing to compare was measured")
    symbol = axis_quantity(axis).symbol
    agree = [at for at, i in factors.items() if i.low >= 1 / within and i.high <= within]
    differ = [at for at, i in factors.items() if i.low > within or i.high < 1 / within]
    evidence = tuple(Evidence(what, *i, f"{symbol} = {at}", 1) for at, i in factors.items())
    where = partial(_where, axis, of={*factors, *incomplete})
    if differ:
        last, values = differ[-1], [factors[at].value for at in differ]
        said = f"{min(values):.3g} to {max(values):.3g}"
        if len(values) <= _LISTED:
            said = ", ".join(f"{value:.3g}" for value in values)
        said = f"{what} is {said} at {where(differ)}"
        said += _because(parts or {}, last, factors[last].value)
        return Verdict(law, False, said, evidence)
    if incomplete:
        return Verdict(law, None, _too_few(where(incomplete)), evidence)
    if len(agree) < len(factors):
        open_ = where([at for at in factors if at not in agree])
        said = f"{what} may be within a factor of {within:g} or not at {open_}"
        return Verdict(law, None, said, evidence)
    low, high = min(i.low for i in factors.values()), max(i.high for i in factors.values())
    said = f"{what} is {low:.3g} to {high:.3g}, within a factor of {within:g}"
    return Verdict(law, True, said, evidence)


def bracketed(
    certified: Mapping[Any, Interval], found: Mapping[Any, Interval]
) -> dict[Any, Interval]:
    """What is known of a quantity of which one estimate is a lower bound, and one an upper bound.

    A law that is judged by these intervals holds only if it does at both ends, and does not hold
    only if no value in between agrees.
    """
    return {at: most._replace(low=certified[at].low) for at, most in found.items()}


def at_least(
    law: str,
    values: Mapping[Any, Interval],
    incomplete: Sequence[Any],
    *,
    axis: str,
    least: float,
    what: str,
) -> Verdict:
    """Is a measured quantity at least as large as stated, everywhere along an axis?

    It is at a place where the whole interval is, and is not where none of it is. Where seeds
    failed, it is not said to hold. Arguments as of `agreement`.
    """
    if not values:
        return Verdict(law, None, "nothing to compare was measured")
    symbol = axis_quantity(axis).symbol
    where = partial(_where, axis, of={*values, *incomplete})
    evidence = tuple(
        Evidence(what, *i, f"{symbol} = {at}", least, or_more=True) for at, i in values.items()
    )
    below = [at for at, i in values.items() if i.high < least]
    unsure = [at for at, i in values.items() if i.low < least <= i.high]
    if below:
        low, high = min(values[at].value for at in below), max(values[at].value for at in below)
        said = f"{low:.3g}" if len(below) == 1 else f"{low:.3g} to {high:.3g}"
        said = f"{what} is {said}, below {least:g}, at {where(below)}"
        return Verdict(law, False, said.replace("-", "−"), evidence)
    if incomplete:
        return Verdict(law, None, _too_few(where(incomplete)), evidence)
    if unsure:
        return Verdict(
            law, None, f"{what} may be at least {least:g} or not at {where(unsure)}", evidence
        )
    low = min(i.low for i in values.values())
    return Verdict(law, True, f"{what} is at least {low:.3g}".replace("-", "−"), evidence)


def scaling(
    law: str,
    fit: Fit | None,
    incomplete: Sequence[Any] = (),
    *,
    within: float = 0.1,
    axis: str = "dim",
) -> Verdict:
    """Is a fitted exponent the expected one, up to `within`?

    It is where its whole interval lies that close, and is not where the whole interval is further
    away. Where seeds failed, at the places `incomplete` along `axis`, the verdict is open.
    """
    if fit is None or fit.expected is None:
        return Verdict(law, None, "an exponent needs two places with a result")
    if incomplete:
        return Verdict(law, None, _too_few(_where(axis, incomplete)), _of_fit(fit))
    low, high = fit.low - fit.expected, fit.high - fit.expected
    holds = None
    said = f"the exponent may be within {within:g} of {fit.expected:.2f} or not"
    if -within <= low and high <= within:
        holds, said = True, f"the exponent is {fit.expected:.2f} within {within:g}"
    elif low > within or high < -within:
        holds, said = False, f"the exponent is {fit.exponent:.2f}, not {fit.expected:.2f}"
    return Verdict(law, holds, said.replace("-", "−"), _of_fit(fit))


def of_trained(*found: Verdict) -> tuple[Verdict, ...]:
    """The same verdicts, as those on trained networks."""
    return tuple(verdict._replace(trained=True) for verdict in found)


def _of_fit(fit: Fit | None) -> tuple[Evidence, ...]:
    if fit is None:
        return ()
    found = Evidence("exponent", fit.exponent, fit.low, fit.high)
    if fit.expected is None:
        return (found,)
    return found._replace(claimed=fit.expected), Evidence("expected", fit.expected)


def _because(parts: Mapping[str, Mapping[Any, Interval]], at: Any, value: float) -> str:
    """Of the parts of a product that move it from 1 to where it is, the largest, in words."""
    side = 1 if value > 1 else -1
    moved = {
        name: side * math.log(of_place[at].value)
        for name, of_place in parts.items()
        if at in of_place and of_place[at].value > 0
    }
    name = max(moved, key=lambda name: moved[name], default=None)
    if name is None or moved[name] <= 0:
        return ""
    return f", mostly as {_WHY[name]} (× {parts[name][at].value:.3g})"


def _too_few(places: str) -> str:
    return f"too few seeds gave a result at {places}"


def _where(axis: str, places: Sequence[Any], of: Collection[Any] = ()) -> str:
    """Some of the places of an axis in few words: a finding is one line, the evidence has them."""
    every = len(places) > 2 and set(places) == set(of)
    if every or len(places) > _LISTED:
        return f"all {len(places)} places" if every else f"{len(places)} places"
    return f"{axis_quantity(axis).symbol} = {', '.join(map(str, places))}"
