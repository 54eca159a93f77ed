"""Law C: every mixing layer costs a factor √d, and its own |N(0, 1)|.

2^d points x = H_L ⋯ H_1 z, z in {−1, +1}^d, H_l independent square Gaussian matrices; the class is
the sign of the last coordinate of z, which the network computes linearly. With QR the decomposition
of the product, its radius is |R_dd|, and R is distributed as the product of the L triangular
factors: |R_dd| is a product of L independent |N(0, 1)|, whatever d. The other point is the twin,
which differs in the last coordinate of z only; half the distance to it is about d^(L/2). So the
ratio of the two should fall like d^(−L/2).

The radius is tested against many draws of the product, at every d; the exponent of the ratio is
compared with −L/2. One seed draws all matrices, the first L of which are taken for each L.
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import xarray as xr
from jaxtyping import Array, Float

from ... import statistics, theory
from ..._typing import Key
from ...data import mixed_hypercube
from ...drawing import Drawing, against_axis, against_coordinate, distribution
from ...models import interpolate_hypercube
from ...norms import norm
from ...optimal import twin_displacement
from ...vocabulary import quantity
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
    ratio_pair: Annotated[
        Float[Array, " layers"],
        quantity("ratio_pair", symbol="r_nn/r_half", meaning="ratio to the twin"),
    ]


def _chunk(dim: int) -> int:
    """Seeds in one compiled call: as many matrices as fit into the cache."""
    return max(16, min(1024, 2**16 // dim**2 * 16))


COORDINATES = {"layers": (1, 2, 3, 4)}
SIZES = {
    "quick": Size({"dim": (16, 64)}, 2048, _chunk),
    "default": Size({"dim": (16, 32, 64, 128, 256)}, 512, _chunk),
    "full": Size({"dim": (16, 32, 64, 128, 256, 512)}, 8192, _chunk),
}
_DRAWS = 2**16  # of the law


def check(options, axes):
    """Raise where nothing is mixed with the label."""
    if min(axes["dim"]) < 2:
        raise ValueError(
            f"dim must be at least 2 (one to mix with the label), got {min(axes['dim'])}."
        )


def measure(key: Key, shared: tuple[()], options: Options, *, dim: int) -> Cell:
    """Draw the mixing matrices, and the distances of one point from the boundary and its twin."""
    task = mixed_hypercube(key, dim, 1, layers=max(COORDINATES["layers"]))

    def of(layers):
        factors = task.factors[:layers]
        against, towards = interpolate_hypercube(factors)
        # The margin is |z_d| = 1 at every point. It is not evaluated: x has entries like d^(L/2),
        # and their rounding would move x across the boundary where there are many layers.
        radius = 1 / norm(towards - against)
        r_half = norm(twin_displacement(factors, task.codes[0])) / 2
        return Cell(radius, r_half, radius / r_half)

    each = [of(layers) for layers in COORDINATES["layers"]]
    return jax.tree.map(lambda *values: jnp.stack(values), *each)


def judge(dataset: xr.Dataset) -> Findings:
    """Judge the law of the radius and the exponent of the ratio, for each number of layers."""
    over = dataset.assign_attrs(axes=["dim", "layers"])
    summary = statistics.each_level(over, _summary)
    fits, found = [], []
    for name, one in statistics.levels(over):
        radii, ratios = one["radius"], one["ratio_pair"]
        found.append(
            verdicts.exact_law(
                f"Law C of R_dd, {name}",
                statistics.exponent(radii, 0.0),
                statistics.scale(radii, _law(one)),
                summary.sel(layers=one["layers"]),
                statistics.incomplete(radii, one),
            )
        )
        fit = statistics.exponent(ratios, -int(one["layers"]) / 2)
        failed = statistics.incomplete(ratios, one)
        found.append(verdicts.scaling(f"ρ falls like d^(−L/2), {name}", fit, failed))
        if fit is not None:
            fits.append(fit._replace(level=name))
    return Findings(dataset, summary, tuple(fits), tuple(found))


def _law(one: xr.Dataset) -> dict[int, theory.Law]:
    """A sample of the product of L independent |N(0, 1)|, the same at every dimension."""
    draws = jax.random.normal(jax.random.key(0), (_DRAWS, int(one["layers"])))
    return dict.fromkeys(one["dim"].values.tolist(), theory.empirical(abs(draws).prod(1)))


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
    """Ratio against dimension and against layers; the radius beside its law."""
    dataset, summary, fits, _ = findings
    return {
        "scaling": against_axis(
            summary,
            ["ratio_pair"],
            title="Fragility ratio against dimension",
            fits=fits,
            guide=True,
        ),
        "layers": against_coordinate(
            summary,
            "ratio_pair",
            "layers",
            title="Fragility ratio against the number of mixing layers",
        ),
        "distribution": distribution(
            dataset["radius"].transpose("layers", "dim", "seed"),
            summary.isel(dim=0),
            title="Distribution of the radius |R_dd|, all dimensions together",
        ),
    }
