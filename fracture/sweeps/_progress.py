"""What people see while a sweep runs."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

Progress: TypeAlias = Callable[[str, int, int], None]
"""Called as `progress(what, done, total)`, in cells, before and after every chunk."""


@contextlib.contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar on a terminal or in a notebook, a line per step elsewhere; both on standard error.

    `run(sweep, progress=True)` shows it for one sweep; the context is for whatever else takes a
    `progress`, such as `experiments.reproduce`:

    >>> from fracture.sweeps import progress_bar
    >>> with progress_bar() as progress:
    ...     progress("a sweep, d = 8", 0, 2)
    ...     progress("a sweep, d = 16", 2, 2)
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress as Bar,
        TextColumn,
        TimeElapsedColumn,
    )

    console = Console(stderr=True)
    if not (console.is_terminal or console.is_jupyter):
        said: list[str] = []

        def say(what: str, done: int, total: int) -> None:
            if said[-1:] != [what]:
                said.append(what)
                print(f"[{done}/{total}] {what}", file=sys.stderr, flush=True)

        yield say
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console) as bar:
        tasks: dict[str, Any] = {}

        def update(what: str, done: int, total: int) -> None:
            name = what.split(",")[0]
            if name not in tasks:
                tasks[name] = bar.add_task(what, total=total)
            bar.update(tasks[name], description=what, completed=done, total=total)

        yield update


def watching(
    progress: Progress | bool | None,
) -> contextlib.AbstractContextManager[Progress | None]:
    """What `run` calls, for as long as it runs: a bar of its own for True."""
    if progress is True:
        return progress_bar()
    return contextlib.nullcontext(progress or None)
