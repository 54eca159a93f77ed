"""What the page says of one claim or one analysis, before it has a form."""

from collections.abc import Mapping
from typing import NamedTuple

import xarray as xr

from ..drawing import Drawing
from ..experiments import Findings, Verdict
from ._analysis import analysis_grids, norm_note, status_line
from ._analysis_figures import analysis_figures
from ._cards import Card, cards
from ._grids import Grid
from ._summaries import after_law, evidence_grid, fits_grid, summary_grids

_DESCRIBED = ("title", "description", "warnings", "axes")  # attributes shown elsewhere
_FIRST = ("created", "command", "version", "commit")  # what readers look for


class Ruling(NamedTuple):
    """A verdict on the page."""

    word: str
    law: str
    said: str  # after the law
    evidence: Grid | None


class Section(NamedTuple):
    """One claim, or one analysis of a network."""

    slug: str
    title: str
    short: str
    paragraphs: list[str]
    warnings: list[str]
    rulings: list[Ruling]
    lead: list[Grid]  # tables before the figures
    drawings: Mapping[str, Drawing]
    cards: list[Card]
    grids: list[Grid]
    provenance: dict[str, str]
    printed: xr.Dataset  # whose symbols the page prints


def section(name: str, findings: Findings, drawings: Mapping[str, Drawing]) -> Section:
    """What a page says of one claim, before it has a form.

    Parameters
    ----------
    name
        Of the claim, or of the file of its results.
    findings, drawings
        What was concluded, and the figures to show.
    """
    dataset, title = findings.dataset, str(findings.dataset.attrs.get("title", name))
    fits = [fits_grid(findings.fits, findings.summary)] if findings.fits else []
    return Section(
        slug=name,
        title=title,
        short=called(name),
        paragraphs=_paragraphs(dataset),
        warnings=[],
        rulings=[_ruling(verdict) for verdict in findings.verdicts],
        lead=[],
        drawings=drawings,
        cards=[],
        grids=[*fits, *summary_grids(findings)],
        provenance=_provenance(dataset),
        printed=findings.summary,
    )


def of_analysis(name: str, dataset: xr.Dataset) -> Section:
    """The section of an analysis; a dataset as `analysis.labelled` makes it."""
    summary, *grids = analysis_grids(dataset)
    title = str(dataset.attrs.get("title", "Analysis of one network"))
    return Section(
        slug=name,
        title=title,
        short=called(name),
        paragraphs=[*_paragraphs(dataset), f"{status_line(dataset)} {norm_note(dataset)}".rstrip()],
        warnings=str(dataset.attrs.get("warnings", "")).splitlines(),
        rulings=[],
        lead=[summary],
        drawings=analysis_figures(dataset),
        cards=cards(dataset),
        grids=grids,
        provenance=_provenance(dataset),
        printed=dataset,
    )


def called(name: str) -> str:
    """A claim or an analysis where there is no room for its title: by the name of its file."""
    return name.replace("_", " ")


def _ruling(verdict: Verdict) -> Ruling:
    evidence = evidence_grid(verdict) if verdict.evidence else None
    return Ruling(verdict.word, verdict.law, after_law(verdict), evidence)


def _paragraphs(dataset: xr.Dataset) -> list[str]:
    return [part for part in str(dataset.attrs.get("description", "")).split("\n\n") if part]


def _provenance(dataset: xr.Dataset) -> dict[str, str]:
    names = [str(name) for name in dataset.attrs if name not in _DESCRIBED]
    names.sort(key=lambda name: name not in _FIRST)
    return {name: str(dataset.attrs[name]) for name in names}
