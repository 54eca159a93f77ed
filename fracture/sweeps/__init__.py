"""Grids of axes x seeds in one compiled call per shape: sharded, resumable, labelled."""

from ._atomic import exclusive, write_atomically
from ._executor import Executor, FailedChunksError
from ._netcdf import DamagedFileError, read_dataset, write_dataset
from ._progress import Progress, progress_bar
from ._run import run, run_each
from ._spec import Point, Sweep, environment
from ._status import Status, status
from ._store import StoreMismatchError, chunk_store, compare

__all__ = [
    "DamagedFileError",
    "Executor",
    "FailedChunksError",
    "Point",
    "Progress",
    "Status",
    "StoreMismatchError",
    "Sweep",
    "chunk_store",
    "compare",
    "environment",
    "exclusive",
    "progress_bar",
    "read_dataset",
    "run",
    "run_each",
    "status",
    "write_atomically",
    "write_dataset",
]
