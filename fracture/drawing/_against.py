"""Medians of a summary against its first axis, or against another coordinate of a variable."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ..statistics import Fit
from ._drawing import Drawing, Theme, ordered_colours
from ._format import interval, number
from ._marks import (
    MARKERS,
    band,
    counting_axis,
    finite,
    inverse_root,
    legend_below,
    log_scale,
    medians,
    name_lines,
    positive,
    say_nothing_there,
    span,
)
from ._words import axis_label, explain, glossary, intervals, level, quantity_of, tex

_LINES = ("-", "--", ":", "-.")


class _Line(NamedTuple):
    """One line of a figure: a variable at one level of each further axis."""

    name: str
    summary: xr.Dataset  # at that level, over the axis of the figure alone
    label: str
    colour: Callable[[Theme], str]
    marker: str
    style: str
    hollow: bool


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
        dimension of a variable is the horizontal axis: logarithmic where its values are positive
        and span a factor of four, else linear, categories where they are texts.
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
    measured = [name for name in names if finite(summary[name]).size]
    kept = measured or list(names)
    axis = str(summary[kept[0]].dims[0])
    guide = guide and axis == "dim"
    laws = [f"predicted_{name}" for name in kept if f"predicted_{name}" in summary]
    slopes = {(fit.quantity, fit.level): fit for fit in fits}
    lines = list(_lines(summary, kept, slopes))
    shown = (summary[name] for name in (*kept, axis, *_further(summary, kept)))
    caption = [f"{explain(shown, summary)}."]
    caption.append(f"Markers: {intervals(summary, kept)}.")
    if laws:
        said = dict.fromkeys(quantity_of(summary[law]).meaning for law in laws)
        caption.append(f"Line and band without markers: {' or '.join(filter(None, said))}.")
    if any(np.isfinite([fit.low, fit.high]).all() for fit in slopes.values()):
        caption.append("Slopes: fitted exponents with 95 % bootstrap intervals.")
    if guide:
        caption.append("The grey line is 0.67/√d, the median for one random direction.")
    if reference is not None:
        caption.append(f"Dashed: {number(reference)}.")
    return Drawing(
        title=title,
        caption=" ".join([*caption, *filter(None, [note])]),
        alt=f"{title}, for {quantity_of(summary[axis]).symbol} {_ends(summary[axis])}: "
        + "; ".join(f"{quantity_of(summary[name]).symbol} {span(summary[name])}" for name in kept),
        paint=partial(
            _paint, lines, summary[axis], ylabel or _ylabel(summary, kept), guide, reference, log
        ),
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
    (axis,) = (str(dim) for dim in summary[name].dims if dim != along)
    count = summary.sizes[axis]
    lines = [
        _Line(
            name,
            summary.isel({axis: at}),
            level(summary[axis], at),
            partial(_ordered, count, at),
            MARKERS[at % len(MARKERS)],
            "-",
            False,
        )
        for at in range(count)
    ]
    return Drawing(
        title=title,
        caption=" ".join(
            [
                f"{explain((summary[shown] for shown in (name, along, axis)), summary)}.",
                f"One line for each {quantity_of(summary[axis]).symbol};",
                f"{intervals(summary, [name])}.",
                *filter(None, [note]),
            ]
        ),
        alt=f"{title}, for {quantity_of(summary[along]).symbol} {_ends(summary[along])}; at "
        f"{level(summary[axis], -1)} {span(summary[name].isel({axis: -1}))}",
        paint=partial(
            _paint, lines, summary[along], ylabel or _ylabel(summary, [name]), False, None, log
        ),
    )


def overview(
    headlines: Sequence[tuple[str, xr.Dataset, str]],
    *,
    title: str = "Overview",
    ylabel: str = "",
    note: str = "",
) -> Drawing:
    """One quantity of every claim in one figure, against the axis that most of them have.

    Parameters
    ----------
    headlines
        For each line its label, a summary, and the name of one variable of it, such as `ratio`.
        Those of the same label share a hue.
    title, ylabel, note
        As of `against_axis`; the label is empty for the symbols of all lines.

    Returns
    -------
    Drawing
        The caption names what has another axis and is not shown.
    """
    axes = [str(summary[name].dims[0]) for _, summary, name in headlines]
    axis = max(axes, key=axes.count, default="dim")
    shown = [line for line, own in zip(headlines, axes, strict=True) if own == axis]
    hues = list(dict.fromkeys(label for label, *_ in shown))
    lines = []
    for label, summary, name in shown:
        same = [other for text, _, other in shown if text == label]
        symbol = quantity_of(summary[name]).symbol
        summary = summary.drop_vars([law for law in summary if str(law).startswith("predicted")])
        for line in _lines(summary, [name], {}):
            ending = f", {tex(symbol)}" if len(same) > 1 else ""
            further = f", {line.label}" if summary[name].ndim > 1 else ""
            rank = hues.index(label)
            lines.append(
                line._replace(
                    label=label + (further or ending),
                    colour=partial(_hue, rank),
                    marker=MARKERS[rank % len(MARKERS)],
                    style=_LINES[same.index(name) % len(_LINES)] if not further else line.style,
                    hollow=line.hollow or same.index(name) > 0,
                )
            )
    others = [label for (label, *_), own in zip(headlines, axes, strict=True) if own != axis]
    guide = axis == "dim" and bool(lines)
    said = glossary([(label, summary) for label, summary, _ in shown], {n for *_, n in shown})
    caption = [f"{symbol}: {words}." for symbol, words in said.items()]
    caption.append("Markers: medians over seeds with 95 % confidence intervals, where known.")
    if guide:
        caption.append("The grey line is 0.67/√d, the median for one random direction.")
    if others:
        caption.append(f"Along another axis, and not shown: {', '.join(dict.fromkeys(others))}.")
    values = [summary[axis].values for _, summary, _ in shown]
    every = np.unique(np.concatenate(values)) if values else np.empty(0)
    attrs = shown[0][1][axis].attrs if shown else {}
    return Drawing(
        title=title,
        caption=" ".join([*caption, *filter(None, [note])]),
        alt=f"{title}: "
        + "; ".join(f"{label} {span(summary[name])}" for label, summary, name in shown),
        paint=partial(
            _paint,
            lines,
            xr.DataArray(every, dims=axis, name=axis, attrs=attrs),
            ylabel or ", ".join(dict.fromkeys(_ylabel(own, [name]) for _, own, name in shown)),
            guide,
            None,
            True,
        ),
        size=(6.4, 5.2),
    )


def _lines(
    summary: xr.Dataset, names: Sequence[str], slopes: dict[tuple[str, str], Fit]
) -> Iterator[_Line]:
    apart = any(f"predicted_{name}" in summary or _texts(_axis(summary, name)) for name in names)
    for rank, name in enumerate(names):
        variable = summary[name]
        further = [str(dim) for dim in variable.dims[1:]]
        at_levels = list(itertools.product(*(range(summary.sizes[dim]) for dim in further)))
        for number_of, at in enumerate(at_levels):
            where = dict(zip(further, at, strict=True))
            said = ", ".join(level(summary[dim], index) for dim, index in where.items())
            named = ", ".join(f"{dim} = {summary[dim].values[i]}" for dim, i in where.items())
            fit = slopes.get((name, said)) or slopes.get((name, named))
            label = tex(quantity_of(variable).symbol) if len(names) > 1 or not said else ""
            label = ", ".join(filter(None, [label, said]))
            yield _Line(
                name,
                summary.isel(where),
                label + _slope(fit),
                partial(_hue, rank),
                MARKERS[(number_of if further else rank) % len(MARKERS)],
                "none" if apart else _LINES[number_of % len(_LINES)],
                number_of > 0,
            )


def _axis(summary: xr.Dataset, name: str) -> xr.DataArray:
    return summary[str(summary[name].dims[0])]


def _slope(fit: Fit | None) -> str:
    if fit is None:
        return ""
    ends = interval(fit.low, fit.high) if np.isfinite([fit.low, fit.high]).all() else ""
    return f": slope {number(fit.exponent)} {ends}".rstrip()


def _paint(
    lines: Sequence[_Line],
    coordinate: xr.DataArray,
    ylabel: str,
    guide: bool,
    reference: float | None,
    log: bool,
    figure: Figure,
    theme: Theme,
) -> None:
    axes, axis = figure.add_subplot(), str(coordinate.name)
    places = _places(coordinate)
    seen = []
    if guide:
        seen.append(inverse_root(axes, places, theme))
    if reference is not None:
        axes.axhline(reference, linestyle="--", color=theme.ink, linewidth=1.2, zorder=1)
        seen.append(np.array([reference / 1.5, reference * 1.5]) if log else np.array([reference]))
    drawn = [np.empty(0)]
    for line in lines:
        colour, law = line.colour(theme), f"predicted_{line.name}"
        own = line.summary[axis]
        where = places if _texts(own) else np.asarray(own, float)
        shared: dict[str, Any] = {"colour": colour, "at": axis, "where": where, "log": log}
        if law in line.summary:
            text = tex(quantity_of(line.summary[law]).symbol)
            several = len({other.label for other in lines}) > 1
            label = f"{text}, {line.label.split(':')[0]}" if several else text
            style = line.style if line.style != "none" else "--" if line.hollow else "-"
            drawn.append(band(axes, line.summary, law, label=label, line=style, **shared))
        drawn.append(
            medians(
                axes,
                line.summary,
                line.name,
                marker=line.marker,
                label=line.label,
                line=line.style,
                fill=theme.surface if line.hollow else None,
                **shared,
            )
        )
    _horizontal(axes, coordinate, places)
    axes.set_ylabel(ylabel)
    if log:
        log_scale(axes, "y", np.concatenate([*seen, *drawn]))
    if any(f"predicted_{line.name}" in line.summary for line in lines):
        legend_below(figure, axes)
    elif len(lines) > 1 or guide or ":" in "".join(line.label for line in lines):
        name_lines(figure, axes, columns=3)
    if not any(values.size for values in drawn):
        say_nothing_there(axes, theme)


def _places(coordinate: xr.DataArray) -> np.ndarray:
    """Where the values of an axis stand: texts at whole numbers."""
    if _texts(coordinate):
        return np.arange(coordinate.size, dtype=float)
    return np.asarray(coordinate, float)


def _horizontal(axes: Axes, coordinate: xr.DataArray, places: np.ndarray) -> None:
    axes.set_xlabel(axis_label(coordinate))
    if _texts(coordinate):
        names = [str(value) for value in coordinate.values]
        long = sum(map(len, names)) > 40
        axes.set_xticks(places, names, rotation=40 if long else 0, ha="right" if long else "center")
        axes.set_xlim(-0.5, places.size - 0.5)
    elif str(coordinate.name) == "dim" or _spread(positive(places)) >= 4:
        if places.size and places.min() <= 0:  # from the start, such as 0, 1, 10, 100 steps
            axes.set_xscale("symlog", linthresh=positive(places).min(initial=np.inf))
            axes.set_xticks(places, [f"{place:g}" for place in places])
            axes.xaxis.set_minor_locator(NullLocator())
        elif places.size:
            counting_axis(axes, places)
    elif places.size <= 8:
        axes.set_xticks(places, [f"{place:g}" for place in places])


def _texts(coordinate: xr.DataArray) -> bool:
    """Whether an axis has no order."""
    return coordinate.dtype.kind in "USO"


def _spread(places: np.ndarray) -> float:
    """The largest over the smallest value."""
    return float(places.max() / places.min()) if places.size else 1.0


def _further(summary: xr.Dataset, names: Sequence[str]) -> list[str]:
    """Axes beyond the first that some variables have, and that are explained."""
    return list(dict.fromkeys(str(dim) for name in names for dim in summary[name].dims[1:]))


def _ylabel(data: xr.Dataset, names: Sequence[str]) -> str:
    """Symbols and their common unit."""
    quantities = [quantity_of(data[name]) for name in names]
    units = {quantity.unit for quantity in quantities}
    unit = f" ({units.pop()})" if len(units) == 1 and any(units) else ""
    return ", ".join(dict.fromkeys(tex(quantity.symbol) for quantity in quantities)) + unit


def _ends(coordinate: xr.DataArray) -> str:
    if _texts(coordinate):
        return ", ".join(map(str, coordinate.values))
    return (
        f"from {coordinate.values[0]:g} to {coordinate.values[-1]:g}" if coordinate.size else "n/a"
    )


def _hue(rank: int, theme: Theme) -> str:
    return theme.series[rank % len(theme.series)]


def _ordered(count: int, at: int, theme: Theme) -> str:
    return ordered_colours(count, theme)[at]
