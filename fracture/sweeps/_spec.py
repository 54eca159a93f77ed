"""What a sweep is: named axes, one cell function, and a key for every cell."""

import dataclasses
import functools
import inspect
import itertools
import json
import math
import platform
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np

from .. import __version__
from .._code import digest_of_files, digest_of_names
from .._typing import Key
from ..vocabulary import Variable, axis_quantity

Value: TypeAlias = int | float | str
Point: TypeAlias = dict[str, Value]
"""A value of every axis."""


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
        "backend": f"{jax.default_backend()} x {jax.local_device_count()}",
        "python": platform.python_version(),
        "fracture": f"{__version__}+{_code()}",
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
    }


# What draws conclusions, shows them, or says who computes: no number that is stored depends on it.
_CONCLUDING = (
    *("experiments", "statistics", "report", "drawing", "cli"),
    *("vocabulary.py", "_registry.py", "_signals.py", "_occasion.py", "_concluding.py"),
    *("sweeps/_executor.py", "sweeps/_notes.py", "sweeps/_status.py", "sweeps/_progress.py"),
)


@functools.cache
def _code() -> str:
    """Digest of the code that measures: chunks of different code never end up in one result."""
    package = Path(__file__).parents[1]
    names = sorted(path.relative_to(package) for path in package.rglob("*.py"))
    measuring = (name for name in names if {name.parts[0], str(name)}.isdisjoint(_CONCLUDING))
    return digest_of_files(*(package / name for name in measuring))


def _nothing_shared(**point: Value) -> tuple[()]:
    """What all seeds read where they read nothing."""
    return ()


