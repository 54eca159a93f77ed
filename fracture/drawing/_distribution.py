"""How a measured quantity is distributed at each level of the first axis, beside its law."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import scipy.special
import xarray as xr
from matplotlib.figure import Figure

from ._drawing import Drawing, Theme, ordered_colours
from ._lines import law_of
from ._marks import legend_below, log_scale, positive, say_nothing_there, span
from ._words import explain, level, quantity_of, sentences, tex

_MOST = 201  # points of a curve: more cannot be told apart and only make the file large


def distribution(
    values: xr.DataArray,
    summary: xr.Dataset | None = None,
    *,
    title: str,
    half_normal: bool = False,
    note: str = "",
) -> Drawing:
    """Share of measurements below each value: one curve for each level of the first axis.

    Along the axis `dim`, values are multiplied by √d: curves that coincide mean that all of the
    distribution falls like 1/√d.

    Parameters
    ----------
    values
        Measurements over the first axis and any others, such as (dim, seed, example). Positive and
        finite ones count; mask the others with NaN. Its attributes say what it is.
    summary
        Where it has `predicted_NAME` with its `_lo` and `_hi`, NAME being that of `values`, rings
        mark the 5, 50 and 95 % points of that law.
    title, note
        As of `against_axis`.
    half_normal
        Whether to draw the distribution of |N(0, 1)|, the limit of the law for one direction.

    Returns
    -------
    Drawing
        Curves are coloured in the order of the levels.
    """
    axis, quantity = str(values.dims[0]), quantity_of(values)
    scaled = axis == "dim"
    root = np.sqrt(np.asarray(values[axis], float)) if scaled else np.ones(values.sizes[axis])
    labels = [level(values[axis], at) for at in range(values.sizes[axis])]
    curves = {
        label: np.sort(positive(row) * scale)
        for label, row, scale in zip(labels, values, root, strict=True)
    }
    law = None if summary is None else _law(summary, values)
    points = {} if law is None else dict(zip(labels, law * root[:, None], strict=True))
    symbol = quantity.symbol + " · √d" * scaled
    explained = explain([values, values[axis]], summary)
    middles = [np.median(curve) if curve.size else np.nan for curve in curves.values()]
    label = tex(quantity.symbol) + "$\\,\\sqrt{d}$" * scaled
    return Drawing(
        title=title,
        caption=sentences(
            f"Share of measurements with at most a given {symbol}, one curve for each "
            f"{quantity_of(values[axis]).symbol}. {explained}.",
            "Curves that coincide: all of the distribution falls like 1/√d." if scaled else "",
            "Rings: 5, 50 and 95 % points of the law." if points else "",
            "Dashed: |N(0, 1)|, the limit of the law for one direction and large d."
            if half_normal
            else "",
            note,
        ),
        alt=f"{title}: empirical distribution functions; medians {span(middles)}",
        paint=partial(
            _paint,
            curves,
            points,
            half_normal,
            f"{label} ({quantity.unit})" if quantity.unit else label,
        ),
    )


def _law(summary: xr.Dataset, values: xr.DataArray) -> np.ndarray | None:
    """The 5, 50 and 95 % points of the law at each level; None where the summary has no law."""
    names = [law_of(str(values.name)) + end for end in ("_lo", "", "_hi")]
    if not set(names) <= set(summary):
        return None
    axis = str(values.dims[0])
    return np.stack([summary[name].reindex({axis: values[axis]}) for name in names], axis=1)


def _paint(
    curves: Mapping[str, np.ndarray],
    points: Mapping[str, np.ndarray],
    half_normal: bool,
    label: str,
    figure: Figure,
    theme: Theme,
) -> None:
    axes = figure.add_subplot()
    for (name, curve), colour in zip(
        curves.items(), ordered_colours(len(curves), theme), strict=True
    ):
        if curve.size:
            share = np.linspace(0, 1, min(_MOST, curve.size + 1))
            at = np.quantile(curve, share, method="inverted_cdf")
            axes.step(at, share, where="post", color=colour, label=tex(name))
        if name in points:
            axes.plot(
                points[name],
                [0.05, 0.5, 0.95],
                "o",
                color=colour,
                markerfacecolor=theme.surface,
                zorder=3,
            )
    every = positive(np.concatenate([np.empty(0), *curves.values(), *points.values()]))
    low, high = np.quantile(every, [0.005, 0.995]) if every.size else (0.0, 1.0)
    if half_normal:
        grid = np.linspace(0, 4, 200)
        share = scipy.special.erf(grid / 2**0.5)
        axes.plot(grid, share, "--", color=theme.ink, linewidth=1.2, label="|N(0, 1)|")
    if high > 5 and low > 0 and high / low > 5:
        log_scale(axes, "x", [low, high])
    else:
        axes.set_xlim(0, 1.05 * high)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel(label)
    axes.set_ylabel("share of measurements")
    legend_below(figure, axes, columns=4)
    if not every.size:
        say_nothing_there(axes, theme)
