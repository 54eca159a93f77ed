"""What the reference lists from where it is declared: claims, quantities, names of types."""

import ast
import itertools
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from fracture import _registry, _typing
from fracture.vocabulary import QUANTITIES


class Claims(SphinxDirective):
    """Each claim of the package: its name, its text, its options, and what it measures."""

    def run(self) -> list[nodes.Node]:
        found = [e for e in _registry.entries().values() if e.module.startswith(_registry.OWN)]
        shown = "   :members: Options, Cell"
        parts = [f".. rubric:: {e.name}\n\n.. automodule:: {e.module}\n{shown}" for e in found]
        return self.parse_text_to_nodes("\n\n".join(parts))


class Quantities(SphinxDirective):
    """Each quantity of the vocabulary, a row."""

    def run(self) -> list[nodes.Node]:
        rows = [("name", "symbol", "meaning", "unit", "bound")]
        for name, quantity in QUANTITIES.items():
            row = name, quantity.symbol, quantity.meaning, quantity.unit, quantity.bound
            rows.append(tuple(text.replace("|", "\\|").replace("_", "\\_") for text in row))
        lines = [".. list-table::", "   :header-rows: 1", ""]
        for row in rows:
            lines += [f"   {'*' if i == 0 else ' '} - {text}" for i, text in enumerate(row)]
        return self.parse_text_to_nodes("\n".join(lines))


class Types(SphinxDirective):
    """Each name of a type that signatures use: what it stands for, and what that means."""

    def run(self) -> list[nodes.Node]:
        body = ast.parse(Path(_typing.__file__).read_text("utf-8")).body
        lines = [".. list-table::", "   :header-rows: 1", ""]
        lines += ["   * - name", "     - stands for", "     - which is"]
        for node, after in itertools.pairwise(body):
            if isinstance(node, ast.AnnAssign) and isinstance(after, ast.Expr):
                told = " ".join(after.value.value.split())
                lines += [f"   * - ``{node.target.id}``", f"     - ``{ast.unparse(node.value)}``"]
                lines.append(f"     - {told}")
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("claims", Claims)
    app.add_directive("quantities", Quantities)
    app.add_directive("types", Types)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
