"""The content of a result's tables, before the terminal or the page gives it a form."""

from typing import Literal, NamedTuple

import xarray as xr

from ..drawing import interval, number
from ..experiments._result import Fit, Result, Verdict
from ._symbols import qualifier, symbol, unit

MAIN = ("r_opt", "r_nn", "ratio", "rho", "predicted", "ks_statistic", "ks_pvalue")
NETWORK = ("accuracy", "found", "rho_theory", "rho_net", "rho_span", "null_ratio", "null_pvalue")
LAW_E = ("law_e", "midpoint", "secant", "tangent", "box")
UNLISTED = ("ks_largest",)  # the verdict says it
BY_REFERENCES = {
    "r_opt_by_references": "r_opt by number of references N",
    "ratio_by_references": "Ratio by number of references N",
}


class Cell(NamedTuple):
    """One entry: a value and its interval, which may be empty."""

    value: str = ""
    interval: str = ""


class Column(NamedTuple):
    """Heading of a column, and how much of the column a terminal has room for."""

    symbol: str
    meaning: str = ""
    unit: str = ""
    interval: str = ""  # what the intervals are; empty if there are none
    brief: Literal["all", "value", "nothing"] = "all"


class Grid(NamedTuple):
    """One table."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""  # what holds for all of it


def grids(result: Result) -> list[Grid]:
    """Tables of one experiment: robustness, what the network reads, law E, all else."""
    summary, made = result.summary, []
    present = groups(summary) or {"": "measured"}
    for suffix, label in present.items():
        names = [base + suffix for base in MAIN if base + suffix in summary]
        title = "Radii and ratio" + (f": {label}" if len(present) > 1 else "")
        seeds = [name for name in (f"seeds{suffix}",) if name in summary]
        made.append(_by_dimension(summary, title, seeds + names))
    known = {base + suffix for base in ("seeds", *MAIN) for suffix in ("", "_untargeted")}
    known |= {*NETWORK, *LAW_E, *UNLISTED}
    others = [str(n) for n in summary.data_vars if summary[n].dims == ("dim",)]
    others = [n for n in others if not n.endswith(("_lo", "_hi")) and n not in known]
    further = {"The network itself": NETWORK, "Law E factor by factor": LAW_E, "Besides": others}
    for title, wanted in further.items():
        if names := [name for name in wanted if name in summary]:
            made.append(_by_dimension(summary, title, names))
    for name, title in BY_REFERENCES.items():
        if name in summary:
            made.append(_by_references(summary, name, title))
    return made


def groups(summary: xr.Dataset) -> dict[str, str]:
    """Suffix and label of each comparison present: one given class or point, and the nearest."""
    found = {}
    for suffix, default in {"": "pairwise", "_untargeted": "untargeted"}.items():
        names = [name + suffix for name in ("ratio", "r_nn", "r_opt") if name + suffix in summary]
        if names:
            found[suffix] = qualifier(summary, names[0]) or default
    return {"": "measured"} if found == {"": "pairwise"} else found


def fit_line(fit: Fit) -> str:
    """A fitted exponent in words."""
    expected = "" if fit.expected is None else f"; expected {number(fit.expected)}"
    return (
        f"{fit.label}: {number(fit.exponent)}, "
        f"95 % CI {interval(fit.low, fit.high) or 'n/a'}{expected}"
    )


def verdict_line(verdict: Verdict) -> str:
    """The sentence of a verdict, opening with its law."""
    opens = verdict.sentence.startswith(verdict.law)
    return verdict.sentence if opens else f"{verdict.law}: {verdict.sentence}"


def verdict_word(verdict: Verdict) -> str:
    """`holds`, `does not hold` or `undecided`."""
    if verdict.holds is None:
        return "undecided"
    return "holds" if verdict.holds else "does not hold"


def _by_dimension(summary: xr.Dataset, title: str, names: list[str]) -> Grid:
    columns = [_column(summary, "dim"), *(_column(summary, name) for name in names)]
    rows = [
        tuple(_cell(summary.isel(dim=at), name) for name in ("dim", *names))
        for at in range(summary.sizes["dim"])
    ]
    return Grid(title, tuple(columns), tuple(rows))


def _by_references(summary: xr.Dataset, name: str, title: str) -> Grid:
    head = _column(summary, name)
    columns = [_column(summary, "dim")]
    columns.extend(head._replace(symbol=f"N = {n}", meaning="") for n in _values(summary))
    rows = [
        (
            _cell(line := summary.isel(dim=at), "dim"),
            *(_cell(line.isel(references=i), name) for i in range(len(columns) - 1)),
        )
        for at in range(summary.sizes["dim"])
    ]
    return Grid(title, tuple(columns), tuple(rows))


def _values(summary: xr.Dataset) -> list[int]:
    return [int(n) for n in summary["references"]]


def _column(summary: xr.Dataset, name: str) -> Column:
    kind = ""
    if f"{name}_lo" in summary:
        kind = "90 % interval" if name.startswith("predicted") else "95 % CI"
    text, long_name = symbol(name).text, str(summary[name].attrs.get("long_name", ""))
    key = name.removesuffix("_untargeted") in ("ratio", "predicted", "law_e")
    return Column(
        text,
        "" if long_name == text else long_name,
        unit(summary, name),
        kind,
        "all" if key else "value",
    )


def _cell(at: xr.Dataset, name: str) -> Cell:
    """Value of one variable of a summary where all dimensions are chosen."""
    show = symbol(name).show
    low, high = (float(at.get(f"{name}_{end}", float("nan"))) for end in ("lo", "hi"))
    return Cell(show(float(at[name])), interval(low, high, show))
