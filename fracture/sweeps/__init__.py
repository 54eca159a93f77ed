"""Grids of dimensions x seeds in one compiled call per shape: sharded, resumable, labelled."""

from ._run import Progress, run
from ._spec import Sweep, Variable
from ._store import StoreMismatchError, read_dataset, write_atomically, write_dataset

__all__ = [
    "Progress",
    "StoreMismatchError",
    "Sweep",
    "Variable",
    "read_dataset",
    "run",
    "write_atomically",
    "write_dataset",
]
