"""Medians of a summary against its first axis, or against another coordinate of a variable."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import xarray as xr

from ..statistics import Fit
from ._drawing import Drawing, Theme, ordered_colours
from ._format import number
from ._lines import Frame, Line, axis_of, law_of, lines_of, paint, symbols
from ._marks import MARKERS, finite, span
from ._words import ends_of, explain, intervals, level, quantity_of, sentences

GUIDE = "The grey line is 0.67/√d, the median for one random direction."


def against_axis(
    summary: xr.Dataset,
    names: Sequence[str],
    *,
    title: str,
    ylabel: str = "",
    fits: Sequence[Fit] = (),
    guide: bool = False,
    reference: float | None = None,
    log: bool = True,
    note: str = "",
) -> Drawing:
    """Medians with 95 % bars of some variables against their first axis.

    One hue a variable; where it has a second axis, one marker and style of line a level of it. A
    law `predicted_NAME` in the summary is drawn as a band. Symbols, meanings, units and bounds are
    read from the attributes of the variables, see `vocabulary.Quantity`.

    Parameters
    ----------
    summary
        As of `experiments.Findings`: `v` with its interval in `v_lo` and `v_hi`. The first
        dimension of a variable is the horizontal axis: logarithmic for `dim`, and where the values
        span a factor of four; categories where they are texts.
    names
        Variables to draw, of the same first axis. One without any finite value is left out, unless
        none has one.
    title
        Of the figure; without a full stop.
    ylabel
        What the vertical axis shows; empty for the symbols and their unit.
    fits
        Fitted exponents, of which those of the variables are written into the legend.
    guide
        Whether to draw 0.67/√d, the median for one random direction; only along the axis `dim`.
    reference
        Height of a dashed line, such as 1 for factors.
    log
        Whether the vertical axis is logarithmic; what is not positive is not drawn then.
    note
        Sentences that the caption ends with.

    Returns
    -------
    Drawing
        Its caption explains every symbol, says what the bars are, and which values are bounds.

    Raises
    ------
    KeyError
        For a name that the summary does not have.
    """
    kept = [name for name in names if finite(summary[name]).size] or list(names)
    axis = summary[axis_of(summary, kept[0])]
    shown = [fit for fit in fits if fit.quantity in kept]
    laws = [summary[law_of(name)] for name in kept if law_of(name) in summary]
    further = dict.fromkeys(dim for name in kept for dim in summary[name].dims[1:])
    explained = explain((summary[name] for name in (*kept, axis.name, *further)), summary)
    of_laws = " or ".join(dict.fromkeys(quantity_of(law).meaning for law in laws))
    guide = guide and axis.name == "dim"
    known = any(np.isfinite([fit.low, fit.high]).all() for fit in shown)
    frame = Frame(axis, ylabel or symbols(summary, kept), guide, reference, log)
    return Drawing(
        title=title,
        caption=sentences(
            f"{explained}.",
            f"Markers: {intervals(summary, kept)}.",
            f"Line and band without markers: {of_laws}." if of_laws else "",
            "Slopes: fitted exponents with 95 % bootstrap intervals." if known else "",
            GUIDE if guide else "",
            f"Dashed: {number(reference)}." if reference is not None else "",
            note,
        ),
        alt=f"{title}, for {quantity_of(axis).symbol} {ends_of(axis)}: "
        + "; ".join(f"{quantity_of(summary[name]).symbol} {span(summary[name])}" for name in kept),
        paint=partial(paint, list(lines_of(summary, kept, shown)), frame),
    )


def against_coordinate(
    summary: xr.Dataset,
    name: str,
    along: str,
    *,
    title: str,
    ylabel: str = "",
    log: bool = True,
    note: str = "",
) -> Drawing:
    """A variable against another coordinate than the first axis, of which each level is a line.

    Parameters
    ----------
    summary
        As of `against_axis`.
    name
        A variable over the first axis and `along`, such as `r_opt` over (dim, references).
    along
        The dimension that becomes the horizontal axis.
    title, ylabel, log, note
        As of `against_axis`.

    Returns
    -------
    Drawing
        Lines are coloured in the order of the levels.
    """
    (first,) = (str(dim) for dim in summary[name].dims if dim != along)
    axis, levels = summary[along], summary[first]
    lines = [
        Line(
            name,
            summary.isel({first: at}),
            level(levels, at),
            partial(_ordered, levels.size, at),
            MARKERS[at % len(MARKERS)],
            "-",
        )
        for at in range(levels.size)
    ]
    return Drawing(
        title=title,
        caption=sentences(
            f"{explain((summary[name], axis, levels), summary)}.",
            f"One line for each {quantity_of(levels).symbol}; {intervals(summary, [name])}.",
            note,
        ),
        alt=f"{title}, for {quantity_of(axis).symbol} {ends_of(axis)}; at {level(levels, -1)} "
        + span(summary[name].isel({first: -1})),
        paint=partial(paint, lines, Frame(axis, ylabel or symbols(summary, [name]), log=log)),
    )


def _ordered(count: int, at: int, theme: Theme) -> str:
    return ordered_colours(count, theme)[at]
