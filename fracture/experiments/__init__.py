"""One file per claim of the paper or question about it; each `run(...)` gives a `Result`.

A `Result` holds the measurements, their summary, fitted exponents and verdicts, all computed from
the measurements; `judge(dataset)` of the same file draws the conclusions again from stored ones.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from .._concluding import concluding
from ..sweeps import read_dataset, write_dataset
from ..sweeps._spec import checked_name
from . import digits, linear_hypercube, linear_points, trained
from ._result import Fit, Result, Verdict

__all__ = [
    "Fit",
    "Result",
    "Verdict",
    "concluding",
    "digits",
    "linear_hypercube",
    "linear_points",
    "load",
    "plan",
    "save",
    "trained",
]

_JUDGES = {part.NAME: part.judge for part in (linear_points, linear_hypercube, trained, digits)}


def plan(
    data: str | None = None, *, quick: bool = False, root: int = 0, **options: Any
) -> dict[str, Callable[..., Result]]:
    """The experiments to run, by name: `run(out=..., progress=...)` each.

    Parameters
    ----------
    data
        One family, with `options` (`model`, `dims`, `seeds`, `solver`, `layers`); the default
        content where it is None.
    quick
        Fewer dimensions and seeds of the default content.
    root
        Integer from which all random keys are derived.

    Raises
    ------
    ValueError
        Where the options do not fit the family.
    """
    if data is None:
        linear: dict[str, Any] = {"dims": (8, 16, 32, 64), "seeds": 256} if quick else {}
        few: dict[str, Any] = {"dims": (8, 16), "seeds": 8} if quick else {}
        small: dict[str, Any] = {"dims": (49, 196), "seeds": 6} if quick else {}
        return {
            linear_points.NAME: partial(linear_points.run, root=root, **linear),
            linear_hypercube.NAME: partial(linear_hypercube.run, root=root, **linear),
            "trained_hypercube": partial(trained.run, root=root, **few),
            digits.NAME: partial(digits.run, root=root, **small),
        }
    if options.get("layers") and data != "hypercube":
        raise ValueError(f"layers belong to the hypercube, got {data!r}.")
    model = options.pop("model", None)
    if data == "digits":
        return {digits.NAME: partial(digits.run, root=root, model=model or "mlp", **options)}
    closed = {"points": linear_points, "hypercube": linear_hypercube}.get(data)
    if closed is not None and model in (None, "interpolator"):
        return {closed.NAME: partial(closed.run, root=root, **options)}
    if model == "interpolator":
        raise ValueError(f"the interpolator exists for points and the hypercube, got {data!r}.")
    run = partial(trained.run, data=data, root=root, model=model or "mlp", **options)
    return {f"{trained.NAME}_{data}": run}


def save(result: Result, out: Path) -> None:
    """Write the measurements as `out/NAME.nc`, atomically."""
    name = checked_name(str(result.dataset.attrs["experiment"]))
    write_dataset(out / f"{name}.nc", result.dataset)


def load(out: Path) -> dict[str, Result]:
    """Read every stored experiment of a folder and draw its conclusions again.

    Raises
    ------
    ValueError
        Where the folder holds none, or a file that this version does not know.
    """
    results = {}
    for path in sorted(out.glob("*.nc")):
        if path.name.startswith("."):
            continue  # what others left there
        dataset = read_dataset(path)
        judge = _JUDGES.get(str(dataset.attrs.get("judge", "")))
        if judge is None:
            raise ValueError(f"{path} holds no experiment of fracture.")
        with concluding(path):
            results[path.stem] = judge(dataset)
    if not results:
        raise ValueError(f"{out} holds no results (*.nc); run `fracture sweep --out {out}` first.")
    return results
