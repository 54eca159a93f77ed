"""What an analysis is of, so that no other takes its place in a folder."""

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .._files import open_regular
from ..sweeps import read_dataset
from ..sweeps._store import compare
from ._concluding import concluding


def digest_of_file(path: Path) -> str:
    """A short digest of what a file holds."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def name_and_source(name: str) -> str:
    """`module:name` and a digest of the source of the module, which is imported, if it has one."""
    source = getattr(sys.modules[name.partition(":")[0]], "__file__", None)
    return name if source is None else f"{name}, source {digest_of_file(Path(source))}"


def claim(path: Path, identity: Mapping[str, Any]) -> dict[str, str]:
    """The attribute that says what an analysis is of, for the one that will be stored at `path`.

    Raises
    ------
    StoreMismatchError
        Where the one that is stored there is of something else.
    """
    identity = json.loads(json.dumps(identity))
    if path.exists():
        attribute = read_dataset(path).attrs.get("identity", "{}")
        with concluding(path):
            stored = dict(json.loads(attribute))
        compare(stored, identity, f"{path.parent} holds another analysis")
    return {"identity": json.dumps(identity)}
