"""Tables of a claim: its summary in groups of what belongs together, exponents, evidence."""

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from ..drawing import interval, level, number, quantity_of, without_ends
from ..experiments import Findings, Fit, Verdict
from ._grids import Cell, Column, Grid, cell_of, column_of, for_terminal, place_of

GROUPS = {
    "Radii and ratios": (
        *("radius", "radius_certified", "radius_pair", "radius_relative", "r_opt", "r_half"),
        *("ratio", "ratio_pair", "certified_share", "excess"),
    ),
    "What the network reads": (
        *("rho_net", "rho_theory", "rho_span", "span_rank", "null_ratio", "null_pvalue"),
        *("effective_rank", "participation_ratio", "stable_rank"),
    ),
    "Law E, factor by factor": ("law_e", "midpoint", "secant", "tangent", "box"),
    "Training and search": ("accuracy", "loss", "correct", "found", "proven"),
}
"""Variables by what they are about, in the order of the page; the names of `vocabulary`."""

TESTS = ("ks_statistic", "ks_pvalue", "ks_largest")
_LAW = "predicted_"  # what the name of a law begins with


def summary_grids(findings: Findings) -> list[Grid]:
    """Everything that a summary holds, as tables over its axes."""
    summary = findings.summary
    axes = [str(axis) for axis in np.atleast_1d(findings.dataset.attrs.get("axes", []))]
    axes = [axis for axis in axes or list(map(str, summary.dims))[:1] if axis in summary.dims]
    names = without_ends(summary)
    along = [name for name in names if set(summary[name].dims) <= set(axes)]
    groups = [(title, found) for title, found in _groups(summary, along) if found]
    if "seeds" in along:  # once, in front
        title, found = groups[0] if groups else ("Seeds", [])
        groups[:1] = [(title, ["seeds", *found])]
    made = [_over_axes(summary, axes, title, found) for title, found in groups]
    return made + [_across(summary, name) for name in names if name not in along]


def _groups(summary: xr.Dataset, names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Variables by what they are about: those of the vocabulary, laws, tests, and the rest."""
    groups = [(title, [n for n in wanted if n in names]) for title, wanted in GROUPS.items()]
    laws = [name for name in names if name.startswith(_LAW)]
    tests = [name for name in TESTS if name in names]
    tested = _tested(summary, tests, laws)
    for law in laws:
        measured = [name for name in [law.removeprefix(_LAW)] if name in names]
        title = _of("Measured and predicted", summary, measured)
        groups.append((title, [*measured, law, *(tests if law == _LAW + tested else [])]))
    if _LAW + tested not in laws:
        groups.append((_of("Tests against the law", summary, [tested]), tests))
    known = {"seeds", *itertools.chain.from_iterable(found for _, found in groups)}
    others = [name for name in names if name not in known]
    if known > {"seeds"}:
        return [*groups, ("Further measurements", others)]
    return [(_of("Measured", summary, others) if len(others) < 4 else "Measured", others)]


def _tested(summary: xr.Dataset, tests: Sequence[str], laws: Sequence[str]) -> str:
    """Name of the variable that tests are of, as they say, or else of the only one with a law."""
    said = {str(summary[test].attrs["tested"]) for test in tests if "tested" in summary[test].attrs}
    known = [*said] or [law.removeprefix(_LAW) for law in laws]
    return known[0] if len(known) == 1 else ""


def _of(title: str, summary: xr.Dataset, names: Sequence[str]) -> str:
    """A title with the symbols of those of some variables that a summary has."""
    symbols = [quantity_of(summary[name]).symbol for name in names if name in summary]
    return f"{title}: {', '.join(dict.fromkeys(symbols))}" if symbols else title


def _over_axes(summary: xr.Dataset, axes: Sequence[str], title: str, names: list[str]) -> Grid:
    """A row for each point of the axes, a column for each variable."""
    used = [axis for axis in axes if any(axis in summary[name].dims for name in names)]
    columns = [column_of(summary, axis) for axis in used]
    for name in names:
        of = name.removeprefix(_LAW)
        symbol = quantity_of(summary[name]).symbol
        if of != name and of in summary:
            symbol = f"{symbol} of {quantity_of(summary[of]).symbol}"
        columns.append(column_of(summary, name)._replace(symbol=symbol))
    rows = tuple(
        (*(place_of(at, axis) for axis in used), *(cell_of(at, name) for name in names))
        for at in _points(summary, used)
    )
    return Grid(title, for_terminal(columns), rows)


def _across(summary: xr.Dataset, name: str) -> Grid:
    """A variable over its first dimension, with a column for each point of the others."""
    first, *others = map(str, summary[name].dims)
    head = column_of(summary, name)
    columns = [column_of(summary, first)]
    for at in itertools.product(*(range(summary.sizes[other]) for other in others)):
        words = [level(summary[other], index) for other, index in zip(others, at, strict=True)]
        columns.append(head._replace(symbol=", ".join(words), meaning=""))
    rows = tuple(
        (place_of(at, first), *(cell_of(one, name) for one in _points(at, others)))
        for at in _points(summary, [first])
    )
    symbols = " and ".join(quantity_of(summary[other]).symbol for other in others)
    return Grid(f"{head.symbol} by {symbols}", for_terminal(columns), rows, f"{head.meaning}.")


def _points(data: xr.Dataset, axes: Sequence[str]) -> Iterator[xr.Dataset]:
    for at in itertools.product(*(range(data.sizes[axis]) for axis in axes)):
        yield data.isel(dict(zip(axes, at, strict=True)))


def fits_grid(fits: Sequence[Fit], summary: xr.Dataset) -> Grid:
    """Fitted exponents, with what theory expects."""
    columns = [Column("median of"), Column("exponent", interval="95 % CI"), Column("expected")]
    by_level = any(fit.level for fit in fits)
    if by_level:
        columns.insert(1, Column("where"))
    rows = []
    for fit in fits:
        name = fit.quantity
        symbol = quantity_of(summary[name]).symbol if name in summary else name
        ends = interval(fit.low, fit.high)
        expected = math.nan if fit.expected is None else fit.expected
        row = [
            Cell(symbol),
            Cell(number(fit.exponent), ends, (fit.exponent, fit.low, fit.high)),
            Cell("–" if fit.expected is None else number(expected), "", (expected,)),
        ]
        if by_level:
            row.insert(1, Cell(fit.level or "everywhere"))
        rows.append(tuple(row))
    return Grid("Fitted exponents", tuple(columns), tuple(rows))


def evidence_grid(verdict: Verdict) -> Grid:
    """The numbers that decided a verdict."""
    columns = [
        Column("what decided", words=True),
        Column("where", words=True),
        Column("value", interval="95 % CI"),
    ]
    rows = [
        [
            Cell(found.what),
            Cell(found.at or "everywhere"),
            Cell(
                number(found.value),
                interval(found.low, found.high),
                (found.value, found.low, found.high),
            ),
        ]
        for found in verdict.evidence
    ]
    return Grid(verdict.law, tuple(columns), tuple(map(tuple, rows)))


def after_law(verdict: Verdict) -> str:
    """What follows the law in the one line of a verdict, beside which its word stands."""
    return f": {verdict.finding}." if verdict.finding else "."
