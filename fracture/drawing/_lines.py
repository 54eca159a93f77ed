"""Lines of medians with their bars and laws, along an axis of numbers or of texts."""

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
from ._drawing import Theme
from ._format import interval, number
from ._marks import (
    MARKERS,
    band,
    counting_axis,
    inverse_root,
    legend_below,
    log_scale,
    medians,
    name_lines,
    positive,
    say_nothing_there,
)
from ._words import axis_label, is_text, level, quantity_of, tex

STYLES = ("-", "--", ":", "-.")


class Line(NamedTuple):
    """One line of a figure: a variable at one level of each further axis."""

    name: str
    summary: xr.Dataset  # at that level, over the axis of the figure alone
    label: str
    colour: Callable[[Theme], str]
    marker: str
    style: str
    hollow: bool = False


class Frame(NamedTuple):
    """What a figure has beside its lines."""

    axis: xr.DataArray  # the coordinate of the horizontal axis
    ylabel: str
    guide: bool = False  # 0.67/√d
    reference: float | None = None
    log: bool = True


def lines_of(summary: xr.Dataset, names: Sequence[str], fits: Sequence[Fit] = ()) -> Iterator[Line]:
    """A line for each variable and each level of its further axes.

    A hue for the one, a marker and a style for the other; no line where a law is one, or where an
    axis of texts has no order.
    """
    slopes = {(fit.quantity, fit.level): fit for fit in fits}
    laws = any(law_of(name) in summary for name in names)
    apart = laws or any(is_text(summary[axis_of(summary, name)]) for name in names)
    for rank, name in enumerate(names):
        _, *further = map(str, summary[name].dims)
        points = itertools.product(*(range(summary.sizes[axis]) for axis in further))
        for count, point in enumerate(points):
            where = dict(zip(further, point, strict=True))
            said = ", ".join(level(summary[axis], at) for axis, at in where.items())
            symbol = tex(quantity_of(summary[name]).symbol) if len(names) > 1 or not said else ""
            yield Line(
                name,
                summary.isel(where),
                ", ".join(filter(None, [symbol, said])) + _slope(slopes.get((name, said))),
                partial(hue, rank),
                MARKERS[(count if further else rank) % len(MARKERS)],
                "none" if apart else STYLES[count % len(STYLES)],
                hollow=count > 0,
            )


def axis_of(summary: xr.Dataset, name: str) -> str:
    """The axis that a variable is drawn along."""
    return str(summary[name].dims[0])


def law_of(name: str) -> str:
    """The name under which a summary has the law of a variable."""
    return f"predicted_{name}"


def hue(rank: int, theme: Theme) -> str:
    """A colour of the theme, again from the first after the last."""
    return theme.series[rank % len(theme.series)]


def symbols(data: xr.Dataset, names: Sequence[str]) -> str:
    """Symbols of some variables and their common unit, for an axis."""
    quantities = [quantity_of(data[name]) for name in names]
    units = {quantity.unit for quantity in quantities}
    unit = f" ({units.pop()})" if len(units) == 1 and any(units) else ""
    return ", ".join(dict.fromkeys(tex(quantity.symbol) for quantity in quantities)) + unit


def _slope(fit: Fit | None) -> str:
    if fit is None:
        return ""
    ends = interval(fit.low, fit.high) if np.isfinite([fit.low, fit.high]).all() else ""
    return f": slope {number(fit.exponent)} {ends}".rstrip()


def paint(lines: Sequence[Line], frame: Frame, figure: Figure, theme: Theme) -> None:
    """Draw lines into a frame."""
    axes, places = figure.add_subplot(), _places(frame.axis)
    where = np.array(list(places.values()), float)
    seen, drawn = [np.empty(0)], [np.empty(0)]
    if frame.guide:
        seen.append(inverse_root(axes, where, theme))
    if frame.reference is not None:
        axes.axhline(frame.reference, linestyle="--", color=theme.ink, linewidth=1.2, zorder=1)
        seen.append(frame.reference * np.array([1 / 1.5, 1.5]))
    several = len({line.label for line in lines}) > 1
    for line in lines:
        drawn.extend(_draw(axes, line, frame, places, several, theme))
    _horizontal(axes, frame.axis, where)
    axes.set_ylabel(frame.ylabel)
    if frame.log:
        log_scale(axes, "y", np.concatenate([*seen, *drawn]))
    if any(law_of(line.name) in line.summary for line in lines):
        legend_below(figure, axes)
    elif several or frame.guide or any(": " in line.label for line in lines):
        name_lines(figure, axes, columns=3)
    if not any(values.size for values in drawn):
        say_nothing_there(axes, theme)


def _draw(
    axes: Axes, line: Line, frame: Frame, places: dict[Any, float], several: bool, theme: Theme
) -> Iterator[np.ndarray]:
    """Draw the law of a line, where it has one, and its medians; yields what was drawn."""
    axis = str(frame.axis.name)
    where = np.array([places[at] for at in line.summary[axis].values.tolist()], float)
    shared: dict[str, Any] = {"colour": line.colour(theme), "where": where, "log": frame.log}
    if law_of(line.name) in line.summary:
        law = line.summary[law_of(line.name)]
        label = tex(quantity_of(law).symbol)
        if several:
            label = f"{label}, {line.label.split(': ')[0]}"
        style = "--" if line.hollow else "-"
        yield band(axes, line.summary, law_of(line.name), label=label, line=style, **shared)
    yield medians(
        axes,
        line.summary,
        line.name,
        label=line.label,
        line=line.style,
        marker=line.marker,
        fill=theme.surface if line.hollow else None,
        **shared,
    )


def _places(axis: xr.DataArray) -> dict[Any, float]:
    """Where the values of an axis stand: texts at whole numbers."""
    values = axis.values.tolist()
    return {value: float(at if is_text(axis) else value) for at, value in enumerate(values)}


def _horizontal(axes: Axes, axis: xr.DataArray, where: np.ndarray) -> None:
    """Categories, or a logarithmic axis for the dimension and what spans a factor of four."""
    axes.set_xlabel(axis_label(axis))
    if is_text(axis):
        names = list(map(str, axis.values))
        long = sum(map(len, names)) > 40
        axes.set_xticks(where, names, rotation=40 if long else 0, ha="right" if long else "center")
        axes.set_xlim(-0.5, where.size - 0.5)
        return
    kept = positive(where)
    if kept.size and (axis.name == "dim" or kept.max() >= 4 * kept.min()):
        if kept.size == where.size:
            counting_axis(axes, where)
            return
        axes.set_xscale("symlog", linthresh=kept.min())  # from the start, such as step 0
        axes.xaxis.set_minor_locator(NullLocator())
    elif where.size > 8:
        return
    axes.set_xticks(where, [f"{place:g}" for place in where])
