"""Checks of options that solvers share."""

from math import inf
from typing import Any

import numpy as np


def check_counts(**options: Any) -> None:
    """Raise a ValueError unless each option is an integer of at least 1.

    Parameters
    ----------
    **options
        By name, which errors repeat.
    """
    for name, value in options.items():
        integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not integer or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {value!r}.")


def check_finite(least: int, **options: Any) -> None:
    """Raise a ValueError unless each option is finite and at least `least`.

    Parameters
    ----------
    least
        The lowest value allowed.
    **options
        By name, which errors repeat.
    """
    for name, value in options.items():
        if not least <= value < inf:
            raise ValueError(f"{name} must be finite and at least {least}, got {value!r}.")
