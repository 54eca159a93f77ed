"""Figures of one experiment, and the overview of all."""

from collections.abc import Mapping
from functools import partial

import numpy as np
import scipy.special
import xarray as xr
from matplotlib.figure import Figure

from ..drawing import (
    MARKERS,
    Drawing,
    Theme,
    band,
    dimension_axis,
    interval,
    inverse_root,
    legend_below,
    log_scale,
    medians,
    name_lines,
    number,
    ordered_colours,
    positive,
    say_nothing_there,
    span,
)
from ..experiments._result import Result
from ._grids import groups
from ._law_figures import law_figures
from ._symbols import law_kind, measured_ratio, qualifier, short_title, with_intervals

_RATIO = "fragility ratio  $r_\\mathrm{nn}\\,/\\,r_\\mathrm{opt}$"
_ESTIMATE = "{} both radii are upper bounds of the true ones, so that the ratio is an estimate."


def figures(result: Result) -> dict[str, Drawing]:
    """Figures of one experiment, by name.

    Parameters
    ----------
    result
        The experiment. Its variables decide which figures there are.

    Returns
    -------
    dict of str to Drawing
        Among `scaling` (fragility ratio against dimension), `radii`, `distribution` and
        `distribution-untargeted` (over seeds), `references` and `references-ratio` (against the
        number of references), `law-e`, `compression` and `factors` (what a network reads). Each
        draws itself on demand: `figures(result)["scaling"].draw("dark")`.
    """
    made, summary = {}, result.summary
    present = groups(summary)
    if any("ratio" + suffix in summary for suffix in present):
        made["scaling"] = _scaling(result)
    if any(name + suffix in summary for name in ("r_opt", "r_nn") for suffix in present):
        made["radii"] = _radii(summary)
    for suffix, label in present.items():
        values = measured_ratio(result.dataset, suffix)
        if values is not None:
            name = "distribution" + suffix.replace("_", "-")
            made[name] = _distribution(values, summary, suffix, label)
    return made | law_figures(result)


def overview(results: Mapping[str, Result]) -> Drawing:
    """Median fragility ratio against dimension, all experiments in one figure."""
    lines = []
    for at, result in enumerate(results.values()):
        names = [n for n in ("ratio", "ratio_untargeted") if n in result.summary]
        labels = groups(result.summary)
        for name in names:
            detail = f", {labels[name.removeprefix('ratio')]}" if len(names) > 1 else ""
            lines.append((at, short_title(result.dataset) + detail, result.summary, name))
    summaries = [result.summary for result in results.values()]
    bounded = [short_title(r.dataset) for r in results.values() if _is_bounded(r.summary)]
    return Drawing(
        title="Fragility ratio of every experiment",
        caption=(
            "Median fragility ratio r_nn/r_opt, the smallest perturbation that fools the network "
            "over the smallest that fools the optimal classifier, against the input dimension d. "
            f"Shown: {with_intervals(summaries, ['ratio', 'ratio_untargeted'])}. The grey line, "
            "0.67/√d, is the median for a network that reads one random direction."
            + (f" {_ESTIMATE.format(' For ' + ', '.join(bounded))}" if bounded else "")
        ),
        alt="Log–log plot of the median fragility ratio against the dimension: "
        + "; ".join(f"{label} {span(summary[name])}" for _, label, summary, name in lines),
        paint=partial(_paint_overview, lines),
        size=(6.4, 5.2),
    )


def _is_bounded(summary: xr.Dataset) -> bool:
    """Whether the optimal radius was replaced by half the distance to some known point."""
    named = str(summary["r_opt"].attrs.get("long_name", "")) if "r_opt" in summary else ""
    return "r_opt_by_references" in summary or named.startswith("upper bound")


