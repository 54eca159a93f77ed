"""Writing reports: figures as files, and everything as one HTML page that loads nothing."""

import base64
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import jinja2
import xarray as xr
from markupsafe import Markup, escape

from ..drawing import Drawing, data_uri, glossary, overview, plots
from ..experiments import Findings, claim
from ..sweeps import write_atomically
from ._grids import Grid
from ._sections import Section, called, of_analysis, section

_HEADLINES = ("ratio", "ratio_pair")


class Picture(NamedTuple):
    """A figure on the page."""

    slug: str
    drawing: Drawing
    light: str  # data URIs
    dark: str


def page(
    findings: Mapping[str, Findings],
    out: Path,
    *,
    drawings: Mapping[str, Mapping[str, Drawing]] | None = None,
    analyses: Mapping[str, xr.Dataset] | None = None,
    pictures: Mapping[str, list[Picture]] | None = None,
) -> Path:
    """Write figures and one self-contained page about claims and analyses.

    Parameters
    ----------
    findings
        Claims, or sweeps (`experiments.of_sweep`), by name, in the order in which they appear; may
        be empty.
    out
        Folder, made if need be. Gets `index.html` and, as PNG and SVG, `figures/overview` and
        `figures/NAME-FIGURE`. Each file is written under another name and moved into place.
    drawings
        Figures of each of these claims, by name; None for those that the claims draw themselves,
        and `drawing.plots` of sweeps without a claim.
    analyses
        Labelled analyses by name, `analysis.labelled`: variables over `example`, each optional,
        named like the fields of `analysis.Analysis`; `label`; `singular_values` over (example,
        rank); `layer_rho`, `layer_null`, `layer_pvalue`, `layer_rank`, `layer_effective_rank` over
        (example, layer); `images` and `adversarial_images` over (example, height, width[,
        channel]), where a dimension named `channel` may be anywhere. `status` and `status_pair` are
        words, or values of `perturbation.Status`. Attributes `title` and `description` introduce
        it; the others are listed as provenance, except `warnings`, one a line. `options`, in JSON,
        tells the order `ord` of the norm.
    pictures
        What `pictures` has already drawn of claims, by name.

    Returns
    -------
    Path
        `out / "index.html"`. It loads nothing; the tables on it can be saved as CSV files.

    Raises
    ------
    ValueError
        Without claims and analyses, for a name that is not made of letters, digits, `-`, `_` and
        `.`, and for an analysis that is none, or one of an earlier version.
    """
    analyses = analyses or {}
    if not findings and not analyses:
        raise ValueError("a page needs at least one claim or analysis, got none.")
    for name in (*findings, *analyses):
        if not re.fullmatch(r"[\w.-]+", name):
            raise ValueError(f"names must be letters, digits, '-', '_' and '.', got {name!r}.")
    pictures = pictures or {}
    if drawings is None:
        remaining = {name: found for name, found in findings.items() if name not in pictures}
        drawings = {name: _drawn(found) for name, found in remaining.items()}
    sections = [
        section(name, found, {} if name in pictures else drawings[name])
        for name, found in findings.items()
    ]
    sections.extend(of_analysis(name, dataset) for name, dataset in analyses.items())
    cover = _overview(findings)
    pictures = {
        one.slug: pictures.get(one.slug) or _pictures(one.drawings, out / "figures", f"{one.slug}-")
        for one in sections
    }
    content = (
        _environment()
        .get_template("page.html.jinja")
        .render(
            title=_title(sections, findings),
            sections=sections,
            pictures=pictures,
            cover=_pictures({"overview": cover}, out / "figures") if cover else [],
            symbols=glossary((section.short, section.printed) for section in sections),
            claims=any(map(_claimed, findings.values())),
            measured=bool(findings),
        )
    )
    _write(out / "index.html", content.encode())
    return out / "index.html"


def pictures(name: str, findings: Findings, out: Path) -> list[Picture]:
    """Draw the figures of one claim as files in `out / "figures"`, before `page` is told of it."""
    return _pictures(_drawn(findings), out / "figures", f"{name}-")


def _drawn(findings: Findings) -> Mapping[str, Drawing]:
    """What a claim draws of its findings; of a sweep without a claim, everything."""
    if not _claimed(findings):
        return plots(findings.dataset)
    return claim(str(findings.dataset.attrs["claim"])).draw(findings)


def _claimed(findings: Findings) -> bool:
    return "claim" in findings.dataset.attrs


def _title(sections: list[Section], findings: Mapping[str, Findings]) -> str:
    if len(sections) == 1:
        return sections[0].title
    if any(map(_claimed, findings.values())):
        return "Measured fragility laws"
    return "Sweeps" if findings else "Analyses of networks"


def _overview(findings: Mapping[str, Findings]) -> Drawing | None:
    """Fragility ratios of all claims that have one; none for a single claim."""
    lines = [
        (called(name), found.summary, ratio)
        for name, found in findings.items()
        for ratio in _HEADLINES
        if ratio in found.summary
    ]
    return (
        overview(lines, title="Fragility ratios", ylabel="fragility ratio")
        if lines and len(findings) > 1
        else None
    )


def _pictures(drawings: Mapping[str, Drawing], folder: Path, prefix: str = "") -> list[Picture]:
    made = []
    for name, drawing in drawings.items():
        light = drawing.encode("svg")
        _write(folder / f"{prefix}{name}.svg", light)
        _write(folder / f"{prefix}{name}.png", drawing.encode("png"))
        made.append(_picture(drawing, prefix + name, light))
    return made


def _picture(drawing: Drawing, slug: str = "", light: bytes = b"") -> Picture:
    """A figure in both themes; `light` is given where it was drawn already."""
    themes = light or drawing.encode("svg"), drawing.encode("svg", "dark")
    return Picture(slug, drawing, *(data_uri("svg+xml", theme) for theme in themes))


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fracture"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "subscripts": subscripts,
        "picture": _picture,
        "csv": _download,
        "slug": _slug,
    }
    return environment


def subscripts(text: str) -> Markup:
    """Plain text as HTML: escaped, and `r_opt` with its subscript lowered."""
    lowered = re.sub(r"\b([^\W\d_])_(\w+)", r"<i>\1</i><sub>\2</sub>", str(escape(text)))
    return Markup(lowered)


def _download(grid: Grid) -> str:
    """The table as the target of a link: spreadsheets know UTF-8 by its first bytes."""
    return "data:text/csv;base64," + base64.b64encode(grid.csv().encode("utf-8-sig")).decode()


def _slug(parts: Iterable[str]) -> str:
    """Some words as the name of a file."""
    return re.sub(r"[^\w]+", "-", " ".join(parts)).strip("-").lower()


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, lambda temporary: temporary.write_bytes(content))
