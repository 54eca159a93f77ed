"""Medians over seeds along axes of a claim's own choice, such as layers or times within a cell."""

from collections.abc import Sequence

import xarray as xr

from ... import statistics


def medians_along(
    dataset: xr.Dataset, axes: Sequence[str], names: Sequence[str], suffix: str = ""
) -> xr.Dataset:
    """Medians and their intervals, called after the axes by a suffix; without numbers of seeds."""
    given = dataset[list(names)].assign_attrs(axes=axes)
    made = statistics.each_level(given, lambda one: statistics.median_table(one, names))
    ends = ("", "_lo", "_hi")
    new = {f"{name}{end}": f"{name}{suffix}{end}" for name in names for end in ends}
    return made.drop_vars("seeds").rename(new if suffix else {})
