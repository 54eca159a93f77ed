"""Claims of the paper and questions about it, each a file of `fracture.experiments.claims`.

`reproduce` measures one and draws the conclusions, all computed from the measurements; `save` and
`load` keep the measurements, from which the conclusions are drawn again. `of_sweep` gives a sweep
of one's own the same form, without verdicts.
"""

import contextlib
import warnings
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from .. import _registry
from .._concluding import concluding
from ..statistics import Fit
from ..sweeps import Executor, Progress, read_dataset, run_each, write_dataset
from ._claim import Claim, Size, claim, labelled, of_module, settle, sweep_of, traveling
from ._findings import Evidence, Findings, Verdict
from ._own_sweep import is_sweep, of_sweep

__all__ = [
    "Claim",
    "Evidence",
    "Findings",
    "Fit",
    "Size",
    "Verdict",
    "claim",
    "load",
    "names",
    "of_module",
    "of_sweep",
    "reproduce",
    "reproduce_each",
    "save",
    "settle",
]


def names() -> tuple[str, ...]:
    """Names of all claims, including those of other packages."""
    return tuple(_registry.entries())


def reproduce(
    name: str,
    *,
    size: str = "default",
    settings: Mapping[str, Any] | None = None,
    seeds: int | None = None,
    root: int = 0,
    out: Path | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Findings:
    """Measure a claim, or what is missing of it, and draw the conclusions.

    Parameters
    ----------
    name
        Name of the claim, one of `names()`.
    size
        `quick`, `default` or `full`.
    settings
        Values of its options and axes by name, such as `{"dim": (8, 16), "solver": "ddn"}`.
    seeds
        Independent draws at each point, instead of those of the size.
    root
        Integer from which all random keys are derived.
    out
        Folder in which finished chunks are kept; an interrupted run goes on from it. The result is
        left there, as of `save`.
    progress
        Called before and after every chunk, such as `sweeps.progress_bar` gives.
    executor
        What computes it, in other processes or on other machines, as of `sweeps.run`.

    Returns
    -------
    Findings
        What was measured, summarised and concluded.

    Raises
    ------
    ValueError
        For a name, size, option or axis that there is not, or a value that does not fit.
    StoreMismatchError
        Where `out` holds chunks of other options, or of other code.
    FailedChunksError
        Where chunks failed twice in an executor.
    """
    (found,) = reproduce_each(
        {name: settings or {}},
        size=size,
        seeds=seeds,
        root=root,
        out=out,
        progress=progress,
        executor=executor,
    )
    if out is not None:
        save(found, out)
    return found


def reproduce_each(
    plan: Mapping[str, Mapping[str, Any]],
    *,
    size: str = "default",
    seeds: int | None = None,
    root: int = 0,
    out: Path | None = None,
    progress: Progress | None = None,
    executor: Executor | None = None,
) -> Generator[Findings, None, None]:
    """`reproduce` several claims one after the other: while one computes, the next ones compile.

    Parameters
    ----------
    plan
        Settings of each claim by its name, such as `{"digits": {}, "trained": {"dim": (8, 16)}}`.
    size, seeds, root, progress, executor
        As of `reproduce`, for all of them.
    out
        Folder in which finished chunks are kept. Whole results are the caller's to `save`.

    Returns
    -------
    Generator[Findings]
        Those of each claim, as soon as it is measured.

    Raises
    ------
    ValueError, StoreMismatchError
        As `reproduce`; settings are checked for all claims before one is measured.
    FailedChunksError
        As `reproduce`, after all claims of which nothing failed.
    """
    sweeps, settled = [], {}
    for name, settings in plan.items():
        what = claim(name)
        options, chosen = settle(what, size=size, settings=settings, seeds=seeds)
        sweep = traveling(
            sweep_of(what, options, chosen, root=root),
            {"name": name, "size": size, "settings": settings, "seeds": seeds, "root": root},
        )
        sweeps.append(sweep)
        settled[sweep.name] = what, options

    def findings() -> Generator[Findings, None, None]:
        measured = run_each(sweeps, out=out, progress=progress, executor=executor)
        with contextlib.closing(measured):
            for dataset in measured:
                what, options = settled[dataset.attrs["experiment"]]
                yield what.judge(labelled(what, options, dataset))

    return findings()


def save(findings: Findings, out: Path) -> None:
    """Write the measurements as `out/NAME.nc`, atomically."""
    write_dataset(out / f"{findings.dataset.attrs['experiment']}.nc", findings.dataset)


def load(out: Path) -> dict[str, Findings]:
    """Read every stored result of a folder and draw its conclusions again.

    Those of claims are judged; sweeps of one's own are summarised, `of_sweep`.

    Raises
    ------
    ValueError
        Where the folder holds none, or one that is not what its claim stores. A file that no claim
        of this version made, and no sweep, is a warning where there are others.
    """
    found, unknown = {}, []
    known = _registry.entries()
    for path in sorted(out.glob("*.nc")):
        if path.name.startswith(".") or path.name == "analysis.nc":
            continue  # what others left there, and what `fracture analyze` did
        dataset = read_dataset(path)
        if is_sweep(dataset):
            with concluding(path):
                found[path.stem] = of_sweep(dataset)
            continue
        name = str(dataset.attrs.get("claim", ""))
        if name not in known:
            unknown.append(f"{path} holds no result of a claim that this version knows.")
            continue
        with concluding(path):
            found[path.stem] = claim(name).judge(dataset)
    if not found:
        none = (
            f"{out} holds no results (*.nc): run `fracture sweep --out {out}`, or finish a sweep "
            "of your own with sweeps.run(…, out=…)."
        )
        raise ValueError(unknown[0] if unknown else none)
    for message in unknown:
        warnings.warn(message, stacklevel=2)
    return found
