"""Figures of one analysis: radii, law E, spectrum, layers, and a gallery of images."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..certificates import Bracket, Certificate
from ..drawing import (
    Drawing,
    Theme,
    axis_label,
    channels,
    explain,
    legend_below,
    log_scale,
    name_lines,
    number,
    pixels,
    positive,
    quantity_of,
    robustness_curve,
    say_nothing_there,
    scatter,
    tex,
)
from ..perturbation import Perturbation, Status
from ..vocabulary import quantity
from ._analysis import attacked, layer_names, quantiles, statuses

_SHOWN = 6
_BANDS = "Line and band: median and 5 to 95 % over inputs."
_READ = ("rho_net", "rho_span")
_ENDING = {  # what a linear network would do
    "ratio_pair": (
        "r_pair/r_opt is exactly ρ_net · μ · κ · τ, times β in a box. An affine network whose "
        "boundary passes through the midpoint to the nearest reference (μ = 1) puts ρ_net, times β "
        "in a box, on the dashed line."
    ),
    "ratio": (
        "The nearest boundary may be another class's than the displacement's: even an affine "
        "network need not put ρ_net on the dashed line."
    ),
}
_LAYER_RHO = ("layer_rho", "layer_null")
_LAYER_RANK = ("layer_rank", "layer_effective_rank")


def analysis_figures(dataset: xr.Dataset) -> dict[str, Drawing]:
    """Figures of an analysis, by name.

    Parameters
    ----------
    dataset
        Variables over `example`, as described at `page`; they decide what there is.

    Returns
    -------
    dict of str to Drawing
        Among `radii`, `brackets`, `robust-accuracy`, `compression`, `spectrum`, `layers`,
        `layer-ranks` and `gallery`.
    """
    made = {}
    if "radius" in dataset:
        made["radii"] = _radii(dataset)
    if "radius_certified" in dataset:
        made["brackets"] = _brackets(dataset)
    if "radius" in dataset and statuses(dataset):
        made["robust-accuracy"] = robustness_curve(
            _searched(dataset), unit=quantity_of(dataset["radius"]).unit
        )
    if any(n in dataset for n in _ENDING) and any(n in dataset for n in _READ):
        made["compression"] = _compression(dataset)
    if "singular_values" in dataset:
        made["spectrum"] = _spectrum(dataset["singular_values"])
    if any(name in dataset for name in _LAYER_RHO):
        made["layers"] = Drawing(
            title="Compression layer by layer",
            caption=_explained(dataset, _LAYER_RHO) + _BANDS,
            alt="Compression ratio of each layer from input to output",
            paint=partial(_paint_layers, dataset, _LAYER_RHO, "compression ratio"),
        )
    if any(name in dataset for name in _LAYER_RANK):
        made["layer-ranks"] = Drawing(
            title="Directions read at each layer",
            caption=_explained(dataset, _LAYER_RANK) + _BANDS,
            alt="Rank and effective rank of each layer from input to output",
            paint=partial(_paint_layers, dataset, _LAYER_RANK, "directions (count)"),
        )
    named = "label_name" in dataset  # then the page has a card for every image
    if "images" in dataset and "adversarial_images" in dataset and not named:
        made["gallery"] = _gallery(dataset)
    return made


def _explained(dataset: xr.Dataset, names: Sequence[str]) -> str:
    return explain((dataset[name] for name in names if name in dataset), dataset) + ". "


def _radii(dataset: xr.Dataset) -> Drawing:
    values, quantity = attacked(dataset, "radius"), quantity_of(dataset["radius"])
    kept, missing = positive(values), values.size - positive(values).size
    return Drawing(
        title="Smallest perturbations found",
        caption=(
            f"Histogram of {quantity.symbol}; the line is the median. "
            f"{_explained(dataset, ['radius'])}Left out: {missing} of {values.size} inputs, "
            "misclassified already or without a perturbation found."
        ),
        alt=f"Histogram of {kept.size} radii with median "
        + number(np.median(kept) if kept.size else np.nan),
        paint=partial(_paint_radii, kept, f"{tex(quantity.symbol)} ({quantity.unit})"),
    )


def _brackets(dataset: xr.Dataset) -> Drawing:
    high, low = (np.asarray(attacked(dataset, n)) for n in ("radius", "radius_certified"))
    kept = np.argsort(high)[: int(np.isfinite(high).sum())]
    low, high = low[kept], high[kept]
    share = float(np.median(low / high)) if kept.size else np.nan
    return Drawing(
        title="Where the smallest perturbation lies",
        caption=(
            "One bar for each input, from what is certified to what was found; the norm of the "
            f"smallest perturbation is on it. {_explained(dataset, ['radius', 'radius_certified'])}"
            f"Left out: {dataset.sizes['example'] - kept.size} of {dataset.sizes['example']} "
            "inputs, misclassified already or without a perturbation found."
        ),
        alt=f"{kept.size} brackets by radius found; certified over found is {number(share)} at the "
        "median",
        paint=partial(_paint_brackets, low, high, quantity_of(dataset["radius"]).unit),
    )


def _paint_brackets(
    low: np.ndarray, high: np.ndarray, unit: str, figure: Figure, theme: Theme
) -> None:
    axes, rank = figure.add_subplot(), np.arange(1, high.size + 1)
    if not high.size:
        say_nothing_there(axes, theme)
        return
    style: dict[str, Any] = {"linestyle": "none", "markersize": 4}
    axes.vlines(rank, low, high, color=theme.series[0], alpha=0.35, linewidth=2)
    axes.plot(rank, high, "o", color=theme.series[0], label="found", **style)
    axes.plot(rank, low, "^", color=theme.series[1], label="certified", **style)
    axes.set(xlabel="inputs, by the radius found", ylabel=f"radius ({unit})")
    axes.set_ylim(0, 1.05 * high.max())
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_below(figure, axes)


def _searched(dataset: xr.Dataset) -> Perturbation | Bracket:
    """What a dataset keeps of searches and certificates: their norms, and how they ended."""
    norm: Any = np.asarray(dataset["radius"], float)
    status: Any = np.array([Status[word.upper().replace(" ", "_")] for word in statuses(dataset)])
    gone: Any = None  # not kept, and not drawn
    found = Perturbation(gone, norm, norm < np.inf, gone, gone, gone, status)
    if "radius_certified" not in dataset:
        return found
    radius: Any = np.asarray(dataset["radius_certified"], float)
    said: Any = np.asarray(dataset["status_certified"])
    return Bracket(Certificate(radius, gone, gone, said, gone), found)


def _paint_radii(values: np.ndarray, label: str, figure: Figure, theme: Theme) -> None:
    axes = figure.add_subplot()
    axes.set_xlabel(label)
    axes.set_ylabel("inputs (count)")
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    if not values.size:
        say_nothing_there(axes, theme)
        return
    low, high = values.min(), values.max()
    bins = int(np.clip(2 * values.size**0.5, 8, 40))
    edges: np.ndarray = np.linspace(0, high * 1.02, bins + 1)
    if high / low > 100:
        edges = np.geomspace(low / 1.02, high * 1.02, bins + 1)
    axes.hist(values, edges.tolist(), color=theme.series[0], edgecolor=theme.surface, linewidth=0.6)
    middle = float(np.median(values))
    axes.axvline(middle, color=theme.ink, linestyle="--", linewidth=1.2, label="median")
    if high / low > 100:
        log_scale(axes, "x", values)
    legend_below(figure, axes)


def _compression(dataset: xr.Dataset) -> Drawing:
    name = next(name for name in _ENDING if name in dataset)
    ratio = attacked(dataset, name).assign_attrs(dataset[name].attrs).rename(name)
    read = [dataset[known].astype(float) for known in _READ if known in dataset]
    if name == "ratio_pair" and "box" in dataset and read[0].name == "rho_net":
        said = quantity("rho_net", symbol="ρ_net · β", meaning="ρ_net times the factor of the box")
        read[0] = (dataset["rho_net"] * dataset["box"]).assign_attrs(said.attrs())
    return scatter(
        read,
        ratio,
        title="Fragility ratio against compression",
        xlabel="compression ratio",
        ylabel=f"fragility ratio  {tex(quantity_of(ratio).symbol)}",
        within=dataset,
        note=_ENDING[name],
    )


def _spectrum(values: xr.DataArray) -> Drawing:
    points = quantiles(values.transpose("example", ...))
    # Below this share of the largest, rounding: not worth empty decades.
    cut = points.shape[1] * float(np.finfo(values.dtype).eps)
    return Drawing(
        title="Singular values of the input Jacobian",
        caption=(
            f"{explain([values])}: how strongly the network reads its k-th direction. {_BANDS} "
            f"Left out as rounding: below {number(cut)} of the largest."
        ),
        alt=f"Singular values by index k, median {number(points[2, 0])} at k = 1 and "
        f"{number(points[2, -1])} at k = {points.shape[1]}",
        paint=partial(_paint_spectrum, points, cut, axis_label(values)),
    )


def _paint_spectrum(
    points: np.ndarray, cut: float, label: str, figure: Figure, theme: Theme
) -> None:
    axes, index = figure.add_subplot(), np.arange(1, points.shape[1] + 1)
    points = np.where(points > cut * np.max(points, initial=0, where=points > 0), points, np.nan)
    low, _, middle, _, high = points
    if np.isfinite(middle).any():
        style: dict[str, Any] = {"marker": "o", "color": theme.series[0], "label": "median"}
        axes.plot(index, middle, **style)
        axes.fill_between(
            index, low, high, color=theme.series[0], alpha=0.16, linewidth=0, label="5–95 %"
        )
        log_scale(axes, "y", [low, middle, high])
    else:
        say_nothing_there(axes, theme)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("index k")
    axes.set_ylabel(label)
    legend_below(figure, axes)


def _paint_layers(
    dataset: xr.Dataset, names: Sequence[str], label: str, figure: Figure, theme: Theme
) -> None:
    axes, seen = figure.add_subplot(), [np.empty(0)]
    layers = layer_names(dataset)
    index = np.arange(len(layers))
    for at, name in enumerate(name for name in names if name in dataset):
        series = tex(quantity_of(dataset[name]).symbol)
        points = quantiles(dataset[name].transpose("example", "layer"))
        low, _, middle, _, high = np.where(points > 0, points, np.nan)
        style: dict[str, Any] = {"marker": "os"[at], "color": theme.series[at], "label": series}
        axes.plot(index, middle, linestyle=("-", "--")[at], **style)
        axes.fill_between(index, low, high, color=theme.series[at], alpha=0.14, linewidth=0)
        seen.append(positive([low, middle, high]))
    drawn = np.concatenate(seen)
    if names is _LAYER_RANK:  # counts, of similar size
        axes.set_ylim(0, 1.08 * drawn.max(initial=1))
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        log_scale(axes, "y", drawn)
    axes.set_xlabel("layer, from input to output")
    if len(layers) > 10:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_xlabel("layer, as in the table: 0 is the input")
    else:
        long = sum(map(len, layers)) > 40
        axes.set_xticks(index, layers, rotation=40 if long else 0, ha="right" if long else "center")
    axes.set_ylabel(label)
    name_lines(figure, axes)
    if not drawn.size:
        say_nothing_there(axes, theme)


def _gallery(dataset: xr.Dataset) -> Drawing:
    words = statuses(dataset) or ["found"] * dataset.sizes["example"]
    kept = [at for at, word in enumerate(words) if word == "found"][:_SHOWN]
    clean = pixels(dataset["images"].isel(example=kept))
    fooled = pixels(dataset["adversarial_images"].isel(example=kept))
    number_of = channels(dataset["images"])
    scale = "mid-grey is no change" if number_of == 3 else "blue is negative, red positive"
    averaged = number_of not in (0, 1, 3)
    means = f" Of the {number_of} channels, the mean is shown." if averaged else ""
    titles = [""] * len(kept)
    if "label" in dataset and "adversarial_label" in dataset:
        labels, others = (dataset[n].values for n in ("label", "adversarial_label"))
        titles = [f"{labels[at]} → {others[at]}" for at in kept]
    return Drawing(
        title="Images, and what fools the network",
        caption=(
            "Top: inputs; above them their label and the one that the network gives after the "
            "perturbation. Middle: the same with the smallest perturbation found. Bottom: the "
            f"perturbation alone, each scaled to its own largest entry ({scale}).{means}"
        ),
        alt=f"Gallery of {len(kept)} images: clean, perturbed, and their difference amplified",
        paint=partial(_paint_gallery, clean, fooled, titles),
        size=(7.2, 4.2),
    )


def _paint_gallery(
    clean: np.ndarray, fooled: np.ndarray, titles: list[str], figure: Figure, theme: Theme
) -> None:
    if not titles:
        say_nothing_there(figure.add_subplot(), theme)
        return
    grid = figure.subplots(3, len(titles), squeeze=False)
    low, high = float(np.nanmin(clean)), float(np.nanmax(clean))
    width = max(high - low, np.finfo(float).tiny)
    for column, (image, other, title) in enumerate(zip(clean, fooled, titles, strict=True)):
        change = other - image
        largest = max(float(np.abs(change).max()), np.finfo(float).tiny)
        for row, whole in enumerate((image, other)):
            shown = ((whole - low) / width).clip(0, 1)
            _show(grid[row, column], shown, "gray", 0.0)
        if change.shape[2:] == (3,):
            _show(grid[2, column], 0.5 + 0.5 * change / largest, None, 0.0)
        else:
            _show(grid[2, column], change / largest, "RdBu_r", -1.0)
        grid[0, column].set_title(title)
    for row, name in enumerate(("clean", "perturbed", "difference")):
        grid[row, 0].set_ylabel(name)


def _show(axes: Axes, shown: np.ndarray, colours: str | None, low: float) -> None:
    """Show pixels between `low` and 1."""
    axes.imshow(shown, cmap=colours, vmin=low, vmax=1, interpolation="nearest")
    axes.set(xticks=[], yticks=[])
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
