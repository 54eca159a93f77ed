"""The README's example runs as it stands, and its commands name what exists."""

import importlib
import re
from pathlib import Path

import jax
import pytest

README = Path(__file__).parent.parent / "README.md"
PAGES = sorted((README.parent / "docs").glob("*.md"))


@pytest.mark.fast
def test_example_runs(capsys):
    (code,) = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)
    with jax.numpy_dtype_promotion("standard"):  # users have not asked for strictness
        exec(code, {})
    network, optimal = map(float, re.findall(r"\d+\.\d+", capsys.readouterr().out)[:2])
    assert 0 < network < optimal


def test_commands_stand_alone_on_their_lines():
    commands = [line for line in README.read_text().splitlines() if line.startswith("python3 -m")]
    assert [command.split()[-1] for command in commands] == ["sweep", "pytest"]


def test_links_work_where_the_readme_is_shown_alone():
    """On an index of packages there are no files beside it; the picture's place has its words."""
    links = re.findall(r"(?<!!)\[[^\]]*\]\(([^)]+)\)", README.read_text())
    assert links
    assert all(link.startswith("https://") for link in links)


PARTS = (
    *(
        "adapters",
        "analysis",
        "certificates",
        "compression",
        "data",
        "experiments",
        "models",
        "optimal",
    ),
    *("models", "optimal", "perturbation", "report", "statistics", "sweeps", "theory", "training"),
)


@pytest.mark.fast
def test_the_cheat_sheet_names_what_there_is():
    sheet = (README.parent / "docs" / "cheatsheet.md").read_text()
    named = set(re.findall(r"(?:(\w+)\.)?(\w+)\(", "".join(re.findall(r"`[^`]+`", sheet))))
    assert len(named) > 30
    parts = {part: importlib.import_module(f"fracture.{part}").__all__ for part in PARTS}
    offered = {(part, name) for part, names in parts.items() for name in names}
    offered |= {("", name) for _, name in offered}
    offered |= {("", name) for name in ("network", "variables", "Path")}
    assert not named - offered


def test_pages_print_whole_lines():
    """A line printed in pieces arrives as several outputs, with line breaks between them."""
    assert len(PAGES) > 5
    assert not [page.name for page in PAGES if re.search(r"print\(.*\bend=", page.read_text())]
