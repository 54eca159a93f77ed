"""Figures of a sweep without a claim: everything that it measured against its first axis."""

from collections.abc import Sequence

import xarray as xr

from ..statistics import exponents, summarise
from ._against import against_axis
from ._drawing import Drawing
from ._words import quantity_of, without_ends


def plot(
    dataset: xr.Dataset, names: Sequence[str] | None = None, *, title: str = "", guide: bool = False
) -> Drawing:
    """What a sweep measured against its first axis: medians with intervals, and exponents.

    Parameters
    ----------
    dataset
        As `sweeps.run` returns it, or `sweeps.read_dataset` reads it; `statistics.summarise` says
        what becomes of several inputs of a seed.
    names
        Variables; None for the first one and all others of its unit and form.
    title
        Of the figure; empty for the symbols against the axis.
    guide
        As of `against_axis`.

    Returns
    -------
    Drawing
        A line for each variable and each level of the further axes; a notebook shows it, and
        `Drawing.draw` makes it a figure of Matplotlib. Of shares and p-values the vertical axis
        is linear, else logarithmic.

    Raises
    ------
    KeyError
        For a name that the dataset does not have.
    ValueError
        Where it has no variables.
    """
    summary = summarise(dataset)
    shown = list(names) if names is not None else _groups(summary)[0]
    return _figure(dataset, summary, shown, title, guide)


def plots(dataset: xr.Dataset) -> dict[str, Drawing]:
    """Everything that a sweep measured: a `plot` for each unit and form, by its first variable."""
    summary = summarise(dataset)
    return {names[0]: _figure(dataset, summary, names) for names in _groups(summary)}


def _groups(summary: xr.Dataset) -> list[list[str]]:
    """Variables that one figure can have: of one unit and form."""
    found: dict[tuple[str, str], list[str]] = {}
    for name in without_ends(summary):
        quantity = quantity_of(summary[name])
        if name != "seeds":
            found.setdefault((quantity.unit, quantity.form), []).append(name)
    return list(found.values())


def _figure(
    dataset: xr.Dataset,
    summary: xr.Dataset,
    names: Sequence[str],
    title: str = "",
    guide: bool = False,
) -> Drawing:
    axis = summary[names[0]].dims[0]
    symbols = dict.fromkeys(quantity_of(summary[name]).symbol for name in names)
    linear = quantity_of(summary[names[0]]).form in ("share", "p-value")
    return against_axis(
        summary,
        names,
        title=title or f"{', '.join(symbols)} against {quantity_of(summary[axis]).symbol}",
        fits=() if linear else exponents(dataset, names),
        guide=guide,
        log=not linear,
    )
