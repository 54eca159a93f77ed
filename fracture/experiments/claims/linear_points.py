"""Law A: interpolating one Gaussian point per class costs a factor √d.

d classes, each a single Gaussian point in d dimensions; the network is the linear map that sends
every point to its class. Pairwise: the boundary to one given other class. Nearest: the closest of
all boundaries. The optimal classifier is the nearest point.

The columns of X are the points. Every linear network without biases that answers the i-th unit
vector at the i-th point computes X⁻¹x, whatever its depth. Its pairwise ratio is distributed as
√Beta(1/2, (d−1)/2); the ratio to the nearest boundary has no closed form: each seed also draws it
from theory, by triangular factors, and the two samples are compared.
"""

from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import xarray as xr
from jaxtyping import Array, Float

from ... import statistics, theory
from ..._typing import Key
from ...compression import margin_compression
from ...data import gaussian_points
from ...drawing import Drawing, against_axis, distribution
from ...models import interpolate_points
from ...norms import norm
from ...perturbation import affine_radius, as_solver
from ...vocabulary import quantity
from .. import verdicts
from .._claim import options_of
from .._findings import Findings
from ._sizes import LINEAR

SOURCE = "arXiv:2406.16200, Sections 2 and 3"


class Options(NamedTuple):
    """How perturbations are searched: in closed form, unless a solver is named."""

    solver: str = "affine"


class Cell(NamedTuple):
    """What one draw of the points gives, at its first point; the other one is its second."""

    r_half: Float[Array, ""]
    r_opt: Float[Array, ""]
    radius_pair: Float[Array, ""]
    radius: Float[Array, ""]
    ratio_pair: Float[Array, ""]
    ratio: Float[Array, ""]
    ratio_theory: Annotated[
        Float[Array, ""],
        quantity("ratio", meaning="fragility ratio, drawn independently from theory"),
    ]
    rho_net: Float[Array, ""]


SIZES = LINEAR


def check(options, axes):
    """Raise where there is no other class, or no such solver."""
    if min(axes["dim"]) < 2:
        raise ValueError(f"dim must be at least 2 (a class needs another), got {min(axes['dim'])}.")
    as_solver(options.solver)


def describe(options):
    """The family and the network."""
    return (
        "Family A: one Gaussian point per class, linear interpolator",
        "d classes, each a single Gaussian point in d dimensions; the network is the linear map "
        "that sends every point to its class. The pair is the point and one given other point; "
        "the optimal classifier is the nearest point.",
    )


def measure(key: Key, shared: tuple[()], options: Options, *, dim: int) -> Cell:
    """Draw d points, interpolate them, and measure at the first of them."""
    key, key_theory = jax.random.split(key)
    inputs = gaussian_points(key, dim).inputs
    weight = interpolate_points(inputs)

    def logits_fn(x):
        return weight @ x

    x, displacements = inputs[0], inputs[1:] - inputs[:1]
    if options.solver == "affine":  # the weights are known: no need to differentiate for them
        closed_form = partial(affine_radius, weight, jnp.zeros_like(x), x, 0)
        radius_pair, radius = closed_form(target=1).radius, closed_form().radius
    else:
        search = partial(as_solver(options.solver), logits_fn, x, 0)
        radius_pair, radius = search(target=1).norm, search().norm
    r_half = norm(displacements[0]) / 2
    r_opt = jnp.min(jax.vmap(norm)(displacements)) / 2
    return Cell(
        r_half=r_half,
        r_opt=r_opt,
        radius_pair=radius_pair,
        radius=radius,
        ratio_pair=radius_pair / r_half,
        ratio=radius / r_opt,
        ratio_theory=theory.sample_points(key_theory, 1, dim, dtype="float32").ratio[0],
        rho_net=margin_compression(logits_fn, x, 0, displacements[0], other=1),
    )


def judge(dataset: xr.Dataset) -> Findings:
    """Compare the pairwise ratio with its law, and the other one with the sample of its own."""
    pair = {dim: theory.compression(dim) for dim in dataset["dim"].values.tolist()}
    drawn = statistics.rows(dataset["ratio_theory"])
    nearest = {dim: theory.empirical(values) for dim, values in drawn.items()}
    tests_pair = statistics.kolmogorov_smirnov(dataset["ratio_pair"], pair)
    tests = statistics.two_samples(dataset["ratio"], drawn)
    names = ["ratio", "ratio_pair", "radius", "radius_pair", "r_opt", "r_half", "rho_net"]
    summary = xr.merge(
        [
            statistics.median_table(dataset, names),
            statistics.predictions("dim", pair, of="ratio_pair"),
            statistics.predictions("dim", nearest, of="ratio", sampled=True),
            tests_pair,
        ],
        join="outer",
    )
    if options_of(Options, dataset).solver == "affine":  # in closed form
        for name in ("radius", "radius_pair"):
            summary[name].attrs["bound"] = "exact"
    fit_pair = statistics.exponent(dataset["ratio_pair"], statistics.law_exponent(pair))
    fit = statistics.exponent(dataset["ratio"], against=drawn)
    found = (
        verdicts.exact_law(
            "Law A, pairwise",
            fit_pair,
            statistics.scale(dataset["ratio_pair"], pair),
            tests_pair,
            statistics.incomplete(dataset["ratio_pair"], dataset),
        ),
        verdicts.exact_law(
            "Law A, nearest boundary",
            fit,
            statistics.scale(dataset["ratio"], against=drawn),
            tests,
            statistics.incomplete(dataset["ratio"], dataset),
        ),
    )
    fits = tuple(fit for fit in (fit_pair, fit) if fit is not None)
    return Findings(dataset, summary, fits, found)


def draw(findings: Findings) -> dict[str, Drawing]:
    """Ratios and radii against the dimension, and the distributions of the ratios."""
    dataset, summary, fits, _ = findings
    ratios, radii = ["ratio_pair", "ratio"], ["r_half", "radius_pair", "r_opt", "radius"]
    return {
        "scaling": against_axis(
            summary, ratios, title="Fragility ratio against dimension", fits=fits, guide=True
        ),
        "radii": against_axis(summary, radii, title="Radii against dimension"),
        "distribution-pair": distribution(
            dataset["ratio_pair"],
            summary,
            title="Distribution of the pairwise ratio",
            half_normal=True,
        ),
        "distribution": distribution(
            dataset["ratio"], summary, title="Distribution of the ratio to the nearest boundary"
        ),
    }
