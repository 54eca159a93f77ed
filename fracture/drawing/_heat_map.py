"""A quantity over two axes, each cell with its value in colour and in words."""

from functools import partial

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from ._drawing import Drawing, Theme
from ._format import number
from ._marks import finite, positive, say_nothing_there
from ._words import axis_label, explain, quantity_of, sentences, tex


def heat_map(values: xr.DataArray, *, title: str, note: str = "") -> Drawing:
    """A map of one quantity: its first dimension across, its second one up, colour logarithmic.

    Parameters
    ----------
    values
        Over two axes, positive. Its attributes and those of its axes say what they are; cells
        without a finite positive value stay empty.
    title, note
        As of `against_axis`.

    Returns
    -------
    Drawing
        Every cell has its value written into it.

    Raises
    ------
    ValueError
        For another number of dimensions.
    """
    if values.ndim != 2:
        raise ValueError(f"values must be over two axes, got {values.dims}.")
    across, up = (values[dim] for dim in values.dims)
    quantity = quantity_of(values)
    seen = finite(values)
    ends = f"from {number(seen.min())} to {number(seen.max())}" if seen.size else "n/a"
    return Drawing(
        title=title,
        caption=sentences(
            f"Each cell has the {quantity.symbol} of one {quantity_of(across).symbol} and "
            f"{quantity_of(up).symbol}. {explain((values, across, up))}.",
            note,
        ),
        alt=f"{title}: map of {values.sizes[values.dims[0]]} by {values.sizes[values.dims[1]]} "
        f"cells, {quantity.symbol} {ends}",
        paint=partial(_paint, values),
    )


def _paint(values: xr.DataArray, figure: Figure, theme: Theme) -> None:
    axes = figure.add_subplot()
    across, up = (values[dim] for dim in values.dims)
    shown = np.asarray(values, float).T
    kept = positive(shown)
    axes.grid(False)
    axes.set(xlabel=axis_label(across), ylabel=axis_label(up))
    axes.set_xticks(range(across.size), [f"{at}" for at in across.values.tolist()])
    axes.set_yticks(range(up.size), [f"{at}" for at in up.values.tolist()])
    if not kept.size:
        say_nothing_there(axes, theme)
        return
    low, high = float(kept.min()), float(kept.max())
    norm = LogNorm(low, high if high > low else 1.01 * low)
    usable = np.isfinite(shown) & (shown > 0)
    image = axes.imshow(
        np.where(usable, shown, np.nan), origin="lower", aspect="auto", cmap="viridis", norm=norm
    )
    colours = matplotlib.colormaps["viridis"](norm(np.where(usable, shown, low)))
    for (row, column), value in np.ndenumerate(shown):
        if usable[row, column]:
            bright = float(colours[row, column, :3] @ [0.299, 0.587, 0.114]) > 0.5
            ink = "#000000" if bright else "#ffffff"
            axes.text(column, row, number(value), ha="center", va="center", color=ink)
    bar = figure.colorbar(image, ax=axes, label=tex(quantity_of(values).symbol))
    bar.set_ticks(
        [low, high] if high > low else [low], labels=[number(low), number(high)][: 1 + (high > low)]
    )
    bar.ax.minorticks_off()
