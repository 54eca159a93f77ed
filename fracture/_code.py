"""Digests of code that ignore what computes nothing: comments, docstrings, the form of the text."""

import ast
import hashlib
from collections.abc import Collection
from pathlib import Path


def digest_of_code(*paths: Path, without: Collection[str] = ()) -> str:
    """Digest of Python files, such that only another program has another one.

    Parameters
    ----------
    *paths
        Files, in the order in which they count.
    without
        Names of functions at the top of a file that do not count.
    """
    digest = hashlib.sha256()
    for path in paths:
        tree = ast.parse(path.read_text("utf-8"))
        functions = ast.FunctionDef | ast.AsyncFunctionDef
        tree.body = [
            node for node in tree.body if not (isinstance(node, functions) and node.name in without)
        ]
        for node in ast.walk(tree):
            if isinstance(node, functions | ast.ClassDef | ast.Module):
                node.body = [*filter(_counts, node.body)]
        digest.update(ast.dump(tree).encode() + b"\0")
    return digest.hexdigest()[:12]


def _counts(statement: ast.stmt) -> bool:
    """Whether a statement does something: a text alone is a docstring."""
    return not (isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant))
