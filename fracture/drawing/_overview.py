"""The headlines of several claims in one figure."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import xarray as xr

from ._against import GUIDE
from ._drawing import Drawing
from ._lines import STYLES, Frame, Line, axis_of, hue, lines_of, paint, symbols
from ._marks import MARKERS, span
from ._words import glossary, is_text, quantity_of, sentences, tex

_Headline = tuple[str, xr.Dataset, str]


def overview(
    headlines: Sequence[_Headline], *, title: str = "Overview", ylabel: str = "", note: str = ""
) -> Drawing:
    """One quantity or more of every claim in one figure, against the axis that most of them have.

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
    axes = [axis_of(summary, name) for _, summary, name in headlines]
    axis = max(axes, key=axes.count, default="dim")
    owned = list(zip(headlines, axes, strict=True))
    shown = [line for line, own in owned if own == axis]
    others = dict.fromkeys(label for (label, *_), own in owned if own != axis)
    printed = glossary([(label, summary) for label, summary, _ in shown], {n for *_, n in shown})
    ylabels = dict.fromkeys(symbols(summary, [name]) for _, summary, name in shown)
    guide = axis == "dim" and bool(shown)
    frame = Frame(_union([summary[axis] for _, summary, _ in shown], axis), ylabel, guide)
    return Drawing(
        title=title,
        caption=sentences(
            *(f"{symbol}: {words}." for symbol, words in printed.items()),
            "Markers: medians over seeds with 95 % confidence intervals, where known.",
            GUIDE if guide else "",
            f"Along another axis, and not shown: {', '.join(others)}." if others else "",
            note,
        ),
        alt=f"{title}: "
        + "; ".join(f"{label} {span(summary[name])}" for label, summary, name in shown),
        paint=partial(
            paint, list(_lines(shown)), frame._replace(ylabel=ylabel or ", ".join(ylabels))
        ),
        size=(6.4, 5.2),
    )


def _lines(shown: Sequence[_Headline]) -> Iterator[Line]:
    """Lines without laws: a hue and a marker a label, a style each of its variables."""
    hues = list(dict.fromkeys(label for label, *_ in shown))
    for label, summary, name in shown:
        names, rank = [other for text, _, other in shown if text == label], hues.index(label)
        symbol = tex(quantity_of(summary[name]).symbol) if len(names) > 1 else ""
        bare = summary.drop_vars([law for law in summary if str(law).startswith("predicted_")])
        for line in lines_of(bare, [name]):
            ending = line.label if summary[name].ndim > 1 else symbol
            at = names.index(name)
            yield line._replace(
                label=", ".join(filter(None, [label, ending])),
                colour=partial(hue, rank),
                marker=MARKERS[rank % len(MARKERS)],
                style=STYLES[at % len(STYLES)] if summary[name].ndim == 1 else line.style,
                hollow=line.hollow or at > 0,
            )


def _union(axes: Sequence[xr.DataArray], name: str) -> xr.DataArray:
    """All values of some axes of one name; texts, which have no order, as they appear."""
    if not axes:
        return xr.DataArray(np.empty(0), dims=name, name=name)
    values = np.concatenate([axis.values for axis in axes])
    numbers = not any(map(is_text, axes))
    values = np.unique(values) if numbers else np.array([*dict.fromkeys(values.tolist())])
    return xr.DataArray(values, dims=name, name=name, attrs=axes[0].attrs)
