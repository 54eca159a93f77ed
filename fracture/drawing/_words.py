"""What a variable is called and means: read from the attributes that `vocabulary` gives it."""

import itertools
import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, SupportsFloat

import xarray as xr

from .. import vocabulary
from ..vocabulary import QUANTITIES, Quantity
from ._format import count, number, pvalue, share
from ._marks import finite

_FORMS = {"number": number, "count": count, "share": share, "p-value": pvalue}
_BOUNDS = {"upper": "an upper bound of the true one", "lower": "a lower bound of the true one"}
_BY_SYMBOL = {known.symbol: known for known in [*QUANTITIES.values()][::-1]}  # the first wins
_SYMBOLS = [known.symbol for known in QUANTITIES.values()]
_PURE = ("1", "dimensionless", "none")  # how other tools write that there is no unit


def quantity_of(variable: xr.DataArray) -> Quantity:
    """What a variable is, from its attributes; where it has none, by its name in the vocabulary."""
    name, attrs = str(variable.name), variable.attrs
    known = QUANTITIES.get(name, Quantity(name.replace("_", " "), ""))
    if not {"symbol", "long_name"} & set(attrs):
        return known._replace(unit=str(attrs.get("units", known.unit)))
    units: Any = attrs.get("units", "")
    return Quantity(
        symbol=str(attrs.get("symbol", known.symbol)),
        meaning=str(attrs.get("long_name", "")),
        unit="" if units in _PURE else str(units),
        bound=attrs.get("bound", ""),
        form=attrs.get("form", "number"),
    )


def formatter(variable: xr.DataArray) -> Callable[[SupportsFloat], str]:
    """How the values of a variable are written."""
    return _FORMS.get(quantity_of(variable).form, number)


def tex(text: str) -> str:
    """Plain text for Matplotlib: subscripts lowered, and a symbol of one letter in italics."""
    if re.fullmatch(r"[^\W\d_]", text):
        return f"${text}$"
    return re.sub(r"\b([^\W\d_])_(\w+)", r"$\1_\\mathrm{\2}$", text)


def axis_label(variable: xr.DataArray) -> str:
    """Symbol, meaning where there is room for it, and unit, for the axis of a figure."""
    quantity = quantity_of(variable)
    said = f", {quantity.meaning}" if 0 < len(quantity.meaning) <= 56 else ""
    units = f" ({quantity.unit})" if quantity.unit else ""
    return f"{tex(quantity.symbol)}{said}{units}"


def explain(variables: Iterable[xr.DataArray], within: xr.Dataset | None = None) -> str:
    """One phrase for each symbol of some variables, and for those that it is made of.

    Parameters
    ----------
    variables
        In the order in which they are explained.
    within
        What explains parts of symbols, such as `r_nn` in `r_nn/r_opt`; else `vocabulary` does.

    Returns
    -------
    str
        Such as `r_nn/r_opt: fragility ratio. r_nn: smallest perturbation found … (an upper bound of
        the true one)`. Without the last full stop.
    """
    known = {} if within is None else _by_symbol(within)
    found = _explained(map(quantity_of, variables), known)
    return ". ".join(f"{quantity.symbol}: {phrase(quantity)}" for quantity in found)


def glossary(
    datasets: Iterable[tuple[str, xr.Dataset]], names: Container[str] | None = None
) -> dict[str, str]:
    """Meaning of each symbol that some datasets print, and of those that it is made of.

    Parameters
    ----------
    datasets
        Each with the name that people know it by; it is said where two mean different things.
    names
        Variables whose symbols are printed, with those of their axes; None for all.

    Returns
    -------
    dict of str to str
        By symbol, in the order of the vocabulary. What only bounds the true value says so.
    """
    found: dict[str, dict[str, dict[str, list[str]]]] = {}
    for title, data in datasets:
        known = _by_symbol(data)
        printed = known.values()
        if names is not None:
            printed = _by_symbol(data[[name for name in data.data_vars if name in names]]).values()
        for quantity in _explained(printed, known):
            bounds = found.setdefault(quantity.symbol, {}).setdefault(quantity.meaning, {})
            bounds.setdefault(_BOUNDS.get(quantity.bound, ""), []).append(title)
    first = [symbol for symbol in _SYMBOLS if symbol in found]
    return {symbol: _joined(found[symbol]) for symbol in dict.fromkeys([*first, *found])}


