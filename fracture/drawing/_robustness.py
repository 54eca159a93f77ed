"""Robust accuracy against the radius: how many inputs withstand perturbations up to it."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
from jax.typing import ArrayLike
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from ..certificates import Bracket, certified_accuracy
from ..perturbation import Perturbation, Status, robust_accuracy
from ..statistics import proportion
from ..vocabulary import quantity
from ._drawing import Drawing, Theme
from ._format import share
from ._lines import STYLES, hue
from ._marks import finite, legend_below
from ._words import phrase, sentences, tex

_POINTS = 201
_BRACKETED = (
    "Thin lines, where there are any: the same share by certified radii, a lower bound; darker: "
    "where the true share of these inputs lies"
)


class _Curve(NamedTuple):
    radii: np.ndarray
    middle: np.ndarray
    certified: np.ndarray | None
    low: np.ndarray
    high: np.ndarray


def robustness_curve(
    found: Perturbation | Bracket | Mapping[str, Perturbation | Bracket],
    *,
    radii: ArrayLike | Sequence[float] | None = None,
    title: str = "Robust accuracy against the radius",
    unit: str = quantity("epsilon").unit,
    note: str = "",
) -> Drawing:
    """Share of inputs that withstand every perturbation found, for one network or several.

    Of brackets, the share that provably withstands every perturbation is drawn below it: the true
    one lies between the two.

    Parameters
    ----------
    found
        Results for a batch, with a leading axis n, as of `perturbation.robust_accuracy`, or
        brackets, as of `certificates.bracket`; several by name, for a line each.
    radii
        Where the curves are evaluated; None for 201 radii from 0 to beyond the longest norm.
    title, note
        As of `against_axis`.
    unit
        Unit of the norms.

    Returns
    -------
    Drawing
        Its caption says how many inputs count as robust because nothing was found for them, and how
        many as wrong because they have no finite answer.

    Raises
    ------
    ValueError
        As of `perturbation.robust_accuracy`, or where there is nothing to draw.
    """
    by_name = {"": found} if isinstance(found, Perturbation | Bracket) else dict(found)
    if not by_name:
        raise ValueError("found must be at least one result, got none.")
    if radii is None:
        longest = max(finite(_above(one).norm).max(initial=0.0) for one in by_name.values())
        radii = np.linspace(0, 1.05 * longest or 1.0, _POINTS)
    at = np.sort(np.ravel(np.asarray(radii, float)))
    curves = {name: _curve(one, at) for name, one in by_name.items()}
    accuracy, epsilon = quantity("robust_accuracy"), quantity("epsilon", unit=unit)
    spans = "; ".join(
        f"{name} {share(curve.middle[0])} to {share(curve.middle[-1])}".strip()
        for name, curve in curves.items()
    )
    return Drawing(
        title=title,
        caption=sentences(
            f"{accuracy.symbol}: {phrase(accuracy)}. {epsilon.symbol}: {epsilon.meaning}.",
            _BRACKETED * any(curve.certified is not None for curve in curves.values()),
            "Bands: 95 % intervals over the inputs, at each radius (Clopper and Pearson).",
            *(_exceptions(name, _above(one)) for name, one in by_name.items()),
            note,
        ),
        alt=f"{title}, from ε = {at[0]:g} to {at[-1]:.3g}: {spans}",
        paint=partial(_paint, curves, f"{epsilon.symbol} ({unit})" if unit else epsilon.symbol),
    )


def _above(one: Perturbation | Bracket) -> Perturbation:
    """What bounds the radii from above."""
    return one.found if isinstance(one, Bracket) else one


def _curve(one: Perturbation | Bracket, radii: np.ndarray) -> _Curve:
    middle = np.asarray(robust_accuracy(_above(one), radii), float)
    trials = np.size(_above(one).norm)
    certified = None
    if isinstance(one, Bracket):
        certified = np.asarray(certified_accuracy(one.certificate, radii), float)
    low, high = (
        [proportion(round(value * trials), trials)[end] for value in share]
        for end, share in ((1, middle if certified is None else certified), (2, middle))
    )
    return _Curve(radii, middle, certified, np.array(low), np.array(high))


def _exceptions(name: str, found: Perturbation) -> str:
    """What was not measured, and how it counts."""
    status, of = np.asarray(found.status), f" of {name}" * bool(name)
    total, said = f"of {status.size} inputs", []
    if missed := int((status == Status.NOT_FOUND).sum()):
        said.append(f"nothing was found for {missed} {total}, which count as robust")
    if broken := int((status == Status.NOT_FINITE).sum()):
        said.append(f"{broken} {total} have no finite answer and count as wrong")
    return f"Without a perturbation{of}: {'; '.join(said)}." if said else ""


def _paint(curves: Mapping[str, _Curve], xlabel: str, figure: Figure, theme: Theme) -> None:
    axes = figure.add_subplot()
    for rank, (name, curve) in enumerate(curves.items()):
        colour, style = hue(rank, theme), STYLES[rank % len(STYLES)]
        axes.plot(curve.radii, curve.middle, style, color=colour, label=name or None)
        if curve.certified is not None:
            axes.plot(curve.radii, curve.certified, style, color=colour, linewidth=0.8)
            between = curve.certified, curve.middle
            axes.fill_between(curve.radii, *between, color=colour, alpha=0.28, linewidth=0)
        axes.fill_between(curve.radii, curve.low, curve.high, color=colour, alpha=0.16, linewidth=0)
    symbol = tex(quantity("robust_accuracy").symbol)
    axes.set(xlabel=xlabel, ylabel=f"robust accuracy  {symbol}", ylim=(0, 1.02))
    axes.set_xlim(left=min(curve.radii[0] for curve in curves.values()))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    if any(curves):
        legend_below(figure, axes)
