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
    from ..sweeps import exclusive

    with exclusive(folder):
        results = experiments.load(folder)
        # What fails there is the file's fault; what fails in printing is not.
        concluded = concluding(folder)
        draw = concluded(partial(reports.page, results, folder))
        show(concluded(reports.tables)(results), draw)
