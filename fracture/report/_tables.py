"""Results as tables for a terminal."""

from collections.abc import Mapping

from rich import box
from rich.table import Table
from rich.text import Text

from ..experiments._result import Result
from ._grids import Cell, Column, Grid, fit_line, grids, verdict_line, verdict_word

_STYLES = {"holds": "green", "does not hold": "red", "undecided": "yellow"}


def tables(results: Mapping[str, Result]) -> list[Table]:
    """Tables for a terminal: the verdicts of all experiments, then each with its numbers.

    Parameters
    ----------
    results
        Experiments by name. Whatever a summary holds is shown; `n/a` stands for NaN.

    Returns
    -------
    list of rich.table.Table
        The verdicts, then a heading, tables and exponents for each experiment, to be printed by a
        `rich.console.Console`. A terminal has room for the intervals of the ratios only; `render`
        shows all.
    """
    made = [_verdicts(results)] if any(result.verdicts for result in results.values()) else []
    for result in results.values():
        heading = Table.grid()
        heading.add_row(Text(str(result.dataset.attrs.get("title", "Untitled")), style="bold"))
        made.extend([heading, *map(to_rich, grids(result))])
        if result.fits or result.verdicts:
            made.append(_numbers(result))
    return made


def to_rich(grid: Grid) -> Table:
    """One grid as a rich table; a cell too wide for the terminal breaks before its interval."""
    table = Table(
        title=Text(grid.title),
        title_justify="left",
        caption=Text(f"{grid.note}\n", style="dim italic") if grid.note else None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=0,
    )
    kept = [at for at, column in enumerate(grid.columns) if column.brief != "nothing"]
    for column in (grid.columns[at] for at in kept):
        notes = [column.symbol, *column.unit.split()]  # a word a line: room is for the numbers
        if column.interval and column.brief == "all":
            notes.append(f"[{column.interval}]")
        table.add_column(Text("\n".join(notes)), justify="right", vertical="top", overflow="fold")
    for row in grid.rows:
        table.add_row(*(_text(row[at], grid.columns[at]) for at in kept))
    return table


def _text(cell: Cell, column: Column) -> Text:
    if column.brief != "all" or not cell.interval:
        return Text(cell.value)
    return Text(f"{cell.value} {cell.interval.replace(' ', '')}")


def _verdicts(results: Mapping[str, Result]) -> Table:
    """One line each: what everyone wants to know first."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for result in results.values():
        for verdict in result.verdicts:
            word = verdict_word(verdict)
            table.add_row(Text(word, style=f"bold {_STYLES[word]}"), Text(verdict_line(verdict)))
    table.add_row()
    return table


def _numbers(result: Result) -> Table:
    """Exponents, and what decided the verdicts."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for fit in result.fits:
        table.add_row("exponent", Text(fit_line(fit)))
    for verdict in result.verdicts:
        if verdict.evidence:
            table.add_row("verdict", Text(f"{verdict.law}: {verdict.evidence}"))
    table.add_row()
    return table
