"""A table before the terminal, the page or a file gives it a form."""

import csv
import io
import math
import re
from collections.abc import Sequence
from typing import NamedTuple, SupportsFloat

import xarray as xr

from ..drawing import count, ends, formatter, interval, number, quantity_of

_WIDE, _NARROW, _TERMINAL = 16, 7, 80  # characters of a column with and without an interval


class Cell(NamedTuple):
    """One entry: a value and its interval as people read them, and the numbers themselves."""

    value: str = ""
    interval: str = ""
    numbers: tuple[float, ...] = ()  # the value, and the ends of the interval where there is one


class Column(NamedTuple):
    """Heading of a column, and whether a terminal has room for it and for its intervals."""

    symbol: str
    meaning: str = ""
    unit: str = ""
    interval: str = ""  # what the intervals are; empty if there are none
    brief: bool = True
    brief_interval: bool = True
    words: bool = False  # phrases, which stand at the left
    parts: tuple[str, ...] = ()  # what its numbers are in a file, if not a value and its interval


class Grid(NamedTuple):
    """One table."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""  # what holds for all of it

    def csv(self) -> str:
        """The table as comma-separated values: all digits, intervals in columns, NaN empty."""
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        heads = [_heads(column) for column in self.columns]
        writer.writerow([head for column in heads for head in column])
        for row in self.rows:
            entries = (_entries(cell, len(head)) for cell, head in zip(row, heads, strict=True))
            writer.writerow([entry for cell in entries for entry in cell])
        return buffer.getvalue()


def _heads(column: Column) -> list[str]:
    unit = f" ({column.unit})" if column.unit else ""
    ends = ("", " low", " high") if column.interval else ("",)
    names = column.parts or [column.symbol + end for end in ends]
    return [_text(name + unit) for name in names]


def _entries(cell: Cell, wanted: int) -> list[str]:
    entries = [_digits(number) for number in cell.numbers] or [_text(cell.value)]
    return [*entries, "", ""][:wanted]


def _digits(number: SupportsFloat) -> str:
    """All digits, such as `0.1`, `16` and `-inf`; empty for NaN."""
    return "" if math.isnan(float(number)) else repr(float(number)).removesuffix(".0")


def _text(words: str) -> str:
    """Words that a spreadsheet takes for no formula: with an apostrophe where it would."""
    formula = words.startswith(("=", "+", "-", "@", "\t", "\r"))
    return f"'{words}" if formula and not re.fullmatch(r"[+-]?\d+(\.\d+)?", words) else words


def column_of(data: xr.Dataset, name: str) -> Column:
    """The heading of a variable; a law has an interval for single seeds, others one of a median."""
    quantity, kind = quantity_of(data[name]), ""
    if ends(data, name):
        kind = "90 % interval" if name.startswith("predicted_") else "95 % CI"
    return Column(quantity.symbol, quantity.meaning, quantity.unit, kind)


def cell_of(data: xr.Dataset, name: str) -> Cell:
    """A variable of which one value is left, with its interval."""
    show = formatter(data[name])
    numbers = tuple(float(data[known]) for known in (name, *ends(data, name)))
    between = interval(numbers[1], numbers[2], show) if len(numbers) > 1 else ""
    return Cell(show(numbers[0]), between, numbers)


def place_of(data: xr.Dataset, axis: str) -> Cell:
    """Where a row stands along an axis: a number, or a text."""
    value = data[axis].item()
    if isinstance(value, str):
        return Cell(value)
    value = float(value)
    if not math.isfinite(value):
        return Cell(number(value), "", (value,))
    return Cell(count(value) if value.is_integer() else f"{value:g}", "", (value,))


def for_terminal(columns: Sequence[Column]) -> tuple[Column, ...]:
    """Columns without the intervals that a terminal has no room for: first those with a unit."""
    made = list(columns)
    for kept in (lambda column: True, lambda column: not column.unit, lambda column: False):
        made = [
            column._replace(brief_interval=bool(column.interval) and kept(column))
            for column in columns
        ]
        if sum(_WIDE if column.brief_interval else _NARROW for column in made) <= _TERMINAL:
            break
    return tuple(made)
