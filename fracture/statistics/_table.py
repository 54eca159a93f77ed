"""Summaries along one axis as labelled datasets."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr

from ..vocabulary import Quantity, axis_quantity
from ._places import At, in_order


def table(
    axis: str, columns: Mapping[str, tuple[Mapping[At, Any], Quantity | Mapping[str, Any]]]
) -> xr.Dataset:
    """A dataset over one axis from `NAME: ({place: value}, what it is)`; NaN for no value."""
    places = in_order(at for values, _ in columns.values() for at in values)
    variables = {
        name: (
            axis,
            [values.get(at, np.nan) for at in places],
            what.attrs() if isinstance(what, Quantity) else dict(what),
        )
        for name, (values, what) in columns.items()
    }
    known = axis_quantity(axis).attrs()
    return xr.Dataset(variables, {axis: (axis, places, known)})
