"""Digests of code that ignore what computes nothing: comments, docstrings, the form of the text."""

import ast
import hashlib
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import TypeAlias

Statements: TypeAlias = dict[str, ast.stmt]


def digest_of_files(*paths: Path) -> str:
    """Digest of Python files, in their order, such that only another program has another one."""
    return _digest(_dump(ast.parse(path.read_text("utf-8"))) for path in paths)


def digest_of_names(path: Path, names: Collection[str], without: Collection[str] = ()) -> str:
    """Digest of what some names of a Python file are made of.

    Counted is every statement at the top of the file that they depend on, directly or not, and of
    the files beside it from which it imports names, by `from .other import name` or as `other.name`
    after `from . import other`.

    Parameters
    ----------
    path
        The file.
    names
        Names at its top; those that it does not have are left out.
    without
        Names that do not count, wherever they stand.
    """
    files: dict[Path, Statements] = {}
    found: dict[tuple[Path, str], str] = {}
    queue = [(path, name) for name in names]
    while queue:
        where, name = queue.pop()
        if (where, name) in found or name in without:
            continue
        if where not in files:
            files[where] = _statements(where)
        statement = files[where].get(name)
        if statement is None:
            continue  # a builtin, or a local name
        found[where, name] = _dump(statement)
        beside = _beside(where, statement, name)
        if beside is not None:
            queue.append((beside, _original(statement, name)))
            continue
        for node in ast.walk(statement):
            if isinstance(node, ast.Name):
                queue.append((where, node.id))
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                module = node.value.id
                beside = _beside(where, files[where].get(module), module)
                if beside is not None:
                    queue.append((beside, node.attr))
    return _digest(found[key] for key in sorted(found, key=lambda key: (key[0].name, key[1])))


def _statements(path: Path) -> Statements:
    """What defines each name at the top of a file."""
    found: Statements = {}
    for node in ast.parse(path.read_text("utf-8")).body:
        for name in _defined(node):
            found[name] = node
    return found


def _defined(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Import | ast.ImportFrom):
        yield from (alias.asname or alias.name.partition(".")[0] for alias in node.names)
    else:
        stored = (one for one in ast.walk(node) if isinstance(one, ast.Name))
        yield from (name.id for name in stored if isinstance(name.ctx, ast.Store))


def _beside(path: Path, statement: ast.stmt | None, name: str) -> Path | None:
    """The file beside that a statement imports a name from, or imports under a name, if it does."""
    if not isinstance(statement, ast.ImportFrom) or statement.level != 1:
        return None
    other = path.parent / f"{statement.module or _original(statement, name)}.py"
    return other if other.exists() else None


def _original(statement: ast.stmt, name: str) -> str:
    """What a name is called where it is imported from."""
    assert isinstance(statement, ast.ImportFrom)
    return next(alias.name for alias in statement.names if name in (alias.asname, alias.name))


def _dump(tree: ast.AST) -> str:
    """A tree as text, without docstrings; lines and columns are no part of it."""
    bodies = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module
    for node in ast.walk(tree):
        if isinstance(node, bodies):
            node.body = [*filter(_counts, node.body)]
    return ast.dump(tree)


def _counts(statement: ast.stmt) -> bool:
    """Whether a statement does something: a text alone is a docstring."""
    return not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))


def _digest(texts: Iterator[str]) -> str:
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()[:12]
