"""Tables of one analysis: a network and a batch of inputs, measured input by input."""

import itertools
import json
from collections import Counter

import numpy as np
import xarray as xr

from ..drawing import MISSING, count, formatter, interval, quantity_of
from ..perturbation import Status
from ._grids import Cell, Column, Grid, column_of, for_terminal
from ._summaries import GROUPS

READ = ("What the network reads", "Law E, factor by factor")
LAYERS = ("layer_rho", "layer_null", "layer_pvalue", "layer_rank", "layer_effective_rank")
_OF_PAIR = ("radius_pair", "ratio_pair", "midpoint", "secant", "tangent")
_ATTACKED = (
    *("radius", "radius_certified", "certified_share", "radius_relative", "ratio"),
    *_OF_PAIR,
)
_SHOWN, _BRIEF = 20, 5  # inputs; columns that a terminal has room for


def analysis_grids(dataset: xr.Dataset) -> list[Grid]:
    """Summary, layers (where measured) and the first inputs.

    Raises
    ------
    ValueError
        For a dataset without the dimension `example`, or one of a version whose variables had other
        names.
    """
    if "example" not in dataset.dims:
        raise ValueError(f"dataset must have the dimension 'example', got {tuple(dataset.dims)}.")
    if {"radius_pairwise", "rho_margin"} & set(dataset):
        raise ValueError("it is the analysis of an earlier version: analyse again.")
    made = [_summary(dataset)]
    if any(name in dataset for name in LAYERS):
        made.append(_layers(dataset))
    return [*made, *_inputs(dataset)]


def quantities(dataset: xr.Dataset) -> list[str]:
    """What was measured once for each input, in the order of the tables."""
    known = itertools.chain.from_iterable(GROUPS.values())
    return [name for name in known if name in dataset and dataset[name].dims == ("example",)]


def statuses(dataset: xr.Dataset, name: str = "status") -> list[str]:
    """What became of each input, in words; empty where the dataset does not say."""
    if name not in dataset:
        return []
    values = np.asarray(dataset[name]).tolist()
    words = [Status(value).name if isinstance(value, int) else value for value in values]
    return [str(word).lower().replace("_", " ") for word in words]


def status_line(dataset: xr.Dataset) -> str:
    """How many inputs there are and what became of them."""
    counts = Counter(statuses(dataset))
    parts = [f"{number_of} {word}" for word, number_of in sorted(counts.items())]
    total = f"{dataset.sizes['example']} inputs"
    return f"{total}: {', '.join(parts)}." if parts else f"{total}."


def attacked(dataset: xr.Dataset, name: str) -> xr.DataArray:
    """A variable in floating point, NaN at inputs for which its perturbation was not found.

    A misclassified input has radius 0 and one that withstood the attack inf: neither is a
    measurement. Variables that no perturbation enters are as they were.
    """
    values = dataset[name].astype(float)
    needed = ("status", "status_pair") if name in _OF_PAIR else ("status",)
    for status in needed if name in _ATTACKED else ():
        words = statuses(dataset, status)
        if words:
            values = values.where(xr.DataArray([word == "found" for word in words], dims="example"))
    return values


def norm_note(dataset: xr.Dataset) -> str:
    """In which norm radii were measured, as the attribute `options` says; else empty."""
    order = str(json.loads(dataset.attrs.get("options", "{}")).get("ord", ""))
    if order in ("", "2"):
        return "Radii are l2 norms." if order else ""
    name = {"inf": "l∞"}.get(order, f"l{order}")
    return (
        f"Radii and distances are {name} norms, and ρ_net takes the gradient in the dual norm; "
        "spectra, ρ_span and layers are of l2."
    )


def quantiles(values: xr.DataArray) -> np.ndarray:
    """The 5, 25, 50, 75 and 95 % points of the finite values over `example`, NaN if none."""
    rows = np.asarray(values.transpose("example", ...), float)
    rows = rows.reshape(len(rows), int(np.prod(rows.shape[1:])))
    points = np.full((5, rows.shape[1]), np.nan)
    for at, column in enumerate(rows.T):
        finite = column[np.isfinite(column)]
        if finite.size:
            points[:, at] = np.quantile(finite, [0.05, 0.25, 0.5, 0.75, 0.95])
    return points[:, 0] if values.ndim == 1 else points


