"""Results as tables for a terminal."""

from collections.abc import Mapping

import xarray as xr
from rich import box
from rich.table import Table
from rich.text import Text

from ..experiments import Findings
from ._analysis import analysis_grids, status_line
from ._grids import Cell, Column, Grid
from ._summaries import after_law, evidence_grid, fits_grid, summary_grids

_STYLES = {"holds": "green", "does not hold": "red", "undecided": "yellow"}


def tables(
    findings: Mapping[str, Findings], *, analyses: Mapping[str, xr.Dataset] | None = None
) -> list[Table]:
    """Tables for a terminal: the verdicts of all claims, then each claim and analysis.

    Parameters
    ----------
    findings, analyses
        As of `page`. Whatever a summary holds is shown; `n/a` stands for NaN.

    Returns
    -------
    list of rich.table.Table
        To be printed by a `rich.console.Console`. Where a table would be wider than a terminal,
        intervals are left to the page.
    """
    made = []
    if any(found.verdicts for found in findings.values()):
        made.append(_verdicts(findings))
    for name, found in findings.items():
        made.append(_heading(str(found.dataset.attrs.get("title", name))))
        made.extend(map(to_rich, summary_grids(found)))
        if found.fits:
            made.append(to_rich(fits_grid(found.fits, found.summary)))
        for verdict in found.verdicts:
            if verdict.evidence:
                made.append(to_rich(evidence_grid(verdict)))
    for name, dataset in (analyses or {}).items():
        made.append(_heading(str(dataset.attrs.get("title", name))))
        made.append(_line(status_line(dataset)))
        made.extend(map(to_rich, analysis_grids(dataset)))
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
        min_width=min(len(grid.title) + 1, 72),  # or a short table breaks its title
    )
    kept = [at for at, column in enumerate(grid.columns) if column.brief]
    for column in (grid.columns[at] for at in kept):
        notes = [column.symbol, *column.unit.split()]  # a word a line: room is for the numbers
        if column.interval and column.brief_interval:
            notes.append(f"[{column.interval}]")
        table.add_column(
            Text("\n".join(notes)),
            justify="left" if column.words else "right",
            vertical="top",
            overflow="fold",
        )
    for row in grid.rows:
        table.add_row(*(_text(row[at], grid.columns[at]) for at in kept))
    return table


def _text(cell: Cell, column: Column) -> Text:
    if not (column.brief_interval and cell.interval):
        return Text(cell.value)
    return Text(f"{cell.value} {cell.interval.replace(' ', '')}")


def _verdicts(findings: Mapping[str, Findings]) -> Table:
    """One line each: what everyone wants to know first."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for found in findings.values():
        for verdict in found.verdicts:
            word = Text(verdict.word, style=f"bold {_STYLES[verdict.word]}")
            table.add_row(word, Text(verdict.law + after_law(verdict)))
    table.add_row()
    return table


def _heading(title: str) -> Table:
    return _line(title, style="bold")


def _line(text: str, style: str = "") -> Table:
    line = Table.grid()
    line.add_row(Text(text, style=style))
    return line
