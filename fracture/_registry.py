"""Where claims are: found and listed without importing them, or JAX."""

import ast
import importlib
import importlib.metadata
import importlib.util
import warnings
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

    Of what another package does not give, such as a claim of a name that there is already, a
    warning is issued: it shall not keep the others from being run.
    """
    found: dict[str, Entry] = {}
    named = sorted({entry.value for entry in importlib.metadata.entry_points(group=GROUP)})
    for package in (OWN, *named):
        for folder in _folders(package):
            for path in sorted(folder.glob("*.py")):
                if path.stem.startswith("_"):
                    continue
                if path.stem in found:
                    first = found[path.stem].path
                    _warn(f"two claims are called {path.stem}: {first} is taken, not {path}.")
                    continue
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
    try:
        tree = ast.parse(path.read_text("utf-8"))
    except (OSError, ValueError, SyntaxError) as error:
        return f"cannot be read ({type(error).__name__}: {error})", ""
    first, *_ = (ast.get_docstring(tree) or "").splitlines() or [""]
    return first.rstrip("."), next((said for node in tree.body if (said := _source(node))), "")


def _source(node: ast.stmt) -> str:
    """The text that a statement calls `SOURCE`; empty for any other statement."""
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    named = any(isinstance(target, ast.Name) and target.id == "SOURCE" for target in targets)
    value = getattr(node, "value", None)
    return str(value.value) if named and isinstance(value, ast.Constant) else ""


def _folders(package: str) -> list[Path]:
    if package == OWN:  # known, and importing its parents takes a second
        return [Path(__file__).parent / "experiments" / "claims"]
    try:
        spec = importlib.util.find_spec(package)
    except Exception as error:  # others' packages may raise anything
        _warn(f"the claims of {package!r} are not found ({type(error).__name__}: {error}).")
        return []
    if spec is None or spec.submodule_search_locations is None:
        _warn(f"the entry point {package!r} of the group {GROUP!r} is no package.")
        return []
    return [Path(location) for location in spec.submodule_search_locations]


def _warn(message: str) -> None:
    warnings.warn(message, stacklevel=3)