def _summary(dataset: xr.Dataset) -> Grid:
    columns = (
        *map(Column, ("quantity", "inputs", "median")),
        Column("25–75 %", parts=("25 %", "75 %")),
        Column("5–95 %", parts=("5 %", "95 %")),
        Column("meaning", brief=False, words=True),
    )
    rows = []
    for name in quantities(dataset):
        quantity, show = quantity_of(dataset[name]), formatter(dataset[name])
        values = attacked(dataset, name)
        low, lower, middle, upper, high = (float(point) for point in quantiles(values))
        number_of = int(np.isfinite(values).sum())
        unit = f" ({quantity.unit})" if quantity.unit else ""
        rows.append(
            (
                Cell(quantity.symbol + unit),
                Cell(count(number_of), "", (number_of,)),
                Cell(show(middle), "", (middle,)),
                Cell(interval(lower, upper, show) or MISSING, "", (lower, upper)),
                Cell(interval(low, high, show) or MISSING, "", (low, high)),
                Cell(quantity.meaning),
            )
        )
    note = (
        "Network radii, ratios and the factors μ, κ, τ: of inputs whose perturbation was found. "
        "All else: of every input with a finite value."
    )
    return Grid("Summary", columns, tuple(rows), note if "status" in dataset else "")


def _layers(dataset: xr.Dataset) -> Grid:
    names = [name for name in LAYERS if name in dataset]
    columns = [column_of(dataset, name)._replace(interval="5–95 %") for name in names]
    points = {name: quantiles(dataset[name].transpose("example", "layer")) for name in names}
    rows = tuple(
        (Cell(layer), *(_spread(points[name][:, at], dataset[name]) for name in names))
        for at, layer in enumerate(layer_names(dataset))
    )
    return Grid("Layer by layer", for_terminal((Column("layer"), *columns)), rows)


def _spread(points: np.ndarray, variable: xr.DataArray) -> Cell:
    """Median, and the 5 to 95 % of all inputs."""
    show = formatter(variable)
    low, _, middle, _, high = (float(point) for point in points)
    return Cell(show(middle), interval(low, high, show), (middle, low, high))


def layer_names(dataset: xr.Dataset) -> list[str]:
    """Names of the layers, or their numbers where they have none."""
    return [str(name) for name in np.asarray(dataset["layer"])]


def _class(dataset: xr.Dataset, name: str, at: int) -> str:
    """A class by its name, where it has one."""
    named = f"{name}_name"
    return str(dataset[named if named in dataset else name].values[at]) or "none"


def _inputs(dataset: xr.Dataset) -> list[Grid]:
    """The first inputs, in two tables: one would be wider than a screen."""
    shown = min(_SHOWN, dataset.sizes["example"])
    labels = [n for n in ("label", "adversarial_label") if n in dataset]
    words = statuses(dataset)
    heads = [Column("input"), *(Column("label" if n == "label" else "fooled to") for n in labels)]
    starts = [
        [Cell(str(at)), *(Cell(_class(dataset, n, at)) for n in labels)] for at in range(shown)
    ]
    if words:
        heads.append(Column("status"))
        starts = [[*start, Cell(word)] for start, word in zip(starts, words, strict=False)]
    known, made = quantities(dataset), []
    radii = [name for name in known if name in GROUPS["Radii and ratios"]]
    read = [name for name in known if any(name in GROUPS[title] for title in READ)]
    brief = _BRIEF + ("radius_certified" in radii)
    for title, names in {"radii": radii, "what the network reads": read}.items():
        columns = [
            column_of(dataset, name)._replace(meaning="", brief=at < brief)
            for at, name in enumerate(names)
        ]
        rows = tuple(
            (*start, *(_one(dataset[name], at) for name in names))
            for at, start in enumerate(starts)
        )
        if names or title == "radii":
            made.append(Grid(f"First {shown} inputs: {title}", (*heads, *columns), rows))
        heads, starts = heads[:1], [start[:1] for start in starts]
    return made


def _one(variable: xr.DataArray, at: int) -> Cell:
    value = float(variable.values[at])
    return Cell(formatter(variable)(value), "", (value,))