def _paint_overview(
    lines: list[tuple[int, str, xr.Dataset, str]], figure: Figure, theme: Theme
) -> None:
    axes, seen, dims = figure.add_subplot(), [np.empty(0)], [np.empty(0)]
    for at, label, summary, name in lines:  # one colour an experiment, hollow if untargeted
        nearest = name.endswith("_untargeted")
        seen.append(
            medians(
                axes,
                summary,
                name,
                colour=theme.series[at % len(theme.series)],
                marker=MARKERS[at % len(MARKERS)],
                label=label,
                line="--" if nearest else "-",
                fill=theme.surface if nearest else None,
            )
        )
        dims.append(np.asarray(summary["dim"], float))
    every = np.unique(np.concatenate(dims))
    if every.size:
        seen.append(inverse_root(axes, every, theme))
        dimension_axis(axes, every)
    axes.set_ylabel(_RATIO)
    log_scale(axes, "y", np.concatenate(seen))
    legend_below(figure, axes)
    if not lines:
        say_nothing_there(axes, theme)


def _scaling(result: Result) -> Drawing:
    summary = result.summary
    shown = with_intervals([summary], ["ratio" + suffix for suffix in groups(summary)])
    caption = (
        "Fragility ratio r_nn/r_opt, the network's radius over the optimal one, against the input "
        f"dimension d. Markers are {shown}; the grey line "
        "is 0.67/√d, the median for one random direction."
    )
    if any(np.isfinite([fit.low, fit.high]).all() for fit in result.fits):
        caption += " Slopes in the legend: fitted exponents of d with 95 % bootstrap intervals."
    laws = [name for name in ("predicted", "predicted_untargeted") if name in summary]
    if laws:
        kinds = " or ".join(dict.fromkeys(law_kind(summary, name) for name in laws))
        caption += (
            f" Solid line and band: median and 90 % interval of the {kinds} "
            "for single seeds, which is wider than the interval of a median."
        )
    if _is_bounded(summary):
        caption += f" {_ESTIMATE.format('Here')}"
    ratios = ["ratio" + suffix for suffix in groups(summary) if "ratio" + suffix in summary]
    return Drawing(
        title="Fragility ratio against dimension",
        caption=caption,
        alt=f"Log–log plot for d {span(summary['dim'])}: median fragility ratio "
        + "; ".join(
            f"{summary[name].attrs.get('long_name', '')} {span(summary[name])}" for name in ratios
        ),
        paint=partial(_paint_scaling, result),
    )


def _paint_scaling(result: Result, figure: Figure, theme: Theme) -> None:
    axes, summary = figure.add_subplot(), result.summary
    dims = np.asarray(summary["dim"], float)
    slopes = {fit.quantity: fit for fit in result.fits}
    seen = [inverse_root(axes, dims, theme)]
    for at, (suffix, label) in enumerate(groups(summary).items()):
        colour, law, name = theme.series[at], "predicted" + suffix, "ratio" + suffix
        if law in summary:
            kind = law_kind(summary, law)
            seen.append(band(axes, summary, law, colour=colour, label=f"{kind}, {label}"))
        if name in summary:
            if name in slopes:
                fit = slopes[name]
                known = np.isfinite([fit.low, fit.high]).all()
                ends = f" {interval(fit.low, fit.high)}" if known else ""
                label += f": slope {number(fit.exponent)}{ends}"
            seen.append(
                medians(axes, summary, name, colour=colour, marker=MARKERS[at], label=label)
            )
    axes.set_ylabel(_RATIO)
    dimension_axis(axes, dims)
    log_scale(axes, "y", np.concatenate(seen))
    legend_below(figure, axes)
    if not any(values.size for values in seen[1:]):
        say_nothing_there(axes, theme)


def _radii(summary: xr.Dataset) -> Drawing:
    names = [
        name + suffix
        for suffix in ("", "_untargeted")
        for name in ("r_opt", "r_nn")
        if name + suffix in summary
    ]
    units = summary[names[0]].attrs.get("units") or "input units"
    return Drawing(
        title="Radii against dimension",
        caption=(
            "r_opt is the smallest perturbation that changes the optimal classifier's answer, "
            f"r_nn the smallest found that changes the network's. Shown: "
            f"{with_intervals([summary], names)}, l2 norm in {units}."
            + (" Both are upper bounds of the true radii." if _is_bounded(summary) else "")
        ),
        alt=f"Log–log plot for d {span(summary['dim'])}: "
        + "; ".join(f"{name} {span(summary[name])}" for name in names),
        paint=partial(_paint_radii, summary, names, str(units)),
    )


