"""What figures are made of: medians with bars, bands of a law, guides, legends."""

import re
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from ._drawing import Theme
from ._format import number

_SHORT = 18  # characters of a name that fits beside the axes
MARKERS = ("o", "s", "^", "D", "v", "P", "X")


def medians(
    axes: Axes,
    summary: xr.Dataset,
    name: str,
    *,
    colour: str,
    marker: str,
    label: str,
    line: str = "none",
    fill: str | None = None,
    where: np.ndarray,
    log: bool = True,
) -> np.ndarray:
    """Medians with error bars, the positive ones if `log`; returns all that was drawn."""
    middle = np.asarray(summary[name], float)
    kept = np.isfinite(middle) & ((middle > 0) | (not log))
    if not kept.any():
        return np.empty(0)
    bounds = [np.asarray(summary.get(f"{name}_{end}", middle), float) for end in ("lo", "hi")]
    # A bound that is missing, or infinite as with a single seed, has no bar.
    bars = np.array([middle - bounds[0], bounds[1] - middle])
    bars = np.where(np.isfinite(bars), bars, 0).clip(0)[:, kept]
    if log:
        bars[0] = np.minimum(bars[0], 0.999 * middle[kept])  # stays on a logarithmic axis
    axes.errorbar(
        where[kept],
        middle[kept],
        yerr=bars,
        color=colour,
        marker=marker,
        markerfacecolor=fill or colour,
        label=label,
        capsize=3,
        linestyle=line,
        linewidth=1.4,
        zorder=4,
    )
    return np.concatenate([middle[kept] - bars[0], middle[kept] + bars[1]])


def band(
    axes: Axes,
    summary: xr.Dataset,
    name: str,
    *,
    colour: str,
    label: str,
    line: str = "-",
    where: np.ndarray,
    log: bool = True,
) -> np.ndarray:
    """Median and interval of a law; returns all that was drawn."""
    middle = np.asarray(summary[name], float)
    drawable = positive if log else finite
    drawn = [drawable(middle)]
    if not drawn[0].size:
        return drawn[0]
    shown = np.where(middle > 0, middle, np.nan) if log else middle
    axes.plot(where, shown, line, color=colour, label=label, linewidth=1.3)
    if f"{name}_lo" in summary and f"{name}_hi" in summary:
        low, high = (np.asarray(summary[f"{name}_{end}"], float) for end in ("lo", "hi"))
        axes.fill_between(where, low, high, color=colour, alpha=0.16, linewidth=0)
        drawn.extend([drawable(low), drawable(high)])
    return np.concatenate(drawn)


def inverse_root(axes: Axes, dims: np.ndarray, theme: Theme) -> np.ndarray:
    """The guide 0.67/√d, which medians belong beside; returns its values at the dimensions."""
    ends = np.array([dims.min() / 1.25, dims.max() * 1.25])
    height = 0.6745  # median of |N(0, 1)|
    style: dict[str, Any] = {"color": theme.muted, "linewidth": 1.8, "label": "0.67/√d"}
    axes.plot(ends, height * ends**-0.5, ":", zorder=1, **style)
    return np.asarray(height * dims**-0.5)


def log_scale(axes: Axes, which: str, values: Any) -> None:
    """Logarithmic axis around `values`, with enough ticks.

    Without a positive value there is nothing to scale and the axis stays as it is.
    """
    kept = positive(values)
    if kept.size == 0:
        return
    axes.set(**{f"{which}scale": "log"})
    low, high = float(kept.min()), float(kept.max())
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(LogLocator(subs=_ticks(high / low), numticks=99))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set(**{f"{which}lim": (low / 1.25, high * 1.25)})


def _ticks(ratio: float) -> tuple[float, ...]:
    """Ticks within a decade for an axis whose ends have this ratio."""
    if ratio < 6:
        return (1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0)
    return (1.0, 2.0, 5.0) if ratio < 300 else (1.0,)


def counting_axis(axes: Axes, counts: np.ndarray) -> None:
    """Logarithmic axis with a tick at every number, or at powers of 2 if crowded."""
    axes.set_xscale("log")
    # Close ones too, unless no power of 2 might be left.
    close = np.min(counts[1:] / counts[:-1], initial=np.inf) < 1.5
    crowded = (counts.size > 8 or close) and counts.max() / counts.min() >= 4
    axes.xaxis.set_major_locator(LogLocator(2) if crowded else FixedLocator(counts.tolist()))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlim(counts.min() / 1.25, counts.max() * 1.25)


def name_lines(figure: Figure, axes: Axes, columns: int = 2) -> None:
    """Name each line at its right end, where the eye is; a legend below where there is no room.

    There is room for short names of a few lines that end near the right edge.
    """
    handles, labels = axes.get_legend_handles_labels()
    lines: list[Any] = [h.lines[0] if isinstance(h, ErrorbarContainer) else h for h in handles]
    ends = [_end(axes, line) for line in lines]
    gap = 0.058  # of the height of the axes, for a line of text
    short = all(len(_plain(label)) <= _SHORT for label in labels)
    if not short or len(labels) * gap > 1 or any(x < 0.85 for x, _ in ends):
        legend_below(figure, axes, columns)
        return
    order = sorted(range(len(labels)), key=lambda at: ends[at][1])
    heights = [ends[at][1] for at in order]
    for rank in range(1, len(order)):  # from below, none on top of another
        heights[rank] = max(heights[rank], heights[rank - 1] + gap)
    top = 1.0
    for rank in reversed(range(len(order))):  # and from above, none outside
        heights[rank] = min(heights[rank], top)
        top = heights[rank] - gap
    for at, height in zip(order, heights, strict=True):
        axes.annotate(
            labels[at],
            (1, height),
            (5, 0),
            xycoords="axes fraction",
            textcoords="offset points",
            va="center",
            fontsize=9,
            color=lines[at].get_color(),
        )


def _end(axes: Axes, line: Any) -> tuple[float, float]:
    """Where a line ends, as a share of the axes; at the left of them what is no line, or empty."""
    points = np.asarray(line.get_xydata() if isinstance(line, Line2D) else [], float).reshape(-1, 2)
    points = points[np.isfinite(points).all(axis=1)]
    if not len(points):
        return -1.0, 0.0
    x, y = (axes.transScale + axes.transLimits).transform(points[-1])
    return float(x), float(y)


def _plain(label: str) -> str:
    """About as many characters as a label is wide."""
    return re.sub(r"\\mathrm|[${}\\_]", "", label)


def legend_below(figure: Figure, axes: Axes, columns: int = 2) -> None:
    """Legend below the axes, where it covers no data, in at most so many columns."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        # At 9 points a character takes about 0.08 inches, and the sample line 0.6.
        widest = max(len(_plain(label)) for label in labels)
        fitting = int(figure.get_figwidth() / (0.08 * widest + 0.6))
        columns = max(1, min(columns, fitting))
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def say_nothing_there(axes: Axes, theme: Theme) -> None:
    """Write that there is nothing to draw."""
    axes.text(
        0.5, 0.5, "n/a: no finite value", color=theme.muted, ha="center", transform=axes.transAxes
    )


def finite(values: Any) -> np.ndarray:
    """The finite values, flat."""
    flat = np.asarray(values, float).ravel()
    return flat[np.isfinite(flat)]


def positive(values: Any) -> np.ndarray:
    """The finite positive values, flat."""
    flat = finite(values)
    return flat[flat > 0]


def span(values: Any) -> str:
    """`from … to …`, first to last finite value, for alternative texts."""
    flat = finite(values)
    return f"from {number(flat[0])} to {number(flat[-1])}" if flat.size else "n/a"
