"""The commands together, and what becomes of their errors."""

import gc
import io
import sys
import warnings
from typing import Any

import click

from .. import __version__
from .._files import printable
from ._analyze import analyze
from ._cache import cache
from ._claims import reproduce, sweep
from ._report import report
from ._status import status


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__)
def cli() -> None:
    """Measure and explain why neural networks are adversarially fragile.

    Results are labelled arrays (netCDF, readable with xarray), figures (PNG, SVG) and one page
    (index.html) in the folder --out.
    """


for command in (sweep, reproduce, analyze, report, status, cache):
    cli.add_command(command)

_ALLOCATIONS = 100_000  # between two looks for garbage


def main() -> None:
    """Run the command line: a misuse is one line on standard error and exit code 2."""
    warnings.showwarning = _warn
    # JAX allocates millions of small objects while it traces, and keeps them: of 200 s that a sweep
    # computed, Python looked for garbage among them for ten, and does for three.
    gc.set_threshold(_ALLOCATIONS, 50)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may know no √
    try:
        arguments = sys.argv[1:] or ["--help"]
        sys.exit(cli.main(arguments, prog_name="fracture", standalone_mode=False))
    except click.ClickException as error:
        _fail(error.format_message())
    except (ValueError, TypeError, OSError) as error:
        _fail(str(error))
    except (click.Abort, KeyboardInterrupt) as error:
        click.echo(": ".join(("Interrupted", *error.args)) + ".", err=True)
        sys.exit(130)


def _fail(message: str) -> None:
    click.echo(f"fracture: error: {_line(message)}", err=True)
    sys.exit(2)


def _warn(message: Warning | str, *_: Any, **__: Any) -> None:
    click.echo(f"fracture: warning: {_line(str(message))}", err=True)


def _line(message: str) -> str:
    return " ".join(printable(message).split())