@dataclasses.dataclass(frozen=True)
class Sweep:
    """Axes x seeds of one cell function.

    Parameters
    ----------
    name
        Slug of the experiment, of letters, digits and `_`, with `-` and `.` between them; it
        enters the key of every cell and the names of the files.
    cell
        `cell(key, shared, **point) -> NamedTuple` of arrays: one seed at one point, such as
        `cell(key, shared, *, dim)`, a pure function. Its fields are the keys of `variables`.
    axes
        Values of each axis, such as `{"dim": (8, 16, 32)}`: distinct numbers or words. The first
        axis is the one that results are drawn and fitted along, usually the dimension d; further
        ones are factors. Each point of the grid compiles once.
    seeds
        How many seeds each value of the first axis gets: one integer for all, or one for each.
    chunks
        How many seeds one compiled call handles, likewise. A chunk is what an interrupted sweep can
        lose; a last, smaller one is padded with further seeds, which are computed and dropped.
    variables
        What every field that `cell` returns is, such as `vocabulary.variables(Cell)`.
    shared
        `shared(**point) -> pytree` that all seeds of a point read, such as images: passed to the
        compiled call as an argument, never folded into it.
    options
        What else distinguishes this sweep; strings, numbers, lists. Recorded with the result, and
        a stored sweep only goes on under equal options.
    code
        Digest of the code that measures: a stored sweep only goes on with the same. None for what
        `cell` and `shared` depend on in their files, by names at the top, and in files beside them
        by `from .other import name`; comments and docstrings do not count, nor what is imported
        in other ways, closed over, or given to a `partial`. Functions without a file have none.
    numbered
        Whether `cell` also takes the number of its seed, as `seed`: where seeds stand for things
        that are given, such as photographs, of which `shared` has one for each.
    root
        Integer from which the key of every cell is derived.
    origin
        How other processes make this sweep: `module:name` of it, or of a function that returns it,
        and that one's arguments, plain data, such as `("my_sweep:make", {"width": 3})`. It may be
        None where the sweep stands under a name at the top of the module of `cell`.

    Raises
    ------
    ValueError
        Where axes are missing, empty or repeat a value; where a dimension, a number of seeds or a
        chunk is no positive integer; or where the name is none that a file can have.
    """

    name: str
    cell: Callable[..., Any]
    axes: Mapping[str, Sequence[Value]]
    seeds: int | Sequence[int]
    chunks: int | Sequence[int]
    variables: Mapping[str, Variable]
    shared: Callable[..., Any] = _nothing_shared
    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    code: str | None = None
    numbered: bool = False
    root: int = 0
    origin: tuple[str, Mapping[str, Any]] | None = None
    _digest: str = dataclasses.field(default="", init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        checked_name(self.name)
        plain = {axis: _checked_values(axis, values) for axis, values in self.axes.items()}
        object.__setattr__(self, "axes", plain)
        digest = self.code
        if digest is None:  # once: the file may be edited while the sweep runs
            digest = "-".join(filter(None, map(_digest_of_function, (self.cell, self.shared))))
        object.__setattr__(self, "_digest", digest)
        if not self.axes:
            raise ValueError("axes must be one at least, such as {'dim': (8, 16)}, got none.")
        for name in ("seeds", "chunks"):
            given = getattr(self, name)
            counts = self._each(given)
            if len(counts) != len(self.first) or not all(map(_is_positive, counts)):
                raise ValueError(
                    f"{name} must be positive integers, one for each value of "
                    f"{next(iter(self.axes))}, got {given!r}."
                )

    @property
    def first(self) -> Sequence[Value]:
        """Values of the first axis."""
        return next(iter(self.axes.values()))

    def points(self) -> list[Point]:
        """Every point of the grid, the first axis slowest."""
        values = itertools.product(*self.axes.values())
        return [dict(zip(self.axes, point, strict=True)) for point in values]

    def size(self, point: Point) -> tuple[int, int]:
        """How many seeds a point has, and how many of them are in a chunk."""
        at = list(self.first).index(point[next(iter(self.axes))])
        seeds, chunks = self._each(self.seeds)[at], self._each(self.chunks)[at]
        return seeds, min(seeds, chunks)

    def _each(self, given: int | Sequence[int]) -> tuple[int, ...]:
        """One number for each value of the first axis."""
        return (given,) * len(self.first) if isinstance(given, int) else tuple(given)

    def cell_key(self, point: Point, seed: jax.Array | int) -> Key:
        """Key of one cell: a function of its own coordinates only."""
        key = jax.random.fold_in(jax.random.key(self.root), zlib.crc32(self.name.encode()))
        for value in point.values():
            if not (isinstance(value, int) and 0 <= value < 2**32):
                value = zlib.crc32(repr(value).encode())
            key = jax.random.fold_in(key, value)
        return jax.random.fold_in(key, seed)

    def provenance(self) -> dict[str, Any]:
        """All that the numbers depend on, in types that JSON and netCDF know."""
        return {
            "experiment": self.name,
            "axes": list(self.axes),
            "grid": json.dumps({axis: list(values) for axis, values in self.axes.items()}),
            "seeds": list(self._each(self.seeds)),
            "chunks": list(self._each(self.chunks)),
            "root": self.root,
            "options": json.dumps(dict(self.options), sort_keys=True),
            "code": self._digest,
            **environment(),
        }


def _digest_of_function(function: Callable[..., Any]) -> str:
    """Digest of what a function depends on in its file; empty where it has none.

    Of a lambda, an object, or what stands under no name at the top: that of the whole file.
    """
    inner: Any = function
    while inner is not None:
        function = inner
        within = "func" if isinstance(function, functools.partial) else "__wrapped__"
        inner = getattr(function, within, None)
    made: Any = function if hasattr(function, "__qualname__") else type(function)
    try:
        path = Path(inspect.getsourcefile(made) or "")
    except (TypeError, OSError):  # it is built in, or was typed in
        return ""
    if not path.is_file():
        return ""
    named = digest_of_names(path, [made.__qualname__.partition(".")[0]])
    return named if named != digest_of_names(path, []) else digest_of_files(path)


def label(point: Mapping[str, Value]) -> str:
    """A point for people, such as `d = 8, layers = 2`."""
    return ", ".join(f"{axis_quantity(name).symbol} = {value}" for name, value in point.items())


def _checked_values(axis: str, values: Sequence[Any]) -> tuple[Value, ...]:
    """Values of an axis as Python numbers or words; `ValueError` where they are none."""
    if not axis.isidentifier() or axis in ("seed", "key", "shared"):
        raise ValueError(f"axes must have names of their own, such as 'dim', got {axis!r}.")
    plain = [value.item() if isinstance(value, np.generic) else value for value in values]
    numbers = [v for v in plain if isinstance(v, int | float) and not isinstance(v, bool)]
    words = [v for v in plain if isinstance(v, str) and re.fullmatch(r"[A-Za-z0-9_.+]+", v)]
    if not plain or len(plain) not in (len(numbers), len(words)):
        raise ValueError(
            f"{axis} must be numbers, or words of letters, digits, '_', '.', '+', got {values!r}."
        )
    if not all(map(math.isfinite, numbers)):
        raise ValueError(f"{axis} must be finite, got {values!r}.")
    if len(set(plain)) != len(plain):
        raise ValueError(f"{axis} must have distinct values, got {values!r}.")
    if axis == "dim" and not all(map(_is_positive, plain)):
        raise ValueError(f"dim must be positive integers, got {values!r}.")
    whole = all(isinstance(value, int) for value in numbers)
    return tuple(words or (numbers if whole else map(float, numbers)))


def _is_positive(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1
