"""The contract of a claim: what its file declares, and what is made of that."""

import contextlib
import dataclasses
import inspect
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType, NoneType, UnionType
from typing import Any, NamedTuple, Union, get_args, get_origin, get_type_hints

import numpy as np
import xarray as xr

from .._code import digest_of_names
from .._registry import entry
from ..drawing import Drawing
from ..sweeps import Sweep
from ..vocabulary import axis_quantity, variables
from ._findings import Findings

_MEASURING = ("measure", "shared", "variant")
_RECORDED = ("Cell", "Options")  # names of fields and values of options are recorded themselves


class Size(NamedTuple):
    """How much of a claim is measured.

    Attributes
    ----------
    axes
        Values of each axis, the first of which is summarised along.
    seeds, chunks
        Seeds at each value of the first axis, and how many of them one compiled call handles: one
        number for all, or a function of the value.
    """

    axes: Mapping[str, Sequence[Any]]
    seeds: int | Callable[[Any], int]
    chunks: int | Callable[[Any], int]


class Claim(NamedTuple):
    """What the file of a claim declares; `of_module` reads it.

    Attributes
    ----------
    name
        Name of the file.
    title, text
        First line and rest of its docstring: what is claimed, and the text of its page.
    source
        `SOURCE`, where it is claimed.
    options
        `Options`, a NamedTuple with defaults; recorded with the results.
    cell
        `Cell`, a NamedTuple whose fields are annotated as `vocabulary.variables` reads them.
    sizes
        `SIZES`, a `Size` for each of `quick`, `default` and `full`.
    measure
        `measure(key, shared, options, **point) -> Cell`: one seed at one point, a pure function.
    judge
        `judge(dataset) -> Findings`: what is concluded from measurements, new or stored.
    draw
        `draw(findings) -> dict[str, Drawing]`.
    shared
        `shared(options, **point) -> pytree` that all seeds of a point read; optional.
    check
        `check(options, axes)` raises `ValueError` for what cannot be measured; optional.
    describe
        `describe(options) -> (title, description)` for the page, where it depends on the options;
        optional.
    variant
        `variant(options) -> str`: what tells results of other options apart, for the names of
        files and for the keys of random numbers, such as `hypercube`; optional.
    units
        `UNITS`, how many given things, such as photographs, the seeds stand for: `measure` then
        also takes `seed`, which of them; optional.
    coordinates
        `COORDINATES`, values along dimensions within a cell, by name; optional.
    code
        Digest of the code that measures: of what `measure`, `shared` and `variant` depend on in the
        file, and in files beside it from which it imports.
    """

    name: str
    title: str
    text: str
    source: str
    options: Any
    cell: type
    sizes: Mapping[str, Size]
    measure: Callable[..., Any]
    judge: Callable[[xr.Dataset], Findings]
    draw: Callable[[Findings], dict[str, Drawing]]
    shared: Callable[..., Any]
    check: Callable[[Any, Mapping[str, Sequence[Any]]], None]
    describe: Callable[[Any], tuple[str, str]]
    variant: Callable[[Any], str]
    units: int | None
    coordinates: Mapping[str, Sequence[Any]]
    code: str


def of_module(module: ModuleType) -> Claim:
    """Read the declarations of a claim's file.

    Raises
    ------
    ValueError
        Where one is missing, or a size.
    """
    needed = ("SOURCE", "Options", "Cell", "SIZES", "measure", "judge", "draw")
    missing = [name for name in needed if not hasattr(module, name)]
    if missing or not module.__doc__:
        raise ValueError(f"{module.__file__} declares no {(missing or ['docstring'])[0]}.")
    if set(module.SIZES) != {"quick", "default", "full"}:
        raise ValueError(f"SIZES of {module.__file__} must be quick, default and full.")
    title, _, text = inspect.cleandoc(module.__doc__).partition("\n")
    title, text = title.rstrip("."), text.strip()
    return Claim(
        name=module.__name__.rpartition(".")[2],
        title=title,
        text=text,
        source=module.SOURCE,
        options=module.Options,
        cell=module.Cell,
        sizes=module.SIZES,
        measure=module.measure,
        judge=module.judge,
        draw=module.draw,
        shared=getattr(module, "shared", lambda options, **point: ()),
        check=getattr(module, "check", lambda options, axes: None),
        describe=getattr(module, "describe", lambda options: (title, text.partition("\n\n")[0])),
        variant=getattr(module, "variant", lambda options: ""),
        units=getattr(module, "UNITS", None),
        coordinates=getattr(module, "COORDINATES", {}),
        code=_code(Path(str(module.__file__))),
    )


def _code(path: Path) -> str:
    """Digest of what a claim is measured by: what its `measure` depends on, and `sweep_of` here."""
    own = digest_of_names(path, _MEASURING, without=_RECORDED)
    return f"{own}-{digest_of_names(Path(__file__), ['sweep_of'], without=['Claim', 'Size'])}"


def claim(name: str) -> Claim:
    """The claim of a name, its file imported.

    Raises
    ------
    ValueError
        Where there is none of that name, or its file does not declare what a claim does.
    """
    return of_module(entry(name).load())


