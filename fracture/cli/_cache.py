"""`fracture cache`: the compiled programs that the command line keeps."""

import click

from ._process import compilation_cache

_PROGRAMS = "*-cache", "*-atime"  # as JAX calls its files


@click.command()
@click.option("--clear", is_flag=True, help="Remove the programs; they are compiled again.")
def cache(clear: bool) -> None:
    """Say where compiled programs are kept, how many and how large; --clear removes them.

    The environment variable JAX_COMPILATION_CACHE_DIR names another folder.
    """
    folder = compilation_cache()
    files = [path for pattern in _PROGRAMS for path in folder.glob(pattern)]
    count = sum(path.name.endswith("-cache") for path in files)
    size = sum(path.stat().st_size for path in files)
    if clear:
        for path in files:
            path.unlink(missing_ok=True)  # another command may be as tidy
    click.echo(f"{folder}: {count} programs, {size / 1e6:.1f} MB{' removed' * clear}")
