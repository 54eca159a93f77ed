"""Law A at any depth: interpolating linear networks are as fragile as X⁻¹, however deep and wide.

d classes, each a single Gaussian point in d dimensions, the columns of X. A linear network without
biases that answers the i-th unit vector at the i-th point computes X⁻¹x, whatever its layers are.
So depth and width change nothing: towards one given other class its ratio is distributed as
√Beta(1/2, (d−1)/2); to the nearest boundary there is no closed form, and each seed also draws it
from theory, independently.

Here the hidden layers are random with orthonormal columns, of d, 2d and 4d units in turn, and the
last layer is solved for. What is measured is measured by differentiating the network.
"""

from functools import partial
from itertools import cycle, islice, pairwise
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import xarray as xr
from jaxtyping import Array, Float

from ... import statistics, theory
from ..._checks import check_counts
from ..._linalg import one_by_one_on_cpu
from ..._typing import Key
from ...compression import jacobian, margin_compression, random_subspace
from ...data import gaussian_points
from ...drawing import Drawing, against_axis, distribution
from ...models import linear_apply
from ...norms import norm
from ...perturbation import affine_radius
from ...vocabulary import Quantity, quantity
from .. import verdicts
from .._claim import Size
from .._findings import Findings

SOURCE = "arXiv:2406.16200, Sections 2 and 3"


class Options(NamedTuple):
    """Widths of the hidden layers over d, taken in turn."""

    widths_per_dim: tuple[int, ...] = (1, 2, 4)


class Cell(NamedTuple):
    """What one draw of the points and the network gives, at the first point."""

    r_half: Float[Array, ""]
    r_opt: Float[Array, ""]
    radius_pair: Annotated[Float[Array, ""], quantity("radius_pair", bound="exact")]
    radius: Annotated[Float[Array, ""], quantity("radius", bound="exact")]
    ratio_pair: Float[Array, ""]
    ratio: Float[Array, ""]
    ratio_theory: Annotated[
        Float[Array, ""],
        quantity("ratio", meaning="fragility ratio, drawn independently from theory"),
    ]
    rho_net: Float[Array, ""]
    residual: Annotated[
        Float[Array, ""],
        Quantity("residual", "largest difference between an answer and its unit vector"),
    ]


