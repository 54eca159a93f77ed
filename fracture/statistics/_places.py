"""Where along its axes a sweep has values, and what is made of each level of the further ones."""

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import numpy as np
import xarray as xr

from ..vocabulary import level

At: TypeAlias = Any  # a value of an axis: a number or a word


def rows(values: xr.DataArray) -> dict[At, np.ndarray]:
    """The finite values at each place of the axis, one per seed; places without are left out."""
    axis = axis_of(values)
    ordered = values.transpose(axis, "seed")
    found = zip(values[axis].values.tolist(), np.asarray(ordered, np.float64), strict=True)
    kept = {at: row[np.isfinite(row)] for at, row in found}
    return {at: row for at, row in kept.items() if row.size}


def in_order(places: Iterable[At]) -> list[At]:
    """Each place once: numbers from the smallest, words, which have no order, as they appear."""
    found = list(dict.fromkeys(places))
    return found if any(isinstance(at, str) for at in found) else sorted(found)


def axis_of(values: xr.DataArray) -> str:
    """The axis of an array over one axis and `seed`.

    Raises
    ------
    ValueError
        Where it has others.
    """
    axes = [str(dim) for dim in values.dims if dim != "seed"]
    if len(axes) != 1 or "seed" not in values.dims:
        raise ValueError(f"values must be over one axis and 'seed', got {values.dims}.")
    return axes[0]


def axes(dataset: xr.Dataset) -> list[str]:
    """Names of the axes of a sweep, the first of which is summarised along."""
    return [str(axis) for axis in np.atleast_1d(dataset.attrs["axes"])]


def levels(dataset: xr.Dataset) -> Iterator[tuple[str, xr.Dataset]]:
    """Each level of the further axes in words, such as `L = 2` or `mse`, and the dataset there.

    One level without a name where there is one axis only.
    """
    first, *factors = axes(dataset)
    for values in itertools.product(*(dataset[factor].values.tolist() for factor in factors)):
        at = dict(zip(factors, values, strict=True))
        words = ", ".join(level(name, value, dataset[name].attrs) for name, value in at.items())
        yield words, dataset.sel(at).assign_attrs(axes=[first])


def pooled(dataset: xr.Dataset, along: str) -> xr.Dataset:
    """Independent draws within a cell, such as along `draw`, as seeds of their own.

    For what is drawn anew at each place of `along`: measurements that share a network or a data set
    are no seeds.
    """
    bare = dataset.drop_vars(["seed", along], errors="ignore")
    stacked = bare.stack(pooled=("seed", along), create_index=False).rename(pooled="seed")
    seeds = np.atleast_1d(dataset.attrs["seeds"]) * dataset.sizes[along]
    return stacked.assign_attrs(seeds=seeds.tolist())


def each_level(dataset: xr.Dataset, summarise: Callable[[xr.Dataset], xr.Dataset]) -> xr.Dataset:
    """What `summarise` makes of each level of the further axes, put together along them."""
    along, *factors = axes(dataset)
    if not factors:
        return summarise(dataset)
    first, *rest = factors
    parts = [
        each_level(dataset.sel({first: at}).assign_attrs(axes=[along, *rest]), summarise)
        for at in dataset[first].values.tolist()
    ]
    made = xr.concat(parts, dataset[first], join="outer").transpose(along, ...)
    known = set(made[along].values.tolist())  # an outer join sorts words too
    return made.sel({along: in_order(at for at in dataset[along].values.tolist() if at in known)})
