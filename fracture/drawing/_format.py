"""Numbers as people read them: three significant digits, and `n/a` where there is none."""

import math
from collections.abc import Callable
from typing import SupportsFloat

MISSING = "n/a"


def number(value: SupportsFloat) -> str:
    """Three significant digits; `n/a` for NaN and `∞` for infinity."""
    value = float(value)
    if math.isnan(value):
        return MISSING
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size == 0:
        text = "0"
    elif size < 0.9995e-3 or size >= 999_500:
        mantissa, exponent = f"{value:.2e}".split("e")
        text = f"{mantissa}e{int(exponent)}"
    elif size >= 999.5:
        text = f"{value:.0f}"
    else:
        text = f"{value:#.3g}".rstrip(".")
    return text.replace("-", "−")


def count(value: SupportsFloat) -> str:
    """A whole number; `n/a` for what is not finite."""
    return f"{float(value):.0f}" if math.isfinite(float(value)) else MISSING


def share(value: SupportsFloat) -> str:
    """A fraction as a percentage."""
    return f"{100 * float(value):.1f} %" if math.isfinite(float(value)) else MISSING


def pvalue(value: SupportsFloat) -> str:
    """A p-value to three decimals."""
    value = float(value)
    if math.isnan(value):
        return MISSING
    return "<0.001" if value < 0.001 else f"{value:.3f}"


def interval(
    low: SupportsFloat, high: SupportsFloat, show: Callable[[SupportsFloat], str] = number
) -> str:
    """`[low, high]`; empty where both are missing."""
    if math.isnan(float(low)) and math.isnan(float(high)):
        return ""
    return f"[{show(low)}, {show(high)}]"
