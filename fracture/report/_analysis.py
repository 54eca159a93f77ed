"""Tables of one analysis: a network and a batch of inputs, measured input by input."""

import json
from collections import Counter

import numpy as np
import xarray as xr
from rich.table import Table
from rich.text import Text

from ..drawing import MISSING, count, interval
from ..perturbation import Status
from ._grids import Cell, Column, Grid
from ._symbols import symbol, unit
from ._tables import to_rich

RADII = (
    "radius",
    "radius_relative",
    "r_opt",
    "ratio",
    "radius_pair",
    "ratio_pair",
)
READ = (
    "rho_net",
    "midpoint",
    "secant",
    "tangent",
    "box",
    "rho_span",
    "null_ratio",
    "null_pvalue",
    "effective_rank",
    "participation_ratio",
    "stable_rank",
)
QUANTITIES = (*RADII, *READ)
_BRIEF = (
    *("radius", "radius_relative", "r_opt", "ratio"),
    *("rho_net", "rho_span", "null_ratio", "null_pvalue", "effective_rank"),
)
LAYERS = ("layer_rho", "layer_null", "layer_pvalue", "layer_rank", "layer_effective_rank")
_SPREAD = ("layer_rho", "layer_effective_rank")  # with intervals in a terminal, too
_PAIRWISE = ("radius_pair", "ratio_pair", "midpoint", "secant", "tangent")
_ATTACKED = ("radius", "radius_relative", "ratio", *_PAIRWISE)
_SHOWN = 20


def analysis_tables(dataset: xr.Dataset) -> list[Table]:
    """Tables of an analysis for a terminal: summary, layers, and the first inputs.

    Parameters
    ----------
    dataset
        Variables over `example`, as described at `analysis_page`.

    Returns
    -------
    list of rich.table.Table
        To be printed by a `rich.console.Console`.
    """
    status = Table.grid()
    status.add_row(Text(status_line(dataset)))
    return [status, *map(to_rich, analysis_grids(dataset))]


def analysis_grids(dataset: xr.Dataset) -> list[Grid]:
    """Summary, layers (where measured) and the first inputs."""
    if "example" not in dataset.dims:
        raise ValueError(f"dataset must have the dimension 'example', got {tuple(dataset.dims)}.")
    made = [_summary(dataset)]
    if any(name in dataset for name in LAYERS):
        made.append(_layers(dataset))
    return [*made, *_inputs(dataset)]


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
    needed = ("status", "status_pair") if name in _PAIRWISE else ("status",)
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
        Column("quantity"),
        Column("inputs"),
        Column("median"),
        Column("25–75 %"),
        Column("5–95 %"),
    )
    rows = []
    for name in QUANTITIES:
        if name in dataset:
            text, _, show = symbol(name)
            units = unit(dataset, name)
            values = attacked(dataset, name)
            low, lower, middle, upper, high = quantiles(values)
            rows.append(
                (
                    Cell(f"{text} ({units})" if units else text),
                    Cell(count(np.isfinite(values).sum())),
                    Cell(show(middle)),
                    Cell(interval(lower, upper, show) or MISSING),
                    Cell(interval(low, high, show) or MISSING),
                )
            )
    note = (
        "Network radii, ratios and the factors μ, κ, τ: of inputs whose perturbation was found. "
        "All else: of every input with a finite value."
    )
    return Grid("Summary", columns, tuple(rows), note if "status" in dataset else "")


def _layers(dataset: xr.Dataset) -> Grid:
    names = [name for name in LAYERS if name in dataset]
    heads = (symbol(name) for name in names)
    columns = [
        Column(head.text, head.meaning, "", "5–95 %", "all" if name in _SPREAD else "value")
        for name, head in zip(names, heads, strict=True)
    ]
    points = {name: quantiles(dataset[name].transpose("example", "layer")) for name in names}
    rows = tuple(
        (
            Cell(layer),
            *(
                Cell(
                    symbol(name).show(points[name][2, at]),
                    interval(points[name][0, at], points[name][4, at], symbol(name).show),
                )
                for name in names
            ),
        )
        for at, layer in enumerate(layer_names(dataset))
    )
    return Grid("Layer by layer", (Column("layer"), *columns), rows)


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
    made = []
    for title, kept in {"radii": RADII, "what the network reads": READ}.items():
        names = [name for name in kept if name in dataset]
        columns = [
            Column(
                symbol(name).text,
                unit=unit(dataset, name),
                brief="all" if name in _BRIEF else "nothing",
            )
            for name in names
        ]
        rows = tuple(
            (*start, *(Cell(symbol(name).show(dataset[name].values[at])) for name in names))
            for at, start in enumerate(starts)
        )
        if names or title == "radii":
            made.append(Grid(f"First {shown} inputs: {title}", (*heads, *columns), rows))
        heads, starts = heads[:1], [start[:1] for start in starts]
    return made
