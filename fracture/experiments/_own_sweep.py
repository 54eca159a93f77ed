"""What is concluded of a sweep that no claim judges: its summary, without verdicts."""

import xarray as xr

from ..statistics import exponents, summarise
from ._findings import Findings


def of_sweep(dataset: xr.Dataset) -> Findings:
    """Summarise a sweep of one's own, and fit its exponents, for tables and a page.

    Parameters
    ----------
    dataset
        As `sweeps.run` returns it, or `sweeps.read_dataset` reads it. Its attributes `title` and
        `description`, where it has them, introduce it on the page.

    Returns
    -------
    Findings
        Without verdicts: no law is claimed.
    """
    title = str(dataset.attrs["experiment"]).replace("_", " ")
    known = {"title": title[:1].upper() + title[1:], **dataset.attrs}
    return Findings(dataset.assign_attrs(known), summarise(dataset), exponents(dataset))


def is_sweep(dataset: xr.Dataset) -> bool:
    """Whether `sweeps.run` made a dataset, and not for a claim."""
    return {"experiment", "axes"} <= set(dataset.attrs) and "claim" not in dataset.attrs
