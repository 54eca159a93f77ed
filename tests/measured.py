"""Claims measured in small, once a process: for the contract's tests and for each claim's own.

A claim's program takes longer to compile than to run, so who needs it at another size says why.
"""

import functools

from fracture import experiments
from fracture.experiments import Findings

LINE = 120  # characters that a law and its finding take at most
_SEEDS = 2
_SMALL = {
    "defences": {"dim": 49, "defence": ("Jacobian",), "hidden": 8, "steps": 20, "examples": 4},
    "digits": {"dim": (49,)},
    "directions": {
        **{"classes": (2, 5), "data": ("clusters",), "dim": 16, "steps": 20, "width": 64},
        "seeds": 6,
    },
    "hypercube_inputs": {"dim": (3, 5), "steps": 30, "examples": 4, "draws": 16, "seeds": 6},
    "information": {
        **{"dim": 49, "width": (8,), "hidden": 16, "examples": 16, "looked_at": 2, "steps": 60},
        "learning_rate": 1e-2,
    },
    "intrinsic_dimension": {"dim": (16,)},
    "law_e": {
        **{"dim": 25, "network": ("clusters",), "points": 64, "steps": 300, "examples": 12},
        "seeds": 4,
    },
    "layers_over_training": {"dim": 64, "model": ("mlp",), "steps": 100, "examples": 3},
    "linear_depth": {"dim": (5,), "depth": (2, 5), "seeds": 2048},
    "linear_hypercube": {"dim": (4, 16), "seeds": 1000},
    "linear_points": {"dim": (4, 16), "seeds": 1000},
    "mixing_layers": {"dim": (4, 8), "widening": (1, 3), "seeds": 1024},
    "norm_orders": {"dim": (4, 16), "draws": 128, "steps": 50, "examples": 2, "seeds": 8},
    "paper_setting": {"dim": 4, "width": 8, "steps": 1500, "examples": 8, "seeds": 8},
    "photographs": {"dim": (27648,)},
    "predictors": {
        **{"dim": 25, "data": ("clusters",), "points": 256, "tests": 32, "hidden": 8},
        **{"steps": 300, "examples": 8, "seeds": 4},
    },
    "regimes": {"dim": (6,), "network": ("clusters",), "steps": 100, "examples": 4},
    "robust_digits": {"dim": (49,), "steps": 20, "pgd_steps": 4, "examples": 4},
    "spheres": {
        **{"dim": (8, 16), "steps": 100, "width": 32, "points_per_dim": 8, "examples": 64},
        "seeds": 6,
    },
    "trained": {"dim": (4,)},
    "trained_linear": {"dim": (3,), "depth": 2, "steps": 2000, "seeds": 8},
    "untrained": {"dim": (8, 16), "network": ("linear", "shallow"), "seeds": 256},
}


def small(name: str) -> tuple[dict, int]:
    """The settings that a claim is measured at, all axes among them, and how many seeds."""
    axes = experiments.claim(name).sizes["quick"].axes
    settings = {axis: values[:2] for axis, values in axes.items()} | _SMALL.get(name, {})
    return settings, settings.pop("seeds", _SEEDS)


@functools.cache
def measured(name: str) -> Findings:
    """What `reproduce` finds there; it is shared, so whoever changes it makes a copy."""
    settings, seeds = small(name)
    return experiments.reproduce(name, settings=settings, seeds=seeds)
