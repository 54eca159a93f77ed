"""What a sweep is: named axes, one cell function, and a key for every cell."""

import dataclasses
import functools
import hashlib
import json
import platform
import re
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import jaxlib

from .. import __version__
from .._typing import Key


class Variable(NamedTuple):
    """How one field of a cell's result is labelled."""

    long_name: str
    units: str = ""
    dims: tuple[str, ...] = ()  # of one cell; the sweep adds "dim" and "seed" in front


def checked_name(name: str) -> str:
    """The name of a sweep; `ValueError` for one that folders and files cannot safely have."""
    if len(name) > 100 or not re.fullmatch(r"[A-Za-z0-9_]+([.-][A-Za-z0-9_]+)*", name):
        raise ValueError(
            "the name of a sweep must be at most 100 letters, digits and '_', with single '-' or "
            f"'.' between them, got {name[:200]!r}."
        )
    return name


def environment() -> dict[str, str]:
    """What the numbers depend on besides what was asked for: versions, backend, precision."""
    return {
        "float": jnp.zeros(()).dtype.name,
        "backend": f"{jax.default_backend()} x {jax.device_count()}",
        "python": platform.python_version(),
        "fracture": f"{__version__}+{_source_hash()}",
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
    }


@functools.cache
def _source_hash() -> str:
    """Digest of this package's code: chunks of different code never end up in one result."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(path.relative_to(package).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Dimensions x seeds of one cell function.

    Parameters
    ----------
    name
        Slug of the experiment, of letters, digits and `_`, with `-` and `.` between them; it
        enters the key of every cell and the names of the files.
    cell
        `cell(key, shared, *, dim) -> NamedTuple` of arrays: one seed at one dimension, a pure
        function. Its fields are the keys of `variables`.
    dims
        The dimensions d. Each compiles once.
    seeds
        How many seeds each dimension gets, `len(dims)` integers.
    chunks
        How many seeds one compiled call handles, `len(dims)` integers. A chunk is what an
        interrupted sweep can lose; a last, smaller one is padded with further seeds, which are
        computed and dropped.
    variables
        Label, units and inner dimensions of every field that `cell` returns.
    shared
        `shared(dim) -> pytree` that all seeds of a dimension read, such as images: passed to the
        compiled call as an argument, never folded into it.
    options
        What else distinguishes this sweep; strings, numbers, lists. Recorded with the result, and
        a stored sweep only goes on under equal options.
    root
        Integer from which the key of every cell is derived.

    Raises
    ------
    ValueError
        Where the axes are empty, not positive, repeated, or of different lengths, or the name is
        none that a file can have.
    """

    name: str
    cell: Callable[..., Any]
    dims: tuple[int, ...]
    seeds: tuple[int, ...]
    chunks: tuple[int, ...]
    variables: Mapping[str, Variable]
    shared: Callable[[int], Any] = lambda dim: ()
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    root: int = 0

    def __post_init__(self) -> None:
        checked_name(self.name)
        for axis in ("dims", "seeds", "chunks"):
            values = getattr(self, axis)
            if not values or any(not isinstance(v, int) or v < 1 for v in values):
                raise ValueError(f"{axis} must be positive integers, got {values!r}.")
            if len(values) != len(self.dims):
                raise ValueError(f"{axis} must have one entry per dimension, got {values!r}.")
        if len(set(self.dims)) != len(self.dims):
            raise ValueError(f"dims must be distinct, got {self.dims!r}.")

    def cell_key(self, dim: int, seed: jax.Array | int) -> Key:
        """Key of one cell: a function of its own coordinates only."""
        key = jax.random.fold_in(jax.random.key(self.root), zlib.crc32(self.name.encode()))
        return jax.random.fold_in(jax.random.fold_in(key, dim), seed)

    def provenance(self) -> dict[str, Any]:
        """All that the numbers depend on, in types that JSON and netCDF know."""
        return {
            "experiment": self.name,
            "dims": list(self.dims),
            "seeds": list(self.seeds),
            "chunks": list(self.chunks),
            "root": self.root,
            "options": json.dumps(dict(self.options), sort_keys=True),
            **environment(),
        }
