"""Law C: every square mixing layer costs a factor √d, its own |N(0, 1)|; wide ones a constant.

2^d points x = H_L ⋯ H_1 z, z in {−1, +1}^d, H_l independent Gaussian matrices; the class is the
sign of the last coordinate of z, which the linear network of least norm computes. With QR the
decomposition of the product, its radius is |R_dd|, and R is distributed as the product of the L
triangular factors: |R_dd| is a product of L independent lengths χ of n_l − d + 1 entries, where
H_l has n_l rows. Square matrices have n_l = d, and leave one entry, |N(0, 1)|, whatever d. The
other point is the twin, which differs in the last coordinate of z only; half the distance to it is
about the root of the product of all n_l. So the ratio of the two should fall like d^(−L/2) where
all n_l are d, and should stay at (1 − d/n)^(L/2) where all are n, a multiple of d: width repairs
what square mixing destroys.

The radius is tested against many draws of the product, at every d; the exponent of the ratio is
compared with −L/2, or with 0. One seed draws all matrices, the first L of which are taken for each
L.
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from ... import statistics, theory
from ..._checks import check_counts
from ..._linalg import matmul, one_by_one_on_cpu
from ..._typing import Key
from ...drawing import Drawing, against_axis, against_coordinate, distribution
from ...norms import norm
from ...vocabulary import level, quantity
from .. import verdicts
from .._claim import Size
from .._findings import Findings

SOURCE = "arXiv:2406.16200, Section 5"


class Options(NamedTuple):
    """None."""


class Cell(NamedTuple):
    """The interpolator of one draw of the mixing; the other point is the twin."""

    radius: Annotated[Float[Array, " layers"], quantity("radius", bound="exact")]  # closed form
    r_half: Float[Array, " layers"]


def _chunk(dim: int) -> int:
    """Seeds in one compiled call: as many matrices as fit into the cache."""
    return max(16, min(1024, 2**16 // dim**2 * 16))


COORDINATES = {"layers": (1, 2, 3, 4)}
WIDENINGS = (1, 2, 4)
SIZES = {
    "quick": Size({"dim": (16, 64), "widening": WIDENINGS[:2]}, 2048, _chunk),
    "default": Size({"dim": (16, 64, 256), "widening": WIDENINGS}, 1024, _chunk),
    "full": Size({"dim": (16, 32, 64, 128, 256, 512), "widening": WIDENINGS}, 4096, _chunk),
}
_DRAWS = 2**16  # of the law


def check(options, axes):
    """Raise where nothing is mixed with the label, and where the code is lost."""
    if min(axes["dim"]) < 2:
        raise ValueError(
            f"dim must be at least 2 (one to mix with the label), got {min(axes['dim'])}."
        )
    for widening in axes["widening"]:
        check_counts(widening=widening)


def measure(key: Key, shared: tuple[()], options: Options, *, dim: int, widening: int) -> Cell:
    """Draw the mixing matrices, and the distances of one point from the boundary and its twin.

    The product is never formed: H_l Q_{l−1} = Q_l R_l in turn, and the last pivots multiply. The
    margin is |z_d| = 1 at every point.
    """
    decompose = one_by_one_on_cpu(lambda matrix: tuple(jnp.linalg.qr(matrix)))
    basis = jnp.eye(dim)
    column, radius, each = basis[:, -1], jnp.ones(()), []
    for one in jax.random.split(key, max(COORDINATES["layers"])):
        factor = jax.random.normal(one, (widening * dim, basis.shape[0]))
        basis, triangle = decompose(matmul(factor, basis))
        column, radius = matmul(factor, column), radius * abs(triangle[-1, -1])
        each.append(Cell(radius, norm(column)))
    return jax.tree.map(lambda *values: jnp.stack(values), *each)


def judge(dataset: xr.Dataset) -> Findings:
    """Judge the law of the radius and the exponent of the ratio, for each width and depth."""
    twin = quantity("ratio_pair", symbol="r_nn/r_half", meaning="ratio to the twin")
    ratio = (dataset["radius"] / dataset["r_half"]).assign_attrs(twin.attrs())
    over = dataset.assign(ratio_pair=ratio).assign_attrs(axes=["dim", "widening", "layers"])
    summary = statistics.each_level(over, _summary)
    fits, found = [], []
    for name, one in statistics.levels(over):
        radii, ratios, law = one["radius"], one["ratio_pair"], _law(one)
        found.append(
            verdicts.exact_law(
                f"Law C of R_dd, {name}",
                statistics.exponent(radii, statistics.law_exponent(law)),
                statistics.scale(radii, law),
                summary.sel(layers=one["layers"], widening=one["widening"]),
                statistics.incomplete(radii, one),
            )
        )
        square = int(one["widening"]) == 1
        said = "ρ falls like d^(−L/2)" if square else "Width repairs ρ"
        fit = statistics.exponent(ratios, -int(one["layers"]) / 2 if square else 0.0)
        found.append(verdicts.scaling(f"{said}, {name}", fit, statistics.incomplete(ratios, one)))
        if fit is not None:
            fits.append(fit._replace(level=name))
    return Findings(dataset, summary, tuple(fits), tuple(found))


def _law(one: xr.Dataset) -> dict[int, theory.Law]:
    """A sample of the product of L independent χ of n − d + 1 entries, at every dimension."""
    more, dims = int(one["widening"]) - 1, one["dim"].values.tolist()
    shape = _DRAWS, int(one["layers"])

    def sampled(excess):
        # NumPy compiles nothing; the squares of each layer are χ² of its own.
        squares = np.random.default_rng(0).chisquare(excess + 1, shape)
        return theory.empirical(np.sqrt(squares).prod(axis=1))

    laws = {excess: sampled(excess) for excess in {more * dim for dim in dims}}
    return {dim: laws[more * dim] for dim in dims}


def _summary(one: xr.Dataset) -> xr.Dataset:
    """Medians, and the radius beside its law, at one number of layers."""
    law = _law(one)
    parts = [
        statistics.median_table(one, ["radius", "ratio_pair", "r_half"]),
        statistics.predictions("dim", law, of="radius", sampled=True),
        statistics.kolmogorov_smirnov(one["radius"], law),
    ]
    return xr.merge(parts, join="outer")


def draw(findings: Findings) -> dict[str, Drawing]:
    """Ratio against dimension for each width, and against layers; the radius beside its law."""
    dataset, summary, fits, _ = findings
    drawings = {}
    for at in dataset["widening"].values.tolist():
        name = level("widening", at, {})
        shown = summary.sel(widening=at, drop=True)
        slopes = [
            fit._replace(level=fit.level.removeprefix(f"{name}, "))
            for fit in fits
            if fit.level.startswith(f"{name}, ")
        ]
        drawings[f"scaling-{at}"] = against_axis(
            shown,
            ["ratio_pair"],
            title=f"Fragility ratio against dimension, {name}",
            fits=slopes,
            guide=True,
        )
        if at > 1:  # that of square matrices is the same at every dimension: its distribution
            title = f"Radius |R_dd| against dimension, {name}"
            drawings[f"radii-{at}"] = against_axis(shown, ["radius"], title=title)
    largest = summary.isel(dim=-1)
    return drawings | {
        "layers": against_coordinate(
            largest,
            "ratio_pair",
            "layers",
            title=f"Fragility ratio against mixing layers, d = {int(largest['dim'])}",
        ),
        "distribution": distribution(
            dataset["radius"].isel(widening=0).transpose("layers", "dim", "seed"),
            summary.isel(dim=0, widening=0),
            title="Distribution of the radius |R_dd| of square matrices, all dimensions together",
        ),
    }
