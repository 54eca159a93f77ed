"""Clouds of what was measured against what explains it, with the line of equality."""

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ._drawing import Drawing, Theme, ordered_colours
from ._marks import legend_below, log_scale, positive, say_nothing_there
from ._words import explain, level, quantity_of, sentences, tex

_POINTS = 600  # drawn of a cloud at most, evenly taken from all

_Cloud = tuple[np.ndarray, np.ndarray]


def scatter(
    across: xr.DataArray | Sequence[xr.DataArray],
    up: xr.DataArray,
    *,
    title: str,
    by: str | None = None,
    xlabel: str = "",
    ylabel: str = "",
    within: xr.Dataset | None = None,
    note: str = "",
) -> Drawing:
    """Every measurement as a point, both axes logarithmic, and the line where the two are equal.

    Parameters
    ----------
    across
        What explains, such as ρ_net · β; several for one hue each. Broadcast against `up`.
    up
        What was measured, such as a fragility ratio. Finite positive pairs are drawn.
    title, note
        As of `against_axis`.
    by
        A dimension of `up`, each level of which has a colour, such as `dim`; for one `across` only.
    xlabel, ylabel
        Labels of the axes; empty for their symbols.
    within
        What explains parts of symbols, such as `r_nn` in `r_nn/r_opt`; else `vocabulary` does.

    Returns
    -------
    Drawing
        At most 600 points of each colour are drawn.
    """
    explaining = [across] if isinstance(across, xr.DataArray) else list(across)
    clouds: dict[str, _Cloud] = {}
    if by is None:
        for one in explaining:
            clouds[tex(quantity_of(one).symbol)] = _cloud(one, up)
    else:
        one, measured = xr.broadcast(explaining[0], up)
        for at in range(up.sizes[by]):
            clouds[tex(level(up[by], at))] = _cloud(one.isel({by: at}), measured.isel({by: at}))
    count = sum(positive(cloud[1]).size for cloud in clouds.values())
    shown = explain([up, *explaining, *([] if by is None else [up[by]])], within)
    symbols = ", ".join(quantity_of(one).symbol for one in explaining)
    return Drawing(
        title=title,
        caption=sentences(
            f"Each point is one measurement: vertically {quantity_of(up).symbol}, horizontally "
            f"{symbols}, equal on the dashed line.",
            f"{shown}.",
            f"At most {_POINTS} points of a colour.",
            note,
        ),
        alt=f"{title}: scatter plot of {count} measurements with the line of equality",
        paint=partial(
            _paint,
            clouds,
            by is not None,
            xlabel or ", ".join(tex(quantity_of(one).symbol) for one in explaining),
            ylabel or tex(quantity_of(up).symbol),
        ),
    )


def _cloud(across: xr.DataArray, up: xr.DataArray) -> _Cloud:
    one, other = xr.broadcast(across, up)
    return np.asarray(one, float).ravel(), np.asarray(other, float).ravel()


def _paint(
    clouds: Mapping[str, _Cloud],
    in_order: bool,
    xlabel: str,
    ylabel: str,
    figure: Figure,
    theme: Theme,
) -> None:
    axes, seen = figure.add_subplot(), [np.empty(0)]
    colours = ordered_colours(len(clouds), theme) if in_order else theme.series[: len(clouds)]
    for (label, (across, up)), colour in zip(clouds.items(), colours, strict=True):
        kept = np.isfinite(across) & np.isfinite(up) & (across > 0) & (up > 0)
        across, up = across[kept], up[kept]
        stride = max(1, -(-across.size // _POINTS))
        if across.size:
            axes.plot(
                across[::stride],
                up[::stride],
                "o",
                color=colour,
                markersize=4 if across.size > 100 else 5.5,
                markeredgewidth=0,
                alpha=0.6,
                label=label,
            )
        seen.extend([across, up])
    every = np.concatenate(seen)
    if every.size:
        ends = np.array([every.min() / 1.25, every.max() * 1.25])
        axes.plot(ends, ends, "--", color=theme.ink, linewidth=1.2, label="equal", zorder=1)
    else:
        say_nothing_there(axes, theme)
    log_scale(axes, "x", every)
    log_scale(axes, "y", every)
    axes.set(xlabel=xlabel, ylabel=ylabel)
    legend_below(figure, axes, columns=4)