def _paint_radii(
    summary: xr.Dataset, names: list[str], units: str, figure: Figure, theme: Theme
) -> None:
    axes, seen = figure.add_subplot(), [np.empty(0)]
    for name in names:
        nearest, optimal = name.endswith("_untargeted"), name.startswith("r_opt")
        label = f"$r_\\mathrm{{{'opt' if optimal else 'nn'}}}$"
        detail = qualifier(summary, name) or ("untargeted" if nearest else "")
        seen.append(
            medians(
                axes,
                summary,
                name,
                colour=theme.series[2 if optimal else 0],
                marker=MARKERS[2 if optimal else 0],
                label=f"{label}, {detail}" if detail else label,
                line="--" if nearest else "-",
                fill=theme.surface if nearest else None,
            )
        )
    drawn = np.concatenate(seen)
    dimension_axis(axes, np.asarray(summary["dim"], float))
    axes.set_ylabel(f"radius ({units})")
    log_scale(axes, "y", drawn)
    name_lines(figure, axes)
    if not drawn.size:
        say_nothing_there(axes, theme)


def _distribution(values: xr.DataArray, summary: xr.Dataset, suffix: str, label: str) -> Drawing:
    curves = {
        int(dim): np.sort(positive(values.sel(dim=dim)) * float(dim) ** 0.5)
        for dim in values["dim"]
    }
    law = "predicted" + suffix
    points = {}
    if {law, f"{law}_lo", f"{law}_hi"} <= set(summary):
        for dim in summary["dim"]:
            ends = [float(summary[law + end].sel(dim=dim)) for end in ("_lo", "", "_hi")]
            points[int(dim)] = np.array(ends) * float(dim) ** 0.5
    caption = (
        "Share of measurements with at most a given r_nn/r_opt · √d, one curve for each input "
        "dimension d. Curves that coincide mean that all of the distribution falls like 1/√d."
    )
    if points:
        caption += f" Rings: 5, 50 and 95 % points of the {law_kind(summary, law)} at that d."
    limit = bool(points) and suffix == "" and law_kind(summary, law) == "exact law"
    if limit:
        caption += " Dashed: the law of |N(0, 1)|, its limit for one direction and large d."
    middles = [np.median(curve) if curve.size else np.nan for curve in curves.values()]
    return Drawing(
        title=f"Distribution of the fragility ratio, {label}",
        caption=caption,
        alt="Empirical distribution functions of the fragility ratio times root d; medians "
        f"{span(middles)} for d {span(values['dim'])}",
        paint=partial(_paint_distribution, curves, points, limit),
    )


def _paint_distribution(
    curves: dict[int, np.ndarray],
    points: dict[int, np.ndarray],
    limit: bool,
    figure: Figure,
    theme: Theme,
) -> None:
    axes = figure.add_subplot()
    for (dim, curve), colour in zip(
        curves.items(), ordered_colours(len(curves), theme), strict=True
    ):
        if curve.size:
            # 201 points at most: more cannot be told apart and only make the file large.
            share = np.linspace(0, 1, min(201, curve.size + 1))
            at = np.quantile(curve, share, method="inverted_cdf")
            axes.step(at, share, where="post", color=colour, label=f"d = {dim}")
        if dim in points:
            axes.plot(
                points[dim],
                [0.05, 0.5, 0.95],
                "o",
                color=colour,
                markerfacecolor=theme.surface,
                zorder=3,
            )
    every = np.concatenate([np.empty(0), *curves.values(), *points.values()])
    every = positive(every)
    low, high = np.quantile(every, [0.005, 0.995]) if every.size else (0.0, 1.0)
    if limit:
        grid = np.linspace(0, 4, 200)
        half_normal = scipy.special.erf(grid / 2**0.5)
        axes.plot(grid, half_normal, "--", color=theme.ink, linewidth=1.2, label="|N(0, 1)|")
    if high > 5:
        log_scale(axes, "x", [low, high])
    else:
        axes.set_xlim(0, 1.05 * high)
    axes.set_ylim(0, 1.02)
    axes.set_xlabel("scaled fragility ratio  $(r_\\mathrm{nn}\\,/\\,r_\\mathrm{opt})\\,\\sqrt{d}$")
    axes.set_ylabel("share of measurements")
    legend_below(figure, axes, columns=4)
    if not every.size:
        say_nothing_there(axes, theme)
