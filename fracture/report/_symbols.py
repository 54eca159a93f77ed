"""The symbols of tables and figures: how each is written, and one sentence on what it means."""

from collections.abc import Callable, Iterable
from typing import NamedTuple, SupportsFloat

import numpy as np
import xarray as xr

from ..drawing import count, number, pvalue, share


class Symbol(NamedTuple):
    """One quantity. In `text`, an underscore starts a subscript."""

    text: str
    meaning: str
    show: Callable[[SupportsFloat], str] = number


EFFECTIVE_RANK = (
    "of the Jacobian of the logit differences: exponential of the entropy of its normalised "
    "singular values"
)
SYMBOLS = {
    "dim": Symbol("d", "number of coordinates of an input", count),
    "seeds": Symbol("seeds", "independent repetitions; the unit of every interval and test", count),
    "r_opt": Symbol("r_opt", "smallest perturbation that changes the optimal classifier's answer"),
    "r_nn": Symbol("r_nn", "smallest perturbation found that changes the network's answer"),
    "ratio": Symbol("r_nn/r_opt", "fragility ratio; 1 means as robust as possible"),
    "rho": Symbol(
        "ρ",
        "compression ratio: share of the displacement to the other class along the direction "
        "that the network reads",
    ),
    "predicted": Symbol(
        "predicted", "fragility ratio according to theory, sampled where there is no closed form"
    ),
    "ks_statistic": Symbol(
        "KS", "Kolmogorov–Smirnov distance between the measured and the predicted distribution"
    ),
    "ks_pvalue": Symbol("p", "chance of at least that distance if the prediction holds", pvalue),
    "accuracy": Symbol("accuracy", "share of inputs classified correctly", share),
    "found": Symbol("found", "share of attacked inputs with a verified perturbation", share),
    "rho_theory": Symbol("ρ_theory", "compression ratio of the linear interpolator (law B)"),
    "rho_net": Symbol(
        "ρ_net", "cosine between the gradient of the network's own margin and the displacement"
    ),
    "law_e": Symbol(
        "law E", "measured fragility ratio over ρ_net, in a box over ρ_net · β: the law says 1"
    ),
    "midpoint": Symbol(
        "μ", "midpoint factor: 1 where the margin vanishes halfway to the nearest other point"
    ),
    "secant": Symbol("κ", "secant over tangent of the margin along the displacement"),
    "tangent": Symbol("τ", "measured radius over that of the linearised margin in the same box"),
    "box": Symbol(
        "β", "box factor: radius of the linearised margin in the box over that without one"
    ),
    "references": Symbol("N", "number of images searched for the nearest of another class", count),
    "radius": Symbol("r_nn", "smallest perturbation found that changes the network's answer"),
    "radius_relative": Symbol("r_nn/‖x‖", "that radius in units of the input's own length"),
    "radius_pair": Symbol(
        "r_pair", "smallest perturbation found that makes the class of the nearest reference win"
    ),
    "ratio_pair": Symbol(
        "r_pair/r_opt", "pairwise fragility ratio; exactly ρ_net · μ · κ · τ, in a box times β"
    ),
    "rho_span": Symbol(
        "ρ_span",
        "share of that displacement within the span of the gradients of all logit differences",
    ),
    "null_ratio": Symbol(
        "ρ_null", "what a random subspace of the same dimension would contain (root mean square)"
    ),
    "null_pvalue": Symbol(
        "p_null", "chance that a random subspace of that dimension contains as much", pvalue
    ),
    "layer_rho": Symbol("ρ", "share of the displacement of the features that later layers read"),
    "layer_null": Symbol(
        "ρ_null", "what a random subspace of that rank would read (root mean square)"
    ),
    "layer_pvalue": Symbol("p_null", "chance that a random subspace reads as much", pvalue),
    "layer_rank": Symbol("rank", "rank of the Jacobian of the logit differences at that layer"),
    "layer_effective_rank": Symbol("effective rank", EFFECTIVE_RANK),
    "effective_rank": Symbol("effective rank", EFFECTIVE_RANK),
    "participation_ratio": Symbol(
        "participation", "participation ratio of the squares of the same singular values"
    ),
    "stable_rank": Symbol(
        "stable rank", "squared Frobenius over squared spectral norm of the same Jacobian"
    ),
}


def symbol(name: str) -> Symbol:
    """How a variable is written and what it means; its own name where it is not known."""
    known = SYMBOLS.get(name.removesuffix("_untargeted"))
    return known or Symbol(name.replace("_", " "), "")


def glossary(datasets: Iterable[xr.Dataset]) -> dict[str, str]:
    """Meaning of each symbol that the datasets use, in the order of `SYMBOLS`."""
    used = {str(name).removesuffix("_untargeted") for data in datasets for name in data.variables}
    return {symbol.text: symbol.meaning for name, symbol in SYMBOLS.items() if name in used}


def unit(data: xr.Dataset, name: str) -> str:
    """Unit of a variable, empty for a pure number."""
    units = str(data[name].attrs.get("units", "")) if name in data else ""
    return "" if units in ("1", "dimensionless", "none", "") else units


def qualifier(data: xr.Dataset, name: str) -> str:
    """What the `long_name` says after its last comma, as in "fragility ratio, twin point"."""
    _, comma, last = str(data[name].attrs.get("long_name", "")).rpartition(", ")
    return last if comma else ""


def with_intervals(summaries: Iterable[xr.Dataset], names: Iterable[str]) -> str:
    """What to say of medians: that they have intervals only where one is finite."""
    ends = [f"{name}_lo" for name in names]
    known = any(np.isfinite(data[end]).any() for data in summaries for end in ends if end in data)
    return "medians over seeds" + (
        " with 95 % confidence intervals" if known else "; too few seeds for intervals"
    )


def law_kind(summary: xr.Dataset, name: str) -> str:
    """`exact law` or `sampled law`: which a prediction is, as its `long_name` says."""
    drawn = str(summary[name].attrs.get("long_name", "")).startswith("sampled")
    return "sampled law" if drawn else "exact law"


def short_title(dataset: xr.Dataset) -> str:
    """What the title says before its colon."""
    return str(dataset.attrs.get("title", "Untitled")).split(":")[0]


def measured_ratio(dataset: xr.Dataset, suffix: str = "") -> xr.DataArray | None:
    """Fragility ratio over (dim, …), against the most references; None where not measured.

    Of inputs that were classified correctly and whose perturbation was found; NaN elsewhere.
    """
    name, r_nn = "ratio" + suffix, "r_nn" + suffix
    r_opt = "r_opt" + suffix if "r_opt" + suffix in dataset else "r_opt"
    if name in dataset:
        values = dataset[name]
    elif r_nn in dataset and r_opt in dataset:
        values = dataset[r_nn] / dataset[r_opt]
    else:
        return None
    for flag in ("correct", "found"):
        if flag in dataset:
            values = values.where(dataset[flag] > 0)
    return values.isel(references=-1) if "references" in values.dims else values
