"""`fracture report`: the page of stored results, drawn again."""

from functools import partial
from pathlib import Path

import click

from ._process import prepare_jax, show


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def report(folder: Path) -> None:
    """Draw tables, figures and the page of FOLDER again from its stored results."""
    prepare_jax(x64=True)
    from .. import experiments, report as reports
    from .._concluding import concluding
    from ..sweeps import exclusive, read_dataset

    with exclusive(folder):
        stored = folder / "analysis.nc"
        analyses = {"analysis": read_dataset(stored)} if stored.exists() else {}
        if analyses and "radius" not in analyses["analysis"]:
            raise ValueError(f"{stored} holds no analysis of fracture.")
        others = [path for path in folder.glob("*.nc") if path != stored]
        results = experiments.load(folder) if others or not analyses else {}
        # What fails there is the file's fault; what fails in printing is not.
        concluded = concluding(stored if analyses else folder)
        draw = concluded(partial(reports.page, results, folder, analyses=analyses))
        show(concluded(reports.tables)(results, analyses=analyses), draw)
