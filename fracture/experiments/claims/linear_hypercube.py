"""Laws B, C: reading one coordinate of a mixed hypercube costs a factor √d a layer.

2^d points x = A z, z in {−1, +1}^d, A a product of Gaussian matrices; the class is the sign of the
last coordinate of z, which the network computes linearly and so reads a single direction. The other
point is the twin, which differs in the last coordinate only. The optimal classifier is the nearest
of all points of the other class, found exactly to d = 40.

With one mixing layer the ratio against the twin is distributed as √Beta(1/2, (d−1)/2), law B; with
L layers as a product, law C, of which many draws are made.
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import xarray as xr
from jaxtyping import Array, Float

from ... import statistics, theory
from ..._typing import Key
from ...compression import margin_compression
from ...data import mixed_hypercube
from ...drawing import Drawing, against_axis, distribution
from ...models import interpolate_hypercube
from ...norms import norm
from ...optimal import hypercube_radius, twin_displacement
from ...perturbation import as_solver
from ...vocabulary import quantity
from .. import verdicts
from .._claim import options_of
from .._findings import Findings
from ._resolved import require_resolved, resolved
from ._sizes import LINEAR

SOURCE = "arXiv:2406.16200, Sections 4 and 5"
LARGEST_EXACT = 40


class Options(NamedTuple):
    """Mixing layers L, and how perturbations are searched: in closed form, unless by a solver."""

    layers: int = 1
    solver: str = "affine"


class Cell(NamedTuple):
    """What one draw of the mixing gives, for one of its points; the other one is its twin."""

    r_half: Float[Array, ""]
    r_opt: Float[Array, ""]  # NaN beyond `LARGEST_EXACT` dimensions
    radius: Float[Array, ""]
    ratio_pair: Annotated[
        Float[Array, ""], quantity("ratio_pair", symbol="r_nn/r_half", meaning="ratio to the twin")
    ]
    ratio: Float[Array, ""]
    rho_net: Float[Array, ""]  # NaN, as r_opt, where points are not `resolved`
    proven: Float[Array, ""]  # 1 where the search for the nearest point ended, else 0


SIZES = LINEAR


def check(options, axes):
    """Raise where nothing is mixed with the label, or rounding would be measured."""
    if min(axes["dim"]) < 2:
        raise ValueError(
            f"dim must be at least 2 (one to mix with the label), got {min(axes['dim'])}."
        )
    if options.layers < 1:
        raise ValueError(f"layers must be at least 1, got {options.layers}.")
    as_solver(options.solver)
    if options.solver != "affine":
        require_resolved(axes["dim"], options.layers, jnp.result_type(float))


def describe(options):
    """The mixing, if it is not a single matrix."""
    title = "Family B: mixed hypercube, linear interpolator"
    return (
        title if options.layers == 1 else f"{title}, {options.layers} mixing layers",
        "2^d points x = A z, z in {−1, +1}^d, A a product of Gaussian matrices; the class is the "
        "sign of the last coordinate of z, which the network computes linearly. The twin differs "
        "in the last coordinate of z only; the optimal classifier is the nearest of all points of "
        f"the other class, found exactly to d = {LARGEST_EXACT}.",
    )


def measure(key: Key, shared: tuple[()], options: Options, *, dim: int) -> Cell:
    """Draw one mixing and one point, and measure there."""
    task = mixed_hypercube(key, dim, 1, layers=options.layers)
    weight = interpolate_hypercube(task.factors)

    def logits_fn(x):
        return weight @ x

    x, label, code = task.inputs[0], task.labels[0], task.codes[0]
    displacement = twin_displacement(task.factors, code)
    exact = resolved(dim, options.layers, x.dtype)
    if options.solver == "affine":
        # The margin is |z_d| = 1 at every point. At x as it is stored it would be another one: the
        # entries of x grow like d^(L/2), and their rounding moves x across the boundary.
        radius = 1 / norm(weight[1] - weight[0])
    else:
        radius = as_solver(options.solver)(logits_fn, x, label).norm
    r_half = norm(displacement) / 2
    if exact and dim <= LARGEST_EXACT:
        # A vmapped search would make all lanes wait for the slowest: one after the other.
        search = jax.custom_batching.sequential_vmap(hypercube_radius)
        optimum = search(task.factors, code)
        r_opt, proven = optimum.radius, optimum.proven.astype(r_half.dtype)
    else:
        r_opt = proven = jnp.full_like(r_half, jnp.nan)
    if exact:
        rho_net = margin_compression(logits_fn, x, label, displacement)
    else:
        rho_net = jnp.full_like(r_half, jnp.nan)
    return Cell(
        r_half=r_half,
        r_opt=r_opt,
        radius=radius,
        ratio_pair=radius / r_half,
        ratio=radius / r_opt,
        rho_net=rho_net,
        proven=proven,
    )


def judge(dataset: xr.Dataset) -> Findings:
    """Compare the ratio against the twin with its law."""
    layers = options_of(Options, dataset).layers
    dims = dataset["dim"].values.tolist()
    if layers == 1:
        laws = {dim: theory.compression(dim) for dim in dims}
    else:  # no closed form: many draws of the triangular factors
        key = jax.random.key(0)
        laws = {dim: theory.mixing_compression(key, dim, layers, num=2**16) for dim in dims}
    tests = statistics.kolmogorov_smirnov(dataset["ratio_pair"], laws)
    proven = {dim: float(of.mean()) for dim, of in statistics.rows(dataset["proven"]).items()}
    names = ["ratio_pair", "ratio", "radius", "r_half", "r_opt", "rho_net"]
    summary = xr.merge(
        [
            statistics.median_table(dataset, names),
            statistics.table("dim", {"proven": (proven, quantity("proven"))}),
            statistics.predictions("dim", laws, of="ratio_pair", sampled=layers > 1),
            tests,
        ],
        join="outer",
    )
    if options_of(Options, dataset).solver == "affine":  # in closed form
        summary["radius"].attrs["bound"] = "exact"
    if min(proven.values(), default=1) < 1:
        summary["r_opt"].attrs["bound"] = "upper"
    fit = statistics.exponent(dataset["ratio_pair"], statistics.law_exponent(laws))
    fits = (fit, statistics.exponent(dataset["ratio"]))
    verdict = verdicts.exact_law(
        "Law B" if layers == 1 else f"Law C, {layers} layers",
        fit,
        statistics.scale(dataset["ratio_pair"], laws),
        tests,
        statistics.incomplete(dataset["ratio_pair"], dataset),
    )
    return Findings(dataset, summary, tuple(f for f in fits if f is not None), (verdict,))


def draw(findings: Findings) -> dict[str, Drawing]:
    """Ratios and radii against the dimension, and the distributions of the ratios."""
    dataset, summary, fits, _ = findings
    ratios = ["ratio_pair", "ratio"]
    return {
        "scaling": against_axis(
            summary, ratios, title="Fragility ratio against dimension", fits=fits, guide=True
        ),
        "radii": against_axis(
            summary, ["r_half", "r_opt", "radius"], title="Radii against dimension"
        ),
        "distribution-pair": distribution(
            dataset["ratio_pair"],
            summary,
            title="Distribution of the ratio to the twin",
            half_normal=options_of(Options, dataset).layers == 1,
        ),
        "distribution": distribution(
            dataset["ratio"], summary, title="Distribution of the ratio to the nearest point"
        ),
    }
