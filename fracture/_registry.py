"""Where claims are: found and listed without importing them, or JAX."""

import ast
import importlib
import importlib.metadata
import importlib.util
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

OWN = "fracture.experiments.claims"
GROUP = "fracture.claims"


class Entry(NamedTuple):
    """A claim that can be run.

    Attributes
    ----------
    name
        How it is called: the name of its file.
    module
        What Python imports.
    path
        Its file.
    """

    name: str
    module: str
    path: Path

    def load(self) -> ModuleType:
        """Import it."""
        return importlib.import_module(self.module)


def entries() -> dict[str, Entry]:
    """All claims by name: every public module of `fracture.experiments.claims`.

    Other packages add theirs by an entry point of the group `fracture.claims`, whose value is a
    package of claims.

    Raises
    ------
    ValueError
        Where two packages have a claim of one name, or an entry point names no package.
    """
    found: dict[str, Entry] = {}
    named = sorted({entry.value for entry in importlib.metadata.entry_points(group=GROUP)})
    for package in (OWN, *named):
        for folder in _folders(package):
            for path in sorted(folder.glob("*.py")):
                if path.stem.startswith("_"):
                    continue
                if path.stem in found:
                    raise ValueError(
                        f"two claims are called {path.stem}: {found[path.stem].path} and {path}."
                    )
                found[path.stem] = Entry(path.stem, f"{package}.{path.stem}", path)
    return found


def entry(name: str) -> Entry:
    """The claim of a name.

    Raises
    ------
    ValueError
        Where there is none.
    """
    known = entries()
    if name not in known:
        raise ValueError(f"there is no claim {name!r}; there are {', '.join(known)}.")
    return known[name]


def statement(path: Path) -> tuple[str, str]:
    """What a claim says and where from: the first line of its docstring, and its `SOURCE`."""
    tree = ast.parse(path.read_text("utf-8"))
    first, *_ = (ast.get_docstring(tree) or "").splitlines() or [""]
    sources = [
        node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        and [target.id for target in node.targets if isinstance(target, ast.Name)] == ["SOURCE"]
        and isinstance(node.value, ast.Constant)
    ]
    return first.rstrip("."), str(sources[-1]) if sources else ""


def _folders(package: str) -> list[Path]:
    if package == OWN:  # known, and importing its parents takes a second
        return [Path(__file__).parent / "experiments" / "claims"]
    try:
        spec = importlib.util.find_spec(package)
    except ImportError:
        spec = None
    if spec is None or spec.submodule_search_locations is None:
        raise ValueError(f"the entry point {package!r} of the group {GROUP!r} is no package.")
    return [Path(location) for location in spec.submodule_search_locations]
