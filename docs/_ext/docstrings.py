"""Docstrings as this project writes them: `$maths$`, norms in bars, fields told by a comment.

Signatures likewise: with the names of types that stand in the source, not what they stand for.
Those of modules end in a table of what the module offers.
"""

import ast
import enum
import inspect
import io
import re
import textwrap
import tokenize
from types import ModuleType
from typing import Any

from sphinx.application import Sphinx


def fields(cls: type) -> dict[str, tuple[str, str]]:
    """Annotation or value, and the comment or docstring, of each field in the class's source."""
    source = textwrap.dedent(inspect.getsource(cls))
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    comments = {t.start[0]: t.string.lstrip("# ") for t in tokens if t.type == tokenize.COMMENT}
    body = ast.parse(source).body[0].body
    found = {}
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign):
            name, kind = node.target.id, ast.unparse(node.annotation)
        elif isinstance(node, ast.Assign):
            name, kind = node.targets[0].id, ast.unparse(node.value)
        else:
            continue
        told = [comments[n] for n in range(node.lineno, node.end_lineno + 1) if n in comments]
        if isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            told.append(after.value.value)
        found[name] = kind, " ".join(told)
    return found


def process(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Runs before napoleon, which then sees an Attributes section."""
    tabulated = isinstance(obj, type) and (hasattr(obj, "_fields") or issubclass(obj, enum.Enum))
    if tabulated and "Attributes" in lines:
        known = fields(obj)
        lines[:] = [f"{line} : ``{known[line][0]}``" if line in known else line for line in lines]
    elif tabulated:
        lines += ["", "Attributes", "----------"]
        for field, (kind, told) in fields(obj).items():
            lines += [f"{field} : ``{kind}``", f"    {told}"]
        lines.append("")
    elif what == "module" and hasattr(obj, "__all__"):
        lines += summary(obj)
    text = RETURNS.sub(one_line, "\n".join(lines))
    lines[:] = INLINE.sub(mark_up, text).split("\n")


def summary(module: ModuleType) -> list[str]:
    """A table of what a part offers: every function and class, with the first line about it."""
    rows = []
    for name in module.__all__:
        known = getattr(module, name)
        if inspect.isroutine(known) or inspect.isclass(known):
            first, *_ = (inspect.getdoc(known) or "").splitlines() or [""]
            rows += [f"   - - `~{module.__name__}.{name}`", f"     - {first}"]
    return ["", ".. list-table::", "   :class: summary", "   :widths: auto", "", *rows, ""]


RETURNS = re.compile(r"(Returns\n-------\n)((?:\S[^\n]*\n?)+)(?=\n|\Z)")
INLINE = re.compile(
    r"""(?P<kept> ^>>>.*(?:\n.+)*
                | \.\.\ math::[^\n]*(?:\n(?:[ \t][^\n]*)?)*
                | `+[^`]+`+
                | (?<!\w)\*\w[\w ]*\*(?!\w) )
      | \$(?P<maths>[^$]+)\$
      | (?P<mark>[|*])""",
    re.VERBOSE | re.MULTILINE,
)


def one_line(match: re.Match[str]) -> str:
    """A returned value told in a sentence is one value, on however many lines."""
    return match[1] + " ".join(match[2].split()) + "\n"


def mark_up(match: re.Match[str]) -> str:
    """Dollars become a role; bars and stars are norms and duals, not substitutions, emphasis."""
    if match["maths"]:
        return f":math:`{' '.join(match['maths'].split())}`"
    return "\\" + match["mark"] if match["mark"] else match["kept"]


def written(
    app: Sphinx, what: str, name: str, obj: Any, options: Any, signature: str, returns: str
) -> tuple[str, str] | None:
    """The signature of a function as its source has it: an alias in place of a long union."""
    if what not in ("function", "method") or not inspect.isfunction(inspect.unwrap(obj)):
        return None
    node = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(obj)))).body[0]
    if not isinstance(node, ast.FunctionDef):
        return None  # a lambda, say
    if what == "method":
        del node.args.args[:1]
    node = Public(inspect.unwrap(obj).__globals__).visit(node)
    gives = "" if node.returns is None else ast.unparse(node.returns)
    return f"({ast.unparse(node.args)})", gives


class Public(ast.NodeTransformer):
    """Classes of the package by their public names, which Sphinx links, and shows without them."""

    def __init__(self, known: dict[str, Any]) -> None:
        self.known = known

    def visit_Name(self, node: ast.Name) -> ast.Name:
        found = self.known.get(node.id)
        if isinstance(found, type) and found.__module__.startswith("fracture."):
            part = ".".join(found.__module__.split(".")[:2])
            return ast.Name(f"{part}.{found.__name__}")
        return node


def skip(app: Sphinx, what: str, name: str, obj: Any, skipped: bool, options: Any) -> bool | None:
    """Fields of a NamedTuple are in its table."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def setup(app: Sphinx) -> dict[str, bool]:
    app.setup_extension("sphinx.ext.autodoc")
    app.connect("autodoc-process-docstring", process, priority=400)
    app.connect("autodoc-process-signature", written)
    app.connect("autodoc-skip-member", skip)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
