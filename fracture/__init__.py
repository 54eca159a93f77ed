"""fracture: measure and explain why neural networks are adversarially fragile.

Every part is a module of pure functions (`fracture.perturbation`, `fracture.compression`, …),
imported on first use, so that `import fracture` stays fast and the base install needs nothing
that a part of it does not use.
"""

import importlib
from types import ModuleType

__version__ = "0.1.0"

_PARTS = (
    "adapters",
    "analysis",
    "batching",
    "certificates",
    "compression",
    "data",
    "drawing",
    "experiments",
    "logits",
    "models",
    "norms",
    "optimal",
    "perturbation",
    "report",
    "statistics",
    "sweeps",
    "theory",
    "training",
    "vocabulary",
)

__all__ = ["__version__", *_PARTS]


def __getattr__(name: str) -> ModuleType:
    if name in _PARTS:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_PARTS])
