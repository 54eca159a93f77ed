"""Writing reports: figures as files, and everything as one HTML page that loads nothing."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import xarray as xr
from markupsafe import Markup, escape

from ..drawing import Drawing, data_uri, interval, number
from ..experiments._result import Fit, Result, Verdict
from ..sweeps import write_atomically
from ._analysis import analysis_grids, norm_note, status_line
from ._analysis_figures import analysis_figures
from ._cards import Card, cards
from ._figures import figures, overview
from ._grids import Grid, grids, verdict_line, verdict_word
from ._symbols import glossary, short_title

_DESCRIBED = ("title", "description", "warnings")  # attributes that the page shows elsewhere
_FIRST = ("created", "command", "version", "commit")  # what readers look for


class Picture(NamedTuple):
    """A figure on a page."""

    slug: str
    drawing: Drawing
    light: str  # data URIs
    dark: str


class Sheet(NamedTuple):
    """A card on a page."""

    card: Card
    picture: Picture


class Section(NamedTuple):
    """One experiment on a page, or the whole of an analysis."""

    slug: str
    title: str
    short: str
    description: str
    pictures: list[Picture]
    grids: list[Grid]
    provenance: dict[str, str]
    fits: tuple[Fit, ...] = ()
    verdicts: tuple[Verdict, ...] = ()
    status: str = ""


def render(results: Mapping[str, Result], out: Path) -> Path:
    """Write figures and one self-contained page about a run.

    Parameters
    ----------
    results
        Experiments by name, in the order in which they appear; a name is letters, digits, `-`,
        `_` and `.`, since files are called after it.
    out
        Folder, made if need be. Gets `index.html`, `figures/overview.png` and `.svg`, and
        `figures/NAME-FIGURE.png` and `.svg` for each experiment. Each file is written
        under another name and moved into place.

    Returns
    -------
    Path
        `out / "index.html"`.

    Raises
    ------
    ValueError
        Without results, or for a name that cannot be a file's.
    """
    if not results:
        raise ValueError("results must hold at least one experiment, got none.")
    for name in results:
        if not re.fullmatch(r"[\w.-]+", name):
            raise ValueError(f"names must be letters, digits, '-', '_' and '.', got {name!r}.")
    cover = _pictures({"overview": overview(results)}, out / "figures")
    sections = [
        Section(
            slug=name,
            title=str(result.dataset.attrs.get("title", name)),
            short=short_title(result.dataset),
            description=str(result.dataset.attrs.get("description", "")),
            pictures=_pictures(figures(result), out / "figures", f"{name}-"),
            grids=grids(result),
            provenance=_provenance(result.dataset),
            fits=result.fits,
            verdicts=result.verdicts,
        )
        for name, result in results.items()
    ]
    return _write_page(
        "report.html.jinja",
        out,
        cover=cover[0],
        sections=sections,
        symbols=glossary(result.summary for result in results.values()),
    )


def analysis_page(dataset: xr.Dataset, out: Path) -> Path:
    """Write figures and one self-contained page about an analysis of one network.

    Parameters
    ----------
    dataset
        Variables over `example`, each optional: fields of `analysis.Analysis`, `label`,
        `singular_values` over (example, rank), `layer_rho`, `layer_null`, `layer_rank`,
        `layer_effective_rank` over (example, layer), `images` and `adversarial_images` over
        (example, height, width[, channel]), where a dimension named `channel` may be anywhere.
        `status` and `status_pair` are words, or values of `perturbation.Status`. Attributes
        `title` and `description` introduce it; the others are listed as provenance, except
        `warnings`, one a line. `options`, in JSON, tells the order `ord` of the norm.
    out
        Folder, made if need be. Gets `index.html` and `figures/FIGURE.png` and `.svg`.

    Returns
    -------
    Path
        `out / "index.html"`.

    Raises
    ------
    ValueError
        For a dataset without the dimension `example`.
    """
    section = Section(
        slug="analysis",
        title=str(dataset.attrs.get("title", "Analysis of one network")),
        short="Analysis",
        description=str(dataset.attrs.get("description", "")),
        grids=analysis_grids(dataset),
        pictures=_pictures(analysis_figures(dataset), out / "figures"),
        provenance=_provenance(dataset),
        status=status_line(dataset),
    )
    return _write_page(
        "analysis.html.jinja",
        out,
        section=section,
        symbols=glossary([dataset]),
        norm=norm_note(dataset),
        warnings=str(dataset.attrs.get("warnings", "")).splitlines(),
        sheets=[
            Sheet(card, _picture(f"card-{at}", card.drawing))
            for at, card in enumerate(cards(dataset))
        ],
    )


def _pictures(drawings: Mapping[str, Drawing], folder: Path, prefix: str = "") -> list[Picture]:
    for name, drawing in drawings.items():
        for kind in ("svg", "png"):
            _write(folder / f"{prefix}{name}.{kind}", drawing.encode(kind))
    return [_picture(prefix + name, drawing) for name, drawing in drawings.items()]


def _picture(slug: str, drawing: Drawing) -> Picture:
    light, dark = (data_uri("svg+xml", drawing.encode("svg", theme)) for theme in ("light", "dark"))
    return Picture(slug, drawing, light, dark)


def _provenance(dataset: xr.Dataset) -> dict[str, str]:
    names = [str(name) for name in dataset.attrs if name not in _DESCRIBED]
    names.sort(key=lambda name: name not in _FIRST)
    return {name: str(dataset.attrs[name]) for name in names}


def _write_page(template: str, out: Path, **content: Any) -> Path:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("fracture"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "interval": interval,
        "subscripts": subscripts,
        "verdict_line": verdict_line,
        "verdict_word": verdict_word,
    }
    page = environment.get_template(template).render(**content)
    _write(out / "index.html", page.encode())
    return out / "index.html"


def subscripts(text: str) -> Markup:
    """Plain text as HTML: escaped, and `r_opt` with its subscript lowered."""
    lowered = re.sub(r"\b([A-Za-zρσ])_(\w+)", r"<i>\1</i><sub>\2</sub>", str(escape(text)))
    return Markup(lowered)


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, lambda temporary: temporary.write_bytes(content))
