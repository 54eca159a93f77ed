"""Figures of what a network reads (laws B and E) and of the number of references."""

from functools import partial
from typing import NamedTuple

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from ..drawing import (
    MARKERS,
    Drawing,
    Theme,
    counting_axis,
    dimension_axis,
    inverse_root,
    legend_below,
    log_scale,
    medians,
    name_lines,
    ordered_colours,
    positive,
    say_nothing_there,
    span,
)
from ..experiments._result import Result
from ._symbols import measured_ratio, with_intervals

_POINTS = 600  # drawn per dimension at most, evenly taken from all


class _Rho(NamedTuple):
    text: str
    tex: str
    meaning: str


_RHO = {
    "rho_net": _Rho(
        "ρ_net",
        "$\\rho_\\mathrm{net}$",
        "the cosine between the gradient of the network's margin and the displacement to the other "
        "class",
    ),
    "rho_theory": _Rho(
        "ρ_theory",
        "$\\rho_\\mathrm{theory}$",
        "the same cosine for the linear interpolator of the same data (law B: the two agree)",
    ),
    "rho_span": _Rho(
        "ρ_span",
        "$\\rho_\\mathrm{span}$",
        "the share of the displacement within the span of the gradients of all logit differences",
    ),
    "null_ratio": _Rho(
        "ρ_null",
        "$\\rho_\\mathrm{null}$",
        "the share within a random subspace of the same dimension (root mean square)",
    ),
}
_FACTORS = {
    "law_e": "law E",
    "midpoint": "midpoint $\\mu$",
    "secant": "secant $\\kappa$",
    "tangent": "tangent $\\tau$",
    "box": "box $\\beta$",
}


def law_figures(result: Result) -> dict[str, Drawing]:
    """`references`, `references-ratio`, `law-e`, `compression` and `factors`, where measured."""
    made, summary, dataset = {}, result.summary, result.dataset
    for name, figure in (("r_opt", "references"), ("ratio", "references-ratio")):
        if f"{name}_by_references" in summary:
            made[figure] = _references(summary, f"{name}_by_references")
    ratio = measured_ratio(dataset)
    if ratio is not None and "rho_net" in dataset:
        made["law-e"] = _law_e(ratio, dataset["rho_net"], dataset.get("box"))
    if "rho_net" in summary:
        made["compression"] = _compression(summary)
    if any(name in summary for name in _FACTORS):
        made["factors"] = _factors(summary)
    return made


