"""Effects of many kinds, one a row, beside what is claimed of each."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ._drawing import Drawing, Theme
from ._format import interval, number
from ._marks import finite, log_scale
from ._words import sentences

_STYLES = {"holds": ("o", 2, True), "does not hold": ("s", 1, True), "undecided": ("D", 0, False)}
_ROW, _LEAST = 0.27, 0.75  # inches of a row, and of what is around the rows of a panel
_WIDTH = 8.2


class Row(NamedTuple):
    """One effect with its interval, what is claimed of it, and the word of the verdict.

    Attributes
    ----------
    label
        A few words, which stand at the left.
    value, low, high
        The effect, and its 95 % interval.
    claimed
        What the value is if the claim holds: 1 for a factor, an exponent, the least of a share;
        NaN for none.
    word
        `holds`, `does not hold` or `undecided`.
    """

    label: str
    value: float
    low: float
    high: float
    claimed: float
    word: str


def forest(rows: Sequence[Row], *, title: str, note: str = "") -> Drawing:
    """Effects in panels: factors of what is claimed, differences from it, and what has no such.

    Parameters
    ----------
    rows
        In the order in which they are drawn. Those that are claimed to be 1 and are positive are
        factors, on a logarithmic axis; of others, what is claimed is subtracted; those of which no
        number is claimed stand as they are.
    title, note
        As of `against_axis`.

    Returns
    -------
    Drawing
        Its alternative text has every number.
    """
    panels = {
        "measured over claimed": [row for row in rows if _is_factor(row)],
        "measured minus claimed": [
            row for row in rows if not (_is_factor(row) or math.isnan(row.claimed))
        ],
        "measured, where no number is claimed": [row for row in rows if math.isnan(row.claimed)],
    }
    panels = {label: shown for label, shown in panels.items() if shown}
    told = "; ".join(
        f"{row.label}: {number(row.value)} {interval(row.low, row.high)}, {row.word}"
        for row in rows
    )
    return Drawing(
        title=title,
        caption=sentences(
            "Markers: what was measured, with 95 % confidence intervals; numbers at the right.",
            "Dashed: as claimed.",
            note,
        ),
        alt=f"{title}: {told}" if told else f"{title}: nothing",
        paint=partial(_paint, panels),
        size=(_WIDTH, 0.5 + sum(_height(shown) for shown in panels.values())),
    )


def _is_factor(row: Row) -> bool:
    return row.claimed == 1 and row.low > 0


def _height(shown: Sequence[Row]) -> float:
    return _ROW * len(shown) + _LEAST


def _paint(panels: Mapping[str, Sequence[Row]], figure: Figure, theme: Theme) -> None:
    heights = [_height(shown) for shown in panels.values()]
    grid = figure.subplots(max(1, len(panels)), squeeze=False, height_ratios=heights or None)
    for axes, (label, shown) in zip(grid[:, 0], panels.items(), strict=False):
        _panel(axes, shown, label, theme)
    words = dict.fromkeys(row.word for shown in panels.values() for row in shown)
    handles = [_handle(word, theme) for word in _STYLES if word in words]
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))


def _panel(axes: Axes, shown: Sequence[Row], label: str, theme: Theme) -> None:
    factors = all(map(_is_factor, shown))
    origin = np.array([0 if factors or math.isnan(row.claimed) else row.claimed for row in shown])
    middle, low, high = (
        np.array([getattr(row, end) for row in shown]) - origin for end in ("value", "low", "high")
    )
    for at, row in enumerate(shown):
        marker, rank, filled = _STYLES[row.word]
        colour = theme.series[rank] if filled else theme.muted
        axes.plot([low[at], high[at]], [at, at], color=colour, linewidth=1.6, zorder=3)
        face = colour if filled else theme.surface
        axes.plot(middle[at], at, marker, color=colour, markerfacecolor=face, zorder=4)
        said = f"{number(row.value)} {interval(row.low, row.high)}"
        if not (factors or math.isnan(row.claimed)):
            said += f" for {number(row.claimed)}"
        axes.annotate(
            said,
            (1, at),
            (6, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
            color=theme.muted,
        )
    axes.set_yticks(range(len(shown)), [row.label for row in shown], color=theme.ink)
    axes.set_ylim(len(shown) - 0.4, -0.6)  # the first on top
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="y", visible=False)
    if factors:
        log_scale(axes, "x", [1, *finite(middle), *finite(low), *finite(high)])
    if not np.isnan([row.claimed for row in shown]).any():
        axes.axvline(1 if factors else 0, color=theme.ink, linestyle="--", linewidth=1.1, zorder=2)
    axes.set_xlabel(label)


def _handle(word: str, theme: Theme) -> Line2D:
    marker, rank, filled = _STYLES[word]
    colour = theme.series[rank] if filled else theme.muted
    face = colour if filled else theme.surface
    return Line2D([], [], color=colour, marker=marker, markerfacecolor=face, label=word)
