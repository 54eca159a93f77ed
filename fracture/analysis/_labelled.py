"""The fields of an analysis as a labelled dataset, for tables, figures and files."""

from typing import Any, NamedTuple

import jax
import numpy as np
import xarray as xr

from .. import theory
from ..vocabulary import QUANTITIES, quantity
from ._analyze import Analysis

_DISTANCE = "half the distance to the nearest reference of another class"
_HERE = {  # what differs from the vocabulary
    "r_opt": quantity("r_opt", meaning=_DISTANCE, bound="upper"),
    "ratio_pair": quantity(
        "ratio_pair", symbol="r_pair/r_opt", meaning="ratio to the class of the nearest reference"
    ),
}
_LAYERS = {
    "layer_rho": "ratio",
    "layer_null": "null_ratio",
    "layer_rank": "rank",
    "layer_effective_rank": "effective_rank",
}


class Images(NamedTuple):
    """Labelled images, `inputs[n, …]` and `labels[n]`."""

    inputs: jax.Array
    labels: jax.Array


def labelled(result: Analysis, queries: Images | None = None) -> xr.Dataset:
    """The fields of an analysis as variables over `example`, and the images.

    Parameters
    ----------
    result, queries
        What `analyze` returned, and the inputs and labels that it was asked about; None where no
        table or figure needs them.

    Returns
    -------
    xarray.Dataset
        Each variable carries the attributes of `vocabulary.Quantity`, from which `report` makes
        tables and figures. Inputs of two or three axes are kept as `images`, with what fools the
        network as `adversarial_images`.
    """
    known = {name: field for name, field in result._asdict().items() if field is not None}
    fields = jax.device_get(known)
    variables: dict[str, Any] = {}
    if queries is not None:
        variables["label"] = "example", np.asarray(queries.labels)
    for name, values in fields.items():
        if name in ("layers", "delta"):
            continue
        dims = ("example", "rank")[: values.ndim]
        variables[name] = dims, values, _attrs(name)
    if "radius_certified" in fields:
        radius, least = fields["radius"], fields["radius_certified"]
        share = np.divide(least, radius, out=np.full_like(radius, np.nan), where=radius > 0)
        variables["certified_share"] = "example", share, _attrs("certified_share")
    layers = fields.get("layers")
    if layers is not None:
        for name, field in _LAYERS.items():
            variables[name] = ("example", "layer"), getattr(layers, field), _attrs(name)
        chance = theory.null_pvalue(layers.ratio, layers.rank, layers.dim)
        dims = ("example", "layer")
        variables["layer_pvalue"] = dims, np.asarray(chance), _attrs("layer_pvalue")
        depth = layers.ratio.shape[1]
        variables["layer"] = ["input", *(f"after stage {i}" for i in range(1, depth))]
    inputs = np.empty(0) if queries is None else np.asarray(queries.inputs)
    if inputs.ndim in (3, 4):
        axes = ["example", "height", "width"]
        if inputs.ndim == 4:
            axes.insert(_channel_axis(inputs.shape), "channel")
        variables["images"] = (axes, inputs)
        variables["adversarial_images"] = (axes, inputs + fields["delta"])
    return xr.Dataset(variables)


def _attrs(name: str) -> dict[str, str]:
    """What is known of a field; nothing of labels, indices and states."""
    known = _HERE.get(name) or QUANTITIES.get(name)
    return {} if known is None else known.attrs()


def _channel_axis(shape: tuple[int, ...]) -> int:
    """Where images `(n, …, …, …)` have their channels: last, unless the first axis is likelier.

    A grey or coloured image has 1 or 3, another one fewer channels than pixels.
    """
    first, last = shape[1], shape[-1]
    if last in (1, 3) or (first not in (1, 3) and last <= first):
        return 3
    return 1
