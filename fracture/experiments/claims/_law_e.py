"""Law E, that the pairwise ratio is what the network reads: its verdict and its figures."""

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
import xarray as xr
from jaxtyping import Array, Float

from ... import statistics
from ..._typing import Bounds, LogitsFn
from ...certificates import certify
from ...drawing import Drawing, against_axis, scatter
from ...perturbation import Perturbation
from ...vocabulary import quantity
from .. import verdicts
from .._findings import Verdict

WITHIN = 1.25  # two radii agree if their ratio is within this factor
FACTORS = ("law_e", "midpoint", "secant", "tangent")

CERTIFIED = quantity(
    "radius_certified",
    meaning="certified radius: no smaller perturbation makes the network prefer the other point's "
    "class",
)
CERTIFIED_SHARE = quantity("certified_share", symbol="r_cert/r_pair")
RATIO_TO_REFERENCE = quantity(
    "ratio_pair", symbol="r_pair/r_opt", meaning="ratio to the class of the nearest reference"
)
PRODUCT = (
    "The pairwise ratio is exactly ρ_net · μ · κ · τ · β; all but β, which the pixel range "
    "decides, are 1 for an affine network with its boundary halfway."
)


def explained(dataset: xr.Dataset) -> xr.DataArray:
    """What law E says the pairwise ratio is, where inputs have bounds.

    What those cost the linearised network is no failure of the law.
    """
    what = quantity("rho_net", symbol="ρ_net · β", meaning="ρ_net times the factor of the box")
    return (dataset["rho_net"] * dataset["box"]).assign_attrs(what.attrs())


def certified_radius(
    wanted: bool,
    logits_fn: LogitsFn,
    x: Array,
    label: Array,
    other: Array,
    found: Perturbation,
    bounds: Bounds | None = None,
) -> Float[Array, ""]:
    """A certified radius towards a class, beside the one that was found; NaN if it is not wanted.

    By branch and bound: exact, up to rounding, where the network is small.
    """
    if not wanted:
        return jnp.full((), jnp.nan, x.dtype)
    proven = certify(
        *(logits_fn, x, label),
        target=other,
        bounds=bounds,
        method="branch",
        effort="low",
        found=found,
    )
    return proven.radius


def law_e_verdict(
    law: str,
    middle: xr.Dataset,
    incomplete: Sequence[Any],
    *,
    what: str = "ratio over ρ_net",
    axis: str = "dim",
) -> Verdict:
    """Is the ratio what is read, and which factor is the reason where it is not?

    Where there are certified radii, `law_e_certified`, between them and what was found.
    """
    factors = statistics.medians(middle["law_e"])
    if "law_e_certified" in middle:
        factors = verdicts.bracketed(statistics.medians(middle["law_e_certified"]), factors)
    return verdicts.agreement(
        law,
        factors,
        incomplete,
        axis=axis,
        within=WITHIN,
        what=what,
        parts={name: statistics.medians(middle[name]) for name in FACTORS[1:]},
    )


def law_e_cloud(summary: xr.Dataset, read: xr.DataArray, ratio: xr.DataArray) -> Drawing:
    """Every input's ratio against what is read there."""
    return scatter(
        read,
        ratio,
        title="Law E: ratio against the network's own compression",
        by="dim",
        within=summary,
        note="Each point is one input of one network; law E puts it on the dashed line.",
    )


def law_e_factors(summary: xr.Dataset, *, note: str) -> Drawing:
    """The factors between what is read and the ratio."""
    names = [name for name in (*FACTORS, "box") if name in summary]
    return against_axis(summary, names, title="Law E factor by factor", reference=1.0, note=note)