def scatter(
    figure: Figure, theme: Theme, clouds: dict[str, tuple[np.ndarray, np.ndarray]], colours: list
) -> None:
    """Log–log clouds of (compression, ratio) with the identity; finite positive pairs only."""
    axes, seen = figure.add_subplot(), [np.empty(0)]
    for (label, (rho, ratio)), colour in zip(clouds.items(), colours, strict=True):
        kept = np.isfinite(rho) & np.isfinite(ratio) & (rho > 0) & (ratio > 0)
        rho, ratio = rho[kept], ratio[kept]
        stride = max(1, -(-rho.size // _POINTS))
        if rho.size:
            axes.plot(
                rho[::stride],
                ratio[::stride],
                "o",
                color=colour,
                markersize=4 if rho.size > 100 else 5.5,
                markeredgewidth=0,
                alpha=0.6,
                label=label,
            )
        seen.extend([rho, ratio])
    every = np.concatenate(seen)
    if every.size:
        ends = np.array([every.min() / 1.25, every.max() * 1.25])
        axes.plot(ends, ends, "--", color=theme.ink, linewidth=1.2, label="equal", zorder=1)
    else:
        say_nothing_there(axes, theme)
    log_scale(axes, "x", every)
    log_scale(axes, "y", every)
    axes.set_ylabel("fragility ratio  $r_\\mathrm{nn}\\,/\\,r_\\mathrm{opt}$")
    legend_below(figure, axes, columns=4)


def _law_e(ratio: xr.DataArray, rho: xr.DataArray, box: xr.DataArray | None) -> Drawing:
    label, beta = "compression ratio of the network  $\\rho_\\mathrm{net}$", ""
    if box is not None:
        label, rho = f"{label}$\\,\\beta$", rho * box
        beta = ", times β, what the bounds of the inputs cost a linear network"
    ratio, rho = xr.broadcast(ratio, rho)
    clouds = {
        f"d = {int(dim)}": (
            np.asarray(rho.sel(dim=dim), float).ravel(),
            np.asarray(ratio.sel(dim=dim), float).ravel(),
        )
        for dim in ratio["dim"]
    }
    count = sum(positive(cloud[1]).size for cloud in clouds.values())
    return Drawing(
        title="Law E: ratio against the network's own compression",
        caption=(
            "Each point is one input of one network. Horizontally ρ_net, the cosine between the "
            f"gradient of the network's margin and the displacement to the other class{beta}; "
            "vertically the measured fragility ratio r_nn/r_opt; d is the input dimension. Law E "
            f"puts the points on the dashed line. At most {_POINTS} points a dimension are drawn."
        ),
        alt=f"Scatter plot of {count} measured fragility ratios against the network's own "
        "compression ratio with the line of equality",
        paint=partial(_paint_law_e, clouds, label),
    )


def _paint_law_e(
    clouds: dict[str, tuple[np.ndarray, np.ndarray]], label: str, figure: Figure, theme: Theme
) -> None:
    scatter(figure, theme, clouds, ordered_colours(len(clouds), theme))
    figure.axes[0].set_xlabel(label)


def _compression(summary: xr.Dataset) -> Drawing:
    present = [name for name in _RHO if name in summary]
    meanings = [f"{_RHO[name].text} is {_RHO[name].meaning}" for name in present]
    return Drawing(
        title="Compression ratios against dimension",
        caption=(
            f"Against the input dimension d: {'; '.join(meanings)}; the grey line is 0.67/√d, the "
            "median for one random direction. "
            f"Shown: {with_intervals([summary], present)}."
        ),
        alt=f"Log–log plot of compression ratios for d {span(summary['dim'])}: "
        + "; ".join(f"{name} {span(summary[name])}" for name in present),
        paint=partial(_paint_compression, summary, present),
    )


def _paint_compression(summary: xr.Dataset, names: list[str], figure: Figure, theme: Theme) -> None:
    axes, dims = figure.add_subplot(), np.asarray(summary["dim"], float)
    seen = [inverse_root(axes, dims, theme)]
    for at, name in enumerate(names):
        seen.append(
            medians(
                axes,
                summary,
                name,
                colour=theme.series[at],
                marker=MARKERS[at],
                label=_RHO[name].tex,
                line="-",
            )
        )
    dimension_axis(axes, dims)
    axes.set_ylabel("compression ratio  $\\rho$")
    log_scale(axes, "y", np.concatenate(seen))
    name_lines(figure, axes, columns=3)
    if not any(values.size for values in seen[1:]):
        say_nothing_there(axes, theme)


def _factors(summary: xr.Dataset) -> Drawing:
    present = [name for name in _FACTORS if name in summary]
    boxed = "box" in summary
    return Drawing(
        title="Law E factor by factor",
        caption=(
            f"The fragility ratio is exactly ρ_net · μ · κ · τ{' · β' * boxed}: μ says how far the "
            "margin vanishes from halfway to the nearest point of the other class, κ is secant "
            "over tangent of the margin on the way there, and τ the measured radius over that of "
            "the linearised margin"
            + (
                " in the same box, and β that one over the linearised margin's without the box, "
                "which is no property of the network. All but β are"
                if boxed
                else ". Each is"
            )
            + " 1 for an affine network with its boundary halfway. Law E: the ratio over "
            f"ρ_net{' · β' * boxed}. d is the input dimension; shown: "
            f"{with_intervals([summary], present)}."
        ),
        alt=f"Log–log plot for d {span(summary['dim'])}: "
        + "; ".join(f"{name} {span(summary[name])}" for name in present),
        paint=partial(_paint_factors, summary, present),
    )


def _paint_factors(summary: xr.Dataset, names: list[str], figure: Figure, theme: Theme) -> None:
    axes, seen = figure.add_subplot(), [np.array([1 / 1.5, 1.5])]
    axes.axhline(1, linestyle="--", color=theme.ink, linewidth=1.2, zorder=1)
    for at, name in enumerate(names):
        seen.append(
            medians(
                axes,
                summary,
                name,
                colour=theme.series[at],
                marker=MARKERS[at],
                label=_FACTORS[name],
                line="-",
            )
        )
    dimension_axis(axes, np.asarray(summary["dim"], float))
    axes.set_ylabel("factor (1 = affine network)")
    log_scale(axes, "y", np.concatenate(seen))
    name_lines(figure, axes, columns=4)
    if not any(values.size for values in seen[1:]):
        say_nothing_there(axes, theme)


def _references(summary: xr.Dataset, name: str) -> Drawing:
    radius = name.startswith("r_opt")
    units = summary[name].attrs.get("units") or "input units"
    interval = " with 95 % confidence intervals" if f"{name}_lo" in summary else ""
    quantity = "Half the distance" if radius else "Fragility ratio"
    return Drawing(
        title=f"{quantity} against the number of references",
        caption=(
            ("r_opt" if radius else "Fragility ratio r_nn/r_opt, with r_opt")
            + (" is" if radius else "")
            + " half the distance to the nearest of N references of another class: only an upper "
            "bound of what the optimal classifier needs, lower the more references are searched. "
            f"One line for each input dimension d; medians{interval}."
        ),
        alt=f"Log–log plot for N {span(summary['references'])}; at the largest dimension "
        f"{span(summary[name].isel(dim=-1))}",
        paint=partial(
            _paint_references, summary, name, f"$r_\\mathrm{{opt}}$ ({units})" if radius else ""
        ),
    )


def _paint_references(
    summary: xr.Dataset, name: str, label: str, figure: Figure, theme: Theme
) -> None:
    axes, seen = figure.add_subplot(), [np.empty(0)]
    for at, colour in enumerate(ordered_colours(summary.sizes["dim"], theme)):
        line = summary.isel(dim=at)
        seen.append(
            medians(
                axes,
                line,
                name,
                colour=colour,
                marker=MARKERS[at % len(MARKERS)],
                label=f"d = {int(line['dim'])}",
                line="-",
                at="references",
            )
        )
    drawn = np.concatenate(seen)
    counting_axis(axes, np.asarray(summary["references"], float))
    axes.set_xlabel("number of references N")
    axes.set_ylabel(label or "fragility ratio  $r_\\mathrm{nn}\\,/\\,r_\\mathrm{opt}$")
    log_scale(axes, "y", drawn)
    name_lines(figure, axes, columns=4)
    if not drawn.size:
        say_nothing_there(axes, theme)
