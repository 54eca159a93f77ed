"""What a method of certification spends at an effort."""

from typing import NamedTuple


class Budget(NamedTuple):
    """What a method spends."""

    substituted: bool  # bounds of hidden layers by substitution, or by intervals
    steps: int  # of the choices for the outputs
    hidden_steps: int  # of those for the hidden layers
    rounds: int  # radii tried
    quadratic_rounds: int = 0  # radii tried with Shor's relaxation
    quadratic_steps: int = 0  # of its multipliers
    branched: bool = False  # whether small networks are taken apart


METHODS: dict[str, dict[str, Budget]] = {
    "interval": {effort: Budget(False, 0, 0, 24) for effort in ("low", "medium", "high")},
    "crown": {effort: Budget(True, 0, 0, 24) for effort in ("low", "medium", "high")},
    "offset": {
        "low": Budget(True, 6, 0, 6),
        "medium": Budget(True, 10, 0, 8),
        "high": Budget(True, 20, 0, 12),
    },
    "alpha": {
        "low": Budget(True, 10, 2, 8),
        "medium": Budget(True, 10, 5, 8),
        "high": Budget(True, 20, 10, 12),
    },
    "shor": {
        "low": Budget(True, 6, 0, 6, 3, 10),
        "medium": Budget(True, 10, 0, 6, 5, 15),
        "high": Budget(True, 20, 5, 6, 8, 20),
    },
    "branch": {effort: Budget(True, 6, 0, 6, 0, 0, True) for effort in ("low", "medium", "high")},
    "best": {
        "low": Budget(True, 6, 0, 6),
        "medium": Budget(True, 10, 0, 8),
        "high": Budget(True, 20, 5, 6, 8, 20, True),
    },
}
EFFORTS = ("low", "medium", "high")


def budget_of(method: str, effort: str) -> Budget:
    """What a method spends at an effort; `ValueError` for those that there are not."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {tuple(METHODS)}, got {method!r}.")
    if effort not in EFFORTS:
        raise ValueError(f"effort must be one of {EFFORTS}, got {effort!r}.")
    return METHODS[method][effort]
