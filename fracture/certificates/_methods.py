"""What a method of certification spends at an effort."""

from typing import NamedTuple

from .._checks import check_effort


class Budget(NamedTuple):
    """What a method spends."""

    substituted: bool  # bounds of hidden layers by substitution, or by intervals
    steps: int | None  # of the choices for the outputs; None for the closest lines
    hidden_steps: int | None  # of those for the hidden layers
    rounds: int  # radii tried
    quadratic_steps: int = 0  # of the multipliers of Shor's relaxation, where there is one
    branched: bool = False  # whether small networks are taken apart


METHODS: dict[str, dict[str, Budget]] = {
    "interval": {effort: Budget(False, None, None, 24) for effort in ("low", "medium", "high")},
    "crown": {effort: Budget(True, None, None, 24) for effort in ("low", "medium", "high")},
    "offset": {
        "low": Budget(True, 6, None, 6),
        "medium": Budget(True, 10, None, 8),
        "high": Budget(True, 20, None, 12),
    },
    "alpha": {
        "low": Budget(True, 10, 2, 8),
        "medium": Budget(True, 10, 5, 8),
        "high": Budget(True, 20, 10, 12),
    },
    "shor": {
        "low": Budget(True, 6, None, 6, 8),
        "medium": Budget(True, 6, None, 8, 12),
        "high": Budget(True, 10, None, 12, 16),
    },
    "branch": {effort: Budget(True, 6, None, 6, 0, True) for effort in ("low", "medium", "high")},
    "best": {
        "low": Budget(True, 6, None, 6),
        "medium": Budget(True, 10, None, 8),
        "high": Budget(True, 20, 5, 12, 16, True),
    },
}


def budget_of(method: str, effort: str) -> Budget:
    """What a method spends at an effort; `ValueError` for those that there are not."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {tuple(METHODS)}, got {method!r}.")
    check_effort(effort)
    return METHODS[method][effort]
