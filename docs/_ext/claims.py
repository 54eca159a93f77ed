"""Pages of claims, and the map of all, written from stored results before Sphinx reads the pages.

They are made anew with every build, in `docs/claims/`, which is not kept: nothing there is written
by hand. A figure is there in two themes, of which the page shows the one of the reader.
"""

import html
import json
import re
from collections.abc import Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import jax
import keep
from sphinx.application import Sphinx

from fracture import _registry, experiments
from fracture.drawing import Drawing
from fracture.experiments import Claim, Findings
from fracture.report import Grid, Section, section, verdict_map, verdict_sentences

THEMES = ("light", "dark")
MARKS = {"holds": "✓ holds", "does not hold": "✗ does not hold", "undecided": "? undecided"}


def started(app: Sphinx) -> None:
    """Called by Sphinx when it has read its configuration.

    In a process of its own: Sphinx forks itself to read pages side by side, which it must not do
    once JAX has started its threads.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        other.submit(write_pages, Path(app.srcdir) / "claims").result()


def write_pages(folder: Path) -> None:
    """Write a page for every claim with stored results, and the map."""
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    with jax.enable_x64(True):  # as the command line judges
        results = {name: of for name, of in keep.load().items() if "claim" in of.dataset.attrs}
        pages = {"map": "\n".join(_map(results, folder))}
        for name, found in results.items():
            what = experiments.claim(str(found.dataset.attrs["claim"]))
            shown = section(name, found, what.draw(found))
            pages[name] = "\n".join(_page(what, found, shown, folder))
    for path in folder.glob("*.md"):
        if path.stem not in pages:
            path.unlink()
    for name, text in pages.items():
        _write(folder / f"{name}.md", text.encode())


def _map(results: Mapping[str, Findings], folder: Path) -> Iterator[str]:
    yield "# What the map says\n"
    for sentence in verdict_sentences(results):
        yield f"- {_plain(sentence)}"
    yield "\nEvery sentence and number is computed from the stored results of the claims below.\n"
    yield from _figure(verdict_map(results), "map", folder)
    rows = [("claim", "law", "verdict", "finding", "seeds at each place")]
    for name, found in results.items():
        title = _plain(str(found.dataset.attrs["title"]))
        seeds = ", ".join(map(str, dict.fromkeys(_listed(found.dataset.attrs["seeds"]))))
        for at, verdict in enumerate(found.verdicts):
            words = MARKS[verdict.word], _plain(verdict.finding)
            of_claim = (f"[{title}]({name}.md)", seeds) if at == 0 else ("", "")
            rows.append((of_claim[0], _plain(verdict.law), *words, of_claim[1]))
    yield "## All verdicts\n"
    yield from _table(rows)
    yield "```{toctree}\n:hidden:\n"
    yield from results
    yield "```\n"
    known = {str(found.dataset.attrs["claim"]) for found in results.values()}
    missing = [entry for name, entry in _registry.entries().items() if name not in known]
    if missing:
        yield "## Claims without stored results\n"
        for entry in missing:
            said, source = _registry.statement(entry.path)
            yield f"- `{entry.name}`: {_plain(said)} ({_plain(source)})"


def _page(what: Claim, found: Findings, shown: Section, folder: Path) -> Iterator[str]:
    attrs = found.dataset.attrs
    yield f"# {_plain(shown.title)}\n"
    claimed = "" if shown.title == what.title else f"{_plain(what.title)}. "
    yield f"**Claimed:** {claimed}*{_plain(what.source)}*\n"
    yield f"{_plain(what.text)}\n"
    for paragraph in shown.paragraphs:
        if paragraph not in what.text:  # where no option changes it
            yield f"**Measured:** {_plain(paragraph)}\n"
    yield "## Verdicts\n"
    for ruling in shown.rulings:
        yield f"- **{MARKS[ruling.word]}.** {_plain(ruling.law + ruling.said)}"
    yield ""
    if any(ruling.evidence for ruling in shown.rulings):
        yield from _folded("The numbers that decided", _evidence(shown))
    yield "## Figures\n"
    for name, drawing in shown.drawings.items():
        yield from _figure(drawing, f"{shown.slug}-{name}", folder)
    yield "## Tables\n"
    for grid in shown.grids:
        yield f"### {_plain(grid.title)}\n"
        yield f"{_plain(grid.note)}\n"
        yield from _grid(grid)
    yield "## How it was made\n"
    told = {name: attrs.get(name, "unknown") for name in ("created", "version", "commit")}
    if "command" in attrs:
        yield f"```sh\n{attrs['command']}\n```\n"
    yield f"Created: {told['created']}, fracture {told['version']}, commit `{told['commit']}`. "
    yield f"Seeds at each place of {_listed(attrs['axes'])[0]}: {_words(attrs['seeds'])}.\n"
    options = json.loads(attrs["options"])
    if options:
        rows = [("option", "value"), *((f"`{k}`", f"`{v}`") for k, v in options.items())]
        yield from _table(rows)
    rows = [("name", "value"), *((f"`{k}`", f"`{v}`") for k, v in shown.provenance.items())]
    yield from _folded("Provenance", _table(rows))


def _evidence(shown: Section) -> Iterator[str]:
    for ruling in shown.rulings:
        if ruling.evidence:
            yield f"{_plain(ruling.law)}:\n"
            yield from _grid(ruling.evidence)


def _figure(drawing: Drawing, slug: str, folder: Path) -> Iterator[str]:
    """The figure in both themes; the style of the pages shows one of them."""
    for theme in THEMES:
        _write(folder / "figures" / f"{slug}-{theme}.svg", drawing.encode("svg", theme))
        yield f"```{{figure}} figures/{slug}-{theme}.svg"
        yield f":alt: {drawing.alt}"
        yield f":figclass: only-{theme}\n"
        yield f"**{_plain(drawing.title)}.** {_plain(drawing.caption)}"
        yield "```\n"


def _folded(title: str, lines: Iterator[str]) -> Iterator[str]:
    yield f"<details><summary>{html.escape(title)}</summary>\n"
    yield from lines
    yield "</details>\n"


def _grid(grid: Grid) -> Iterator[str]:
    head = []
    for column in grid.columns:
        notes = [column.meaning, column.unit and f"in {column.unit}"]
        notes.append(column.interval and f"[{column.interval}]")
        noted = [f"**{_plain(column.symbol)}**", *(_plain(note) for note in notes if note)]
        head.append(" \\\n".join(noted))
    rows = [
        [" \\\n".join(map(_plain, filter(None, (cell.value, cell.interval)))) for cell in row]
        for row in grid.rows
    ]
    numbers = not any(column.words for column in grid.columns)
    yield from _table([head, *rows], style="numbers" if numbers else "words")


def _table(rows: Any, style: str = "words") -> Iterator[str]:
    yield f"```{{list-table}}\n:header-rows: 1\n:class: {style}\n"
    for row in rows:
        for at, cell in enumerate(row):
            yield f"{'*' if at == 0 else ' '} - " + cell.replace("\n", "\n    ")
    yield "```\n"


def _plain(text: str) -> str:
    """Plain text as Markdown: escaped, and `r_opt` with its subscript lowered."""
    escaped = re.sub(r"([\\`*{}\[\]<>|$#~])", r"\\\1", text)
    return re.sub(r"\b([^\W\d_])_(\w+)", r"*\1*{sub}`\2`", escaped)


def _listed(values: Any) -> list[Any]:
    """An attribute of netCDF, which makes one value of a list of one."""
    return (
        list(values) if isinstance(values, list | tuple) or hasattr(values, "tolist") else [values]
    )


def _words(values: Any) -> str:
    return ", ".join(map(str, _listed(values)))


def _write(path: Path, content: bytes) -> None:
    """Pages that are as before are not read again."""
    if not path.exists() or path.read_bytes() != content:
        path.write_bytes(content)


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("builder-inited", started)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
