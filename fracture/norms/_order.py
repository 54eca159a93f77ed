"""Orders of norms, and of their duals."""

from math import isinf
from numbers import Real

import numpy as np

from .._typing import Order


def dual_order(ord: Order) -> float:
    """Order q of the dual norm, 1/ord + 1/q = 1.

    Parameters
    ----------
    ord
        A number of at least 1, or inf.

    Returns
    -------
    float
        q, at least 1; inf for 1 and 1 for inf.

    Raises
    ------
    ValueError
        If `ord` is below 1 or not a number.
    """
    ord = as_number(ord)
    if not isinstance(ord, Real) or not ord >= 1:
        raise ValueError(f"ord must be a number of at least 1, or inf; got {ord!r}.")
    ord = float(ord)
    if ord == 1:
        return float("inf")
    return 1.0 if isinf(ord) else ord / (ord - 1)


def as_number(ord: Order) -> int | float:
    """The order as a Python number, whose dtype does not promote that of a vector."""
    if ord == "inf":
        return float(ord)
    return ord.item() if isinstance(ord, np.generic) else ord


def check_order(ord: Order) -> int | float:
    """1, 2 or inf as a Python number; a ValueError for any other order."""
    ord = as_number(ord)
    if isinstance(ord, bool) or not isinstance(ord, Real) or ord not in (1, 2, float("inf")):
        raise ValueError(f"ord must be 1, 2 or inf, got {ord!r}.")
    return float("inf") if isinf(ord) else int(ord)
