"""All that a sweep measured, summarised along its first axis: for sweeps without a claim."""

from collections.abc import Container, Sequence
from functools import partial

import numpy as np
import xarray as xr

from ._exponent import Fit, exponent
from ._medians import median_table, usable
from ._places import At, axes, axis_of, each_level, levels, rows
from ._proportion import proportion
from ._table import table

_INPUTS = "example"  # what the inputs of one seed are called, of which the median is taken
_SHARE_OF_SEEDS = {"cell_methods": "seed: mean"}  # of truth values, as the CF conventions say it
_LEAST_SHARE = 0.9  # of the inputs: medians that leave out more say little about a network


def summarise(dataset: xr.Dataset, names: Sequence[str] | None = None) -> xr.Dataset:
    """Medians over the seeds, with 95 % intervals, of all that a sweep measured.

    Of several inputs of a seed, the dimension `example`, first the median is taken, or the mean of
    shares: the seed is the unit. Where the sweep says which inputs are `correct` and `found`,
    others are left out, and so is a seed in which more than one in ten of the correct ones were
    not found. Truth values, one a seed, become the share of the seeds where they hold, with its
    exact interval.

    Parameters
    ----------
    dataset
        As `sweeps.run` returns it, or `sweeps.read_dataset` reads it.
    names
        Variables; None for all.

    Returns
    -------
    Dataset
        `NAME`, `NAME_lo` and `NAME_hi` over the axes and the dimensions that a variable has within
        a cell, and `seeds`, how many had a finite value of the first variable: what tables and
        figures are made of.

    Raises
    ------
    KeyError
        For a name that the dataset does not have.
    ValueError
        Without variables.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> from fracture.statistics import summarise
    >>> values = np.arange(1.0, 12.0) / np.array([[4.0], [16.0]])
    >>> dataset = xr.Dataset(
    ...     {"ratio": (("dim", "seed"), values)}, {"dim": [4, 16]}, {"axes": ["dim"]}
    ... )
    >>> here = summarise(dataset).sel(dim=4)
    >>> print(*(f"{float(here[f'ratio{end}']):.2f}" for end in ("_lo", "", "_hi")))
    0.50 1.50 2.50
    """
    seeded = _per_seed(dataset, names)
    if not seeded.data_vars:
        raise ValueError("the dataset has no variables to summarise.")
    summarise_level = partial(_columns, _truth_values(dataset))
    groups: dict[tuple[str, ...], list[str]] = {(): []}
    for name, values in seeded.data_vars.items():
        groups.setdefault(_within(values, dataset), []).append(str(name))
    parts = [
        each_level(seeded[group].assign_attrs(axes=[*axes(dataset), *within]), summarise_level)
        for within, group in groups.items()
        if group
    ]
    first, *others = parts
    rest = (part.drop_vars("seeds", errors="ignore") for part in others)
    return xr.merge([first, *rest], join="outer")


def exponents(
    dataset: xr.Dataset, names: Sequence[str] | None = None, *, expected: float | None = None
) -> tuple[Fit, ...]:
    """Exponent of what a sweep measured along its first axis, at each level of the further ones.

    Parameters
    ----------
    dataset
        As of `summarise`, which says how several inputs of a seed are treated.
    names
        Variables of one value a seed and input; None for all but shares, counts and p-values.
    expected
        What theory says of the exponents.

    Returns
    -------
    tuple of Fit
        In the order of the variables; without those that `exponent` has no answer for, and empty
        where the first axis is words.
    """
    seeded = _per_seed(dataset, names)
    fitted = [
        name
        for name, values in seeded.data_vars.items()
        if not _within(values, dataset) and (names or values.attrs.get("form") == "number")
    ]
    found = [
        (exponent(one[name], expected), level) for name in fitted for level, one in levels(seeded)
    ]
    return tuple(fit._replace(level=level) for fit, level in found if fit is not None)


def _per_seed(dataset: xr.Dataset, names: Sequence[str] | None) -> xr.Dataset:
    """One value a seed: what is usable, and of its inputs the median, or the mean of shares."""
    made = dataset[list(dataset.data_vars if names is None else names)].copy()
    keep, known = None, {"correct", "found"} & set(dataset)
    if known == {"correct", "found"} and _INPUTS in dataset["found"].dims:
        keep, share = usable(dataset)
        enough = share >= _LEAST_SHARE
        made = made.assign({"found": share} if "found" in made else {})
    elif "found" in known:
        keep = enough = dataset["found"] > 0
    for name, values in made.data_vars.items():
        share_like = values.attrs.get("form") == "share"
        if keep is not None and not share_like and set(keep.dims) <= set(values.dims):
            values = values.where(keep & enough)
        if _INPUTS in values.dims:
            middle = values.astype(float)
            middle = middle.mean(_INPUTS) if share_like else middle.median(_INPUTS)
            values = middle.assign_attrs(values.attrs)
        made[name] = values
    return made


def _within(values: xr.DataArray, dataset: xr.Dataset) -> tuple[str, ...]:
    """Dimensions of a variable within a cell."""
    return tuple(str(dim) for dim in values.dims if dim not in (*axes(dataset), "seed"))


def _truth_values(dataset: xr.Dataset) -> set[str]:
    """Variables that are true or false, one value a seed; as numbers where some are missing."""
    return {
        str(name)
        for name, values in dataset.data_vars.items()
        if (values.dtype == bool or "flag_meanings" in values.attrs)
        and values.attrs.get("form") == "share"
        and _INPUTS not in values.dims
    }


def _columns(truths: Container[str], dataset: xr.Dataset) -> xr.Dataset:
    """What `summarise` makes of variables over one axis and `seed`."""
    names = [str(name) for name in dataset.data_vars]
    made = [_shares(dataset[name]) for name in names if name in truths]
    measured = [name for name in names if name not in truths]
    if measured:
        made.insert(0, median_table(dataset, measured))
    return xr.merge(made, join="outer")


def _shares(values: xr.DataArray) -> xr.Dataset:
    """The share of seeds where truth values hold."""
    found: dict[At, np.ndarray] = rows(values)
    ends = {at: proportion(int((row > 0).sum()), row.size) for at, row in found.items()}
    columns = {
        f"{values.name}{suffix}": (
            {at: getattr(i, field) for at, i in ends.items()},
            {**values.attrs, **_SHARE_OF_SEEDS},
        )
        for suffix, field in {"": "value", "_lo": "low", "_hi": "high"}.items()
    }
    return table(axis_of(values), columns)
