"""`fracture status`: how far the sweeps in a folder are."""

from pathlib import Path

import click


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def status(folder: Path) -> None:
    """Say what is done of the sweeps in FOLDER, what is being computed, and what failed.

    Stored chunks are read and checked; nothing is changed. A chunk that failed, is damaged or
    was interrupted is computed again when the command that made the folder is given again.
    """
    from .._files import printable
    from ..sweeps import status

    found = status(folder)
    if not found:
        click.echo(f"{folder} holds no sweeps.")
    for sweep in found:
        states = {"done": 0, **sweep.counts}
        parts = [f"{states.pop('done')} of {sum(sweep.counts.values())} chunks done"]
        parts += [f"{count} {state}" for state, count in sorted(states.items())]
        click.echo(f"{sweep.name}: {', '.join(parts)}; {sweep.holder or 'nothing is running'}")
        for name, state, why in sweep.remarks:
            click.echo(f"  {state:9}  {name}: {' '.join(printable(why).split())}")
