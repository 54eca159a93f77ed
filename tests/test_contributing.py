"""What CONTRIBUTING.md and the glossary tell contributors is true of the code."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from fracture import experiments, sweeps
from fracture.experiments._claim import labelled, sweep_of

ROOT = Path(__file__).parents[1]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
TESTING = (ROOT / "docs" / "testing.md").read_text()
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()


@pytest.mark.fast
def test_the_example_of_a_claim_is_one(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", CONTRIBUTING, re.DOTALL)
    path = tmp_path / "hyperplane.py"
    path.write_text(code)
    spec = importlib.util.spec_from_file_location("hyperplane", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    what = experiments.of_module(module)
    options, size = experiments.settle(what, size="quick", settings={"dim": (8, 16)}, seeds=2)
    dataset = sweeps.run(sweep_of(what, options, size))
    found = what.judge(labelled(what, options, dataset))
    assert found.summary.sizes["dim"] == 2
    assert 0 < found.summary["radius_relative"].min() < found.summary["radius_relative"].max() < 1
    assert [verdict.word for verdict in found.verdicts] == ["undecided"]  # of two seeds
    for drawing in what.draw(found).values():
        assert drawing.encode("png", "light")
    nothing = xr.full_like(found.dataset, np.nan)
    assert [verdict.word for verdict in what.judge(nothing).verdicts] == ["undecided"]


@pytest.mark.fast
def test_files_that_are_named_exist():
    """In full, or from `fracture/` or the folder of a part on."""
    named = set(re.findall(r"`([\w/]+\.(?:py|md))`", CONTRIBUTING + TESTING))
    named -= {"_name.py", "hyperplane.py"}
    assert len(named) > 12
    folders = "fracture", "tests", "benchmarks", "docs"
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.*")]
    paths = [path.as_posix() for path in [*files, *ROOT.glob("*.md")]]
    assert not {name for name in named if not any(path.endswith(f"/{name}") for path in paths)}


@pytest.mark.fast
def test_words_of_the_glossary_are_where_it_says():
    rows = re.findall(r"^\| \*\*(.+?)\*\* \| .+ \| `(.+?)` \|$", GLOSSARY, re.MULTILINE)
    assert len(rows) > 30
    for words, name in rows:
        text = (ROOT / "fracture" / name).read_text().lower()
        for word in words.split(", "):
            named = rf"(?<![a-z]){word.replace(' ', '_')}s?(?![a-z])"
            assert re.search(named, text), f"{word} in {name}"