def settle(
    what: Claim,
    *,
    size: str = "default",
    settings: Mapping[str, Any] | None = None,
    seeds: int | None = None,
) -> tuple[Any, Size]:
    """The options and the size of a run: of the claim, with `settings` of options and of axes.

    A value that is given as text is read as what it stands for: a number where the option is one.

    Raises
    ------
    ValueError
        For a size, an option or an axis that the claim does not have, or a value that is none.
    """
    if size not in what.sizes:
        raise ValueError(f"size must be one of {', '.join(what.sizes)}, got {size!r}.")
    chosen, defaults = what.sizes[size], what.options()
    axes, changed = dict(chosen.axes), {}
    for name, value in (settings or {}).items():
        if name in axes:
            axes[name] = _values(name, value, words=isinstance(axes[name][0], str))
        elif name in what.options._fields:
            changed[name] = _read(name, value, get_type_hints(what.options)[name])
        else:
            known = ", ".join((*axes, *what.options._fields))
            raise ValueError(f"{what.name} has no {name}; it has {known}.")
    options = defaults._replace(**changed)
    what.check(options, axes)
    if seeds is not None and seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {seeds}.")
    if seeds is not None and what.units is not None and seeds > what.units:
        raise ValueError(
            f"seeds of {what.name} must be at most {what.units}, as many as there are, got {seeds}."
        )
    return options, chosen._replace(axes=axes, seeds=chosen.seeds if seeds is None else seeds)


def sweep_of(what: Claim, options: Any, size: Size, *, root: int = 0) -> Sweep:
    """The sweep that measures a claim."""
    first = next(iter(size.axes.values()))
    per_value = lambda given: tuple(given(at) if callable(given) else given for at in first)
    return Sweep(
        name=called(what, options),
        cell=lambda key, given, **point: what.measure(key, given, options, **point),
        axes=size.axes,
        seeds=per_value(size.seeds),
        chunks=per_value(size.chunks),
        variables=variables(what.cell),
        shared=lambda **point: what.shared(options, **point),
        options=options._asdict(),
        code=what.code,
        numbered=what.units is not None,
        root=root,
    )


def traveling(sweep: Sweep, by: Mapping[str, Any]) -> Sweep:
    """A sweep of a claim that other processes can make: by the arguments of `traveled`."""
    known = {**sweep.options, **sweep.axes}  # as they were read: plain, whatever was given
    plain = {name: known[name] for name in by["settings"]}
    origin = f"{__name__}:{traveled.__name__}", {**by, "settings": plain}
    return dataclasses.replace(sweep, origin=origin)


def traveled(
    *, name: str, size: str, settings: Mapping[str, Any], seeds: int | None, root: int
) -> Sweep:
    """What `traveling` was given, made again."""
    what = claim(name)
    return sweep_of(what, *settle(what, size=size, settings=settings, seeds=seeds), root=root)


def labelled(what: Claim, options: Any, dataset: xr.Dataset) -> xr.Dataset:
    """What a claim measured; it says which claim and options it is of."""
    for name, values in what.coordinates.items():
        dataset = dataset.assign_coords({name: (name, list(values), axis_quantity(name).attrs())})
    title, description = what.describe(options)
    return dataset.assign_attrs(title=title, description=description, claim=what.name)


def called(what: Claim, options: Any) -> str:
    """Name of what a claim gives under some options."""
    variant = what.variant(options)
    return f"{what.name}_{variant}" if variant else what.name


def options_of(what: Any, dataset: xr.Dataset) -> Any:
    """The options, a NamedTuple, that a dataset was measured under; unknown ones are left out."""
    stored = json.loads(dataset.attrs["options"])
    return what(**{name: stored[name] for name in what._fields if name in stored})


def _values(name: str, given: Any, *, words: bool) -> tuple[Any, ...]:
    """Values of an axis: a sequence, or a text of several with commas between them."""
    parts = given.split(",") if isinstance(given, str) else given
    if not isinstance(parts, Sequence | np.ndarray):
        raise ValueError(f"{name} must be several values, such as 8,16, got {given!r}.")
    return tuple(_read(name, part, str if words else int | float) for part in parts)


def _read(name: str, given: Any, kind: Any) -> Any:
    """A value of an annotated type, from one or from a text that stands for it."""
    try:
        return _converted(given, kind)
    except (ValueError, TypeError, KeyError) as error:
        said = kind.__name__ if isinstance(kind, type) else str(kind)
        raise ValueError(f"{name} must be of type {said}, got {given!r}.") from error


def _converted(given: Any, kind: Any) -> Any:
    given = given.strip() if isinstance(given, str) else given
    if isinstance(kind, UnionType) or get_origin(kind) is Union:
        return _first_of(given, get_args(kind))
    if get_origin(kind) is tuple:
        parts = given.split(",") if isinstance(given, str) else given
        return tuple(_converted(part, get_args(kind)[0]) for part in parts)
    if kind is NoneType:
        return {None: None, "none": None}[given]
    if kind is bool:
        return {True: True, False: False, "true": True, "false": False}[given]
    if isinstance(given, bool) or (kind is str and not isinstance(given, str)):
        raise TypeError
    if kind is int and not isinstance(given, str):
        return operator.index(given)
    return kind(given)


def _first_of(given: Any, kinds: Sequence[Any]) -> Any:
    """The first kind that a value can be, as int before float."""
    for kind in kinds:
        with contextlib.suppress(ValueError, TypeError, KeyError):
            return _converted(given, kind)
    raise TypeError