def _chunk(dim: int) -> int:
    """Seeds in one compiled call: as many matrices as fit into the cache."""
    return max(16, min(512, 2**15 // dim**2 * 16))


SIZES = {
    "quick": Size({"dim": (8, 32), "depth": (2, 8)}, 512, _chunk),
    "default": Size({"dim": (8, 16, 32, 64, 128), "depth": (2, 4, 8)}, 512, _chunk),
    "full": Size({"dim": (8, 16, 32, 64, 128, 256), "depth": (2, 3, 4, 6, 8)}, 4096, _chunk),
}


def check(options, axes):
    """Raise where there is no other class, no hidden layer, or one too narrow to interpolate."""
    if min(axes["dim"]) < 2:
        raise ValueError(f"dim must be at least 2 (a class needs another), got {min(axes['dim'])}.")
    if min(axes["depth"]) < 2:
        raise ValueError(
            f"depth must be at least 2 (linear_points is 1), got {min(axes['depth'])}."
        )
    if not options.widths_per_dim:
        raise ValueError("widths_per_dim must be one width at least, got none.")
    for width in options.widths_per_dim:
        check_counts(widths_per_dim=width)


def describe(options):
    """The family and the networks."""
    widths = ", ".join(f"{width} d" for width in options.widths_per_dim)
    return (
        "Family A: one Gaussian point per class, deep linear interpolators",
        "d classes, each a single Gaussian point in d dimensions. The network has random hidden "
        f"layers with orthonormal columns or rows, of {widths} units in turn, and a last layer "
        "that sends every point to its class. The pair is the point and one given other point; "
        "the optimal classifier is the nearest point.",
    )


def measure(key: Key, shared: tuple[()], options: Options, *, dim: int, depth: int) -> Cell:
    """Draw d points and hidden layers, solve for the last one, and measure at the first point."""
    key_points, key_layers, key_theory = jax.random.split(key, 3)
    inputs = gaussian_points(key_points, dim).inputs
    widths = [dim * width for width in islice(cycle(options.widths_per_dim), depth - 1)]
    layers = _hidden(key_layers, [dim, *widths])
    features = jax.vmap(partial(_forward, layers))(inputs)
    layers = [*layers, _inverse(features.T)]
    logits_fn = partial(_forward, layers)

    x, displacements = inputs[0], inputs[1:] - inputs[:1]
    weight = jacobian(logits_fn, x)
    closed_form = partial(affine_radius, weight, logits_fn(x) - linear_apply(weight, x), x, 0)
    radius_pair, radius = closed_form(target=1).radius, closed_form().radius
    r_half = norm(displacements[0]) / 2
    r_opt = jnp.min(jax.vmap(norm)(displacements)) / 2
    answers = jax.vmap(logits_fn)(inputs)
    return Cell(
        r_half=r_half,
        r_opt=r_opt,
        radius_pair=radius_pair,
        radius=radius,
        ratio_pair=radius_pair / r_half,
        ratio=radius / r_opt,
        ratio_theory=theory.sample_points(key_theory, 1, dim, dtype="float32").ratio[0],
        rho_net=margin_compression(logits_fn, x, 0, displacements[0], other=1),
        residual=jnp.abs(answers - jnp.eye(dim, dtype=answers.dtype)).max(),
    )


def _hidden(key: Key, sizes: list[int]) -> list[Array]:
    """Random matrices from one size to the next, with orthonormal columns, or rows where fewer."""
    keys = jax.random.split(key, len(sizes) - 1)
    basis = lambda key, n, m: random_subspace(key, max(n, m), min(n, m))
    return [
        basis(key, n, m) if m < n else basis(key, n, m).T
        for key, (n, m) in zip(keys, pairwise(sizes), strict=True)
    ]


def _forward(layers: list[Array], x: Array) -> Array:
    for layer in layers:
        x = linear_apply(layer, x)
    return x


@one_by_one_on_cpu
def _inverse(features: Array) -> Array:
    """Smallest matrix whose product with `features`, of independent columns, is the identity."""
    basis, triangle = jnp.linalg.qr(features)
    return jax.scipy.linalg.solve_triangular(triangle, basis.T)


def judge(dataset: xr.Dataset) -> Findings:
    """Compare both ratios with their laws, at each depth."""
    summary = statistics.each_level(dataset, _summary)
    fits, found = [], []
    for name, one in statistics.levels(dataset):
        pair, drawn = _laws(one)
        ratio_pair, ratio = one["ratio_pair"], one["ratio"]
        fit_pair = statistics.exponent(ratio_pair, statistics.law_exponent(pair))
        fit = statistics.exponent(ratio, against=drawn)
        found += [
            verdicts.exact_law(
                f"Law A, pairwise, {name}",
                fit_pair,
                statistics.scale(ratio_pair, pair),
                summary.sel(depth=one["depth"]),
                statistics.incomplete(ratio_pair, one),
            ),
            verdicts.exact_law(
                f"Law A, nearest boundary, {name}",
                fit,
                statistics.scale(ratio, against=drawn),
                statistics.two_samples(ratio, drawn),
                statistics.incomplete(ratio, one),
            ),
        ]
        fits += [each._replace(level=name) for each in (fit_pair, fit) if each is not None]
    return Findings(dataset, summary, tuple(fits), tuple(found))


def _laws(one: xr.Dataset) -> tuple[dict, dict]:
    """The law of the pairwise ratio, and the sample of the other one, by dimension."""
    pair = {dim: theory.compression(dim) for dim in one["dim"].values.tolist()}
    return pair, statistics.rows(one["ratio_theory"])


def _summary(one: xr.Dataset) -> xr.Dataset:
    """Medians beside their laws at one depth."""
    pair, drawn = _laws(one)
    nearest = {dim: theory.empirical(values) for dim, values in drawn.items()}
    names = ["ratio_pair", "ratio", "radius_pair", "radius", "r_half", "r_opt", "rho_net"]
    parts = [
        statistics.median_table(one, [*names, "residual"]),
        statistics.predictions("dim", pair, of="ratio_pair"),
        statistics.predictions("dim", nearest, of="ratio", sampled=True),
        statistics.kolmogorov_smirnov(one["ratio_pair"], pair),
    ]
    return xr.merge(parts, join="outer")


def draw(findings: Findings) -> dict[str, Drawing]:
    """Both ratios against the dimension at each depth, and their distributions at the deepest."""
    dataset, summary, fits, _ = findings
    deepest = {"depth": -1}
    at = f"depth {int(dataset['depth'][-1])}"
    across = partial(against_axis, summary, fits=fits)
    return {
        "pairwise": across(
            ["ratio_pair"], title="Pairwise fragility ratio against dimension", guide=True
        ),
        "nearest": across(["ratio"], title="Ratio to the nearest boundary against dimension"),
        "distribution-pair": distribution(
            dataset["ratio_pair"].isel(deepest),
            summary.isel(deepest),
            title=f"Distribution of the pairwise ratio, {at}",
            half_normal=True,
        ),
        "distribution": distribution(
            dataset["ratio"].isel(deepest),
            summary.isel(deepest),
            title=f"Distribution of the ratio to the nearest boundary, {at}",
        ),
    }
