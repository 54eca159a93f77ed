"""One card per photograph: before, after, what was added, and what the network makes of it."""

import io
from functools import partial
from typing import NamedTuple

import matplotlib.image
import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..drawing import (
    Drawing,
    Theme,
    data_uri,
    log_scale,
    number,
    pixels,
    positive,
    quantity_of,
    say_nothing_there,
    share,
    tex,
)
from ._analysis import layer_names, statuses

_PEAK = 99.8  # percentile of the change that becomes black or white


class Photograph(NamedTuple):
    """A picture on a card."""

    caption: str
    uri: str


class Card(NamedTuple):
    """What the page shows about one photograph."""

    title: str
    sentence: str
    photographs: list[Photograph]
    drawing: Drawing  # spectrum and layers


def cards(dataset: xr.Dataset) -> list[Card]:
    """A card for every example of a dataset with the names of the classes; else none."""
    if "label_name" not in dataset or "images" not in dataset:
        return []
    words = statuses(dataset)
    return [_card(dataset.isel(example=at), words[at]) for at in range(dataset.sizes["example"])]


def _card(one: xr.Dataset, status: str) -> Card:
    label, fooled = str(one["label_name"].values), str(one["adversarial_label_name"].values)
    before, after = share(one["probability"]), share(one["adversarial_probability"])
    clean = pixels(one["images"])
    change = pixels(one["adversarial_images"]) - clean
    shown = [Photograph(f"{label}: {before}", _picture(clean))]
    sentence = f"The network says {fooled}, {after}, before anything is changed."
    if status == "found":
        peak = max(float(np.percentile(np.abs(change), _PEAK)), np.finfo(float).tiny)
        shown.append(Photograph(f"{fooled}: {after}", _picture(clean + change)))
        shown.append(
            Photograph(f"what was added, × {0.5 / peak:.0f}", _picture(0.5 + 0.5 * change / peak))
        )
        sentence = _numbers(one)
    elif status != "misclassified":
        sentence = f"No perturbation: {status}."
    return Card(
        title=f"{label} → {fooled}" if status == "found" else f"{label}: {status}",
        sentence=sentence,
        photographs=shown,
        drawing=Drawing(
            title="Spectrum and layers",
            caption="",
            alt=f"Singular values of the input Jacobian, and compression by layer, for {label}",
            paint=partial(_paint, one),
            size=(5.6, 2.5),
        ),
    )


def _numbers(one: xr.Dataset) -> str:
    said = lambda name: f"{quantity_of(one[name]).symbol} = {number(one[name])}"
    parts = [f"{said('radius')} in l2"]
    if "radius_inf" in one:
        parts.append(f"{number(255 * one['radius_inf'])} of 255 steps in l∞")
    parts.append(f"{said('r_opt')}, towards a {one['other_name'].values}")
    parts.extend(said(name) for name in ("ratio", "rho_net", "effective_rank"))
    return "; ".join(parts) + "."


def _paint(one: xr.Dataset, figure: Figure, theme: Theme) -> None:
    left, right = figure.subplots(1, 2)
    values = np.asarray(one["singular_values"], float)
    left.plot(np.arange(1, values.size + 1), values, color=theme.series[0])
    log_scale(left, "y", values)
    left.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    left.set(xlabel="index k", ylabel=tex(quantity_of(one["singular_values"]).symbol))
    right.set(xlabel="layer", ylabel="compression ratio")
    if "layer_rho" not in one:
        say_nothing_there(right, theme)
        return
    depth = np.arange(len(layer_names(one)))
    for name, style in (("layer_rho", "-"), ("layer_null", "--")):
        shade = theme.series[0] if name == "layer_rho" else theme.muted
        right.plot(depth, one[name], style, color=shade)
    log_scale(right, "y", positive([one["layer_rho"].values, one["layer_null"].values]))
    right.xaxis.set_major_locator(MaxNLocator(5, integer=True))


def _picture(values: np.ndarray) -> str:
    """Pixels in [0, 1] as the data URI of a JPEG file: to be looked at, not measured."""
    shown = (np.clip(values, 0, 1) * 255).round().astype(np.uint8)
    buffer = io.BytesIO()
    options = {"quality": 92}
    matplotlib.image.imsave(
        buffer, shown, format="jpeg", cmap="gray", vmin=0, vmax=255, pil_kwargs=options
    )
    return data_uri("jpeg", buffer.getvalue())