def _joined(meanings: Mapping[str, Mapping[str, Sequence[str]]]) -> str:
    """All meanings of a symbol, each with the datasets where it has it, if not in all of them."""
    parts = []
    for meaning, bounds in meanings.items():
        everywhere = len(bounds) == 1
        said = [
            bound if everywhere else f"{bound} in {_list(titles)}"
            for bound, titles in bounds.items()
            if bound
        ]
        where = f" [{_list(itertools.chain(*bounds.values()))}]" if len(meanings) > 1 else ""
        parts.append(meaning + (f" ({'; '.join(said)})" if said else "") + where)
    return "; ".join(parts)


def _list(titles: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(titles))


def phrase(quantity: Quantity) -> str:
    """What a quantity means, and of what it is a bound."""
    bound = _BOUNDS.get(quantity.bound)
    return f"{quantity.meaning} ({bound})" if bound else quantity.meaning


def ends(data: xr.Dataset, name: str) -> tuple[str, ...]:
    """Names of the ends of a variable's interval, low and high; empty where it has none."""
    both = (f"{name}_lo", f"{name}_hi")
    return both if all(end in data for end in both) else ()


def without_ends(data: xr.Dataset) -> list[str]:
    """Names of all variables but ends of intervals."""
    names = list(map(str, data.data_vars))
    known = {end for name in names for end in ends(data, name)}
    return [name for name in names if name not in known]


def intervals(data: xr.Dataset, names: Iterable[str]) -> str:
    """What to say of medians and shares: that they have intervals only where one is finite."""
    names = list(names)
    shares = [data[name].attrs.get("cell_methods") == "seed: mean" for name in names]  # `summarise`
    if all(shares):
        return "shares of the seeds with exact 95 % confidence intervals"
    if any(shares):
        return "medians over seeds, or shares of them, with 95 % confidence intervals"
    low = [data[end] for name in names for end in ends(data, name)[:1]]
    if any(finite(end).size for end in low):
        return "medians over seeds with 95 % confidence intervals"
    return "medians over seeds" + ("; too few seeds for intervals" if low else "")


def sentences(*parts: str) -> str:
    """Those that say something, as one text."""
    return " ".join(filter(None, parts))


def level(coordinate: xr.DataArray, at: int) -> str:
    """A value of an axis, by its index, in words: as `statistics.levels` calls it."""
    return vocabulary.level(str(coordinate.name), coordinate.values.tolist()[at], coordinate.attrs)


def ends_of(coordinate: xr.DataArray) -> str:
    """From where to where an axis goes, for alternative texts."""
    values = coordinate.values.tolist()
    if is_text(coordinate):
        return ", ".join(map(str, values))
    return f"from {values[0]} to {values[-1]}" if values else "n/a"


def is_text(coordinate: xr.DataArray) -> bool:
    """Whether the values of an axis are texts, which have no order."""
    return coordinate.dtype.kind in "USO"


def _by_symbol(data: xr.Dataset) -> dict[str, Quantity]:
    """What a dataset holds, with a meaning; ends of intervals are what their middle is."""
    names = [*without_ends(data), *(str(dim) for dim in data.dims if dim in data.coords)]
    found = (quantity_of(data[name]) for name in names)
    return {quantity.symbol: quantity for quantity in found if quantity.meaning}


def _explained(quantities: Iterable[Quantity], known: Mapping[str, Quantity]) -> list[Quantity]:
    """Those with a meaning, each followed by what its symbol and its meaning are made of."""
    queue, found = list(quantities), dict[str, Quantity]()
    while queue:
        quantity = queue.pop(0)
        if quantity.symbol in found or not quantity.meaning:
            continue
        found[quantity.symbol] = quantity
        # With a subscript, or a Greek letter: anything else may be a word.
        parts = re.findall(r"[^\W\d_]_\w+|\b[α-ωΑ-Ω]\b", f"{quantity.symbol} {quantity.meaning}")
        inner = (known.get(part, _BY_SYMBOL.get(part)) for part in parts)
        queue[:0] = [part for part in inner if part is not None]
    return list(found.values())
