"""Types of options."""

from functools import partial
from pathlib import Path
from typing import Any

import click

COUNT = click.IntRange(1, 2**31 - 1)
out = partial(
    click.option,
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    show_default=True,
)
"""The option --out."""


class Integers(click.ParamType):
    """Positive integers separated by commas."""

    name = "INT,INT,…"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(int(part) for part in value.split(","))
        except ValueError:
            numbers = ()
        distinct = len(set(numbers)) == len(numbers) > 0
        if not distinct or min(numbers) < 1 or max(numbers) >= 2**31:
            self.fail(
                f"got {value!r}, wanted distinct positive integers below 2**31, such as 8,16,32."
            )
        return tuple(sorted(numbers))


class Bounds(click.ParamType):
    """Two numbers separated by a comma."""

    name = "LOW,HIGH"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, float]:
        try:
            low, high = (float(part) for part in value.split(","))
        except ValueError:
            low = high = 0.0
        if low > high:
            self.fail(f"got {value!r}, but the lower bound comes first: {high:g},{low:g}.")
        if not low < high:
            self.fail(f"got {value!r}, wanted two numbers such as 0,1.")
        return low, high
