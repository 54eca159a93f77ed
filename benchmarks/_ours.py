"""The solvers of fracture, as a user calls them: `fracture.perturbation.solve` on the batch."""

import math
import time
from typing import Any, NamedTuple

import jax
import numpy as np
from _networks import Victim

from fracture.perturbation import SOLVERS, solve

# Sets of options to run besides the defaults, for solvers that exist.
VARIANTS: dict[str, dict[str, dict[str, Any]]] = {
    "minimal": {f"minimal, {effort}": {"effort": effort} for effort in ("low", "medium", "high")},
    "ddn": {
        "ddn": {},
        "ddn, 1000 steps": {"steps": 1000},
        "ddn, margin": {"loss": "margin"},
        "ddn, cross-entropy": {"loss": "cross_entropy"},
    },
    "fmn": {"fmn": {}, "fmn, margin": {"loss": "margin"}, "fmn, 1000 steps": {"steps": 1000}},
    "alma": {"alma": {}, "alma, 1000 steps": {"steps": 1000}},
}


class Ours(NamedTuple):
    """One solver with its options."""

    name: str
    solver: str
    options: dict[str, Any]


class Answer(NamedTuple):
    """What a solver returned for the batch, and what it cost."""

    images: np.ndarray  # x + delta, as stored
    gradients: float  # a image, mean
    seconds: float
    compile_seconds: float
    claimed: float  # share with the flag `found`


def ours() -> list[Ours]:
    """Every solver of the package, whether or not it supports a norm."""
    return [
        Ours(name, solver, options)
        for solver in SOLVERS
        for name, options in VARIANTS.get(solver, {solver: {}}).items()
    ]


def run(entry: Ours, victim: Victim, ord: float) -> Answer | None:
    """Run it on every image; None where the solver does not minimise this norm."""

    def call():
        began = time.perf_counter()
        found = solve(
            victim.apply,
            victim.params,
            victim.inputs,
            victim.labels,
            solver=SOLVERS[entry.solver],
            bounds=(0.0, 1.0),
            ord=ord if math.isinf(ord) else int(ord),
            **entry.options,
        )
        return jax.block_until_ready(found), time.perf_counter() - began

    try:
        _, first = call()
    except ValueError as error:
        if "ord must be" in str(error):
            return None
        raise
    found, seconds = call()
    images = victim.inputs + np.asarray(found.delta)
    gradients = float(np.mean(found.num_grads))
    claimed = float(np.mean(found.found))
    return Answer(images, gradients, seconds, max(first - seconds, 0.0), claimed)
