"""What solvers are called: after their parts, so that different ones have different names."""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import numpy as np

from ._result import Solver


def solver_name(solver: Solver) -> str:
    """Name of a solver, after its parts: `fmn`, `fmn(steps=7)`, `over_radii(pgd, 8)`.

    Parameters
    ----------
    solver
        A function of this library or another, which is called with its module; or a
        `functools.partial`, which is called with what it binds.

    Returns
    -------
    str
        The same in another process, unless it binds objects that Python tells apart by their
        addresses alone. Of arrays it has shape, dtype and a digest.
    """
    if isinstance(solver, partial):
        return named_after(solver_name(solver.func), *solver.args, **solver.keywords)
    text = getattr(solver, "__qualname__", None)
    captures = getattr(solver, "__closure__", None)
    if text is None or (captures and "<locals>" in text):  # its name does not tell its parts
        return repr(solver)
    own = solver.__module__.startswith(f"{__name__.partition('.')[0]}.")
    return text if own else f"{solver.__module__}.{text}"


def named_after(maker: str, *parts: Any, **options: Any) -> str:
    """Name of what `maker` makes of some parts, as its call is written."""
    given = [_shown(part) for part in parts]
    given.extend(f"{name}={_shown(options[name])}" for name in sorted(options))
    return f"{maker}({', '.join(given)})"


def name(made: Callable[..., Any], text: str) -> None:
    """Call a function by another name than its definition."""
    made.__name__ = made.__qualname__ = text


def _shown(value: Any) -> str:
    if isinstance(value, jax.Array | np.ndarray):
        array = np.asarray(value)
        digest = hashlib.blake2b(array.tobytes(), digest_size=8).hexdigest()
        return f"{array.dtype}{array.shape} {digest}"
    if isinstance(value, tuple):
        return named_after("", *value)
    return solver_name(value) if callable(value) else repr(value)
