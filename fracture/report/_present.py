"""One result of any kind, shown in one call."""

from pathlib import Path

import xarray as xr
from rich.console import Console

from ..analysis import Analysis, Images, labelled
from ..experiments import Findings, of_sweep
from ._page import page
from ._tables import tables


def present(
    result: Findings | Analysis | xr.Dataset,
    out: Path | None = None,
    *,
    queries: Images | None = None,
    title: str = "",
    description: str = "",
    console: Console | None = None,
) -> Path | None:
    """Print the tables of one result, and write its page.

    Parameters
    ----------
    result
        What `analysis.analyze` returned, or a dataset of `analysis.labelled`, `of_images` and their
        like; what `sweeps.run` returned; or the `Findings` of a claim.
    out
        Folder for `index.html` and the figures, as of `page`; None for tables alone.
    queries
        Inputs and labels that an `Analysis` was asked about: labels go into the tables, images on
        the page.
    title, description
        What to call it, and a few words about it; empty for what the result says itself.
    console
        Where the tables are printed; None for standard output, or the notebook.

    Returns
    -------
    Path or None
        The page, where there is one.

    Raises
    ------
    TypeError
        For a result of another kind.
    ValueError
        As of `page`.
    """
    said = {"title": title, "description": description}
    said = {name: text for name, text in said.items() if text}
    if isinstance(result, Analysis):
        result = labelled(result, queries)
    if isinstance(result, xr.Dataset) and "axes" in result.attrs:
        result = of_sweep(result)
    findings, analyses = {}, {}
    if isinstance(result, Findings):
        dataset = result.dataset.assign_attrs(said)
        findings[str(dataset.attrs["experiment"])] = result._replace(dataset=dataset)
    elif isinstance(result, xr.Dataset):
        analyses["analysis"] = result.assign_attrs(said)
    else:
        raise TypeError(
            "result must be an Analysis, a dataset of a sweep or an analysis, or Findings; got "
            f"{type(result).__name__}."
        )
    console = console or Console()
    for table in tables(findings, analyses=analyses):
        console.print(table)
    return None if out is None else page(findings, out, analyses=analyses)
