"""Untrained networks: their answer changes within about 1/√d of the length of the input.

Weights and input are drawn at random, and nothing is trained: fully connected networks without
biases, linear and with ReLUs, of several depths and widths, some with a narrow layer. Two classes,
told apart by the sign of the one output f.

A network without biases has f(x) = ⟨∇f(x), x⟩, so its linearised boundary is at the fraction
|cos(∇f, x)| of the way to the origin. The gradient of a linear network with Gaussian weights is a
random direction, whatever its depth, widths and narrow layers: r/‖x‖ is distributed as
√Beta(1/2, (d−1)/2) exactly. For ReLU networks the gradient depends on x a little, and the boundary
is not flat. What is asked here: is the exponent −1/2 theirs too, and does the cosine say how far
they are from their boundary?

A ReLU network with a layer of few units may give one answer everywhere; such draws have no radius
and are left out, and no verdict is given where they are more than one in ten.
"""

from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Bool, Float

from ... import models, statistics, theory
from ..._typing import Key
from ...compression import margin_compression
from ...drawing import Drawing, against_axis, distribution, scatter
from ...norms import norm
from ...perturbation import as_solver
from ...vocabulary import Quantity, quantity
from .. import verdicts
from .._claim import Size
from .._findings import Findings
from ._law_e import WITHIN

SOURCE = "Daniely and Shacham 2020, arXiv:2010.14927; Bartlett et al. 2021, arXiv:2106.12611"


class Options(NamedTuple):
    """How perturbations of ReLU networks are searched; of linear ones it is in closed form."""

    solver: str = "ddn"  # here as good as `minimal`, and quicker to compile


class Cell(NamedTuple):
    """One network at one input."""

    radius_relative: Float[Array, ""]  # inf where nothing was found
    rho_net: Annotated[
        Float[Array, ""],
        Quantity("|cos(∇f, x)|", "cosine between the gradient and the input"),
    ]
    found: Bool[Array, ""]


def _widths(network: str, dim: int) -> tuple[int, ...]:
    """Units of the hidden layers."""
    return {
        "linear": (2 * dim, dim // 2, 2 * dim),
        "shallow": (2 * dim,),
        "deep": (2 * dim,) * 5,
        "bottleneck": (2 * dim, dim // 2, 2 * dim),
        "wide": (8 * dim,),
        "narrow": (dim // 4,),
    }[network]


NETWORKS = ("linear", "shallow", "deep", "bottleneck", "wide", "narrow")
SIZES = {
    "quick": Size({"dim": (32, 128), "network": NETWORKS[:4]}, 128, 64),
    "default": Size({"dim": (32, 64, 128, 256), "network": NETWORKS}, 1024, 64),
    "full": Size({"dim": (32, 64, 128, 256, 512, 1024), "network": NETWORKS}, 4096, 256),
}


def check(options, axes):
    """Raise for networks and solvers that there are not, and where a layer would have no unit."""
    unknown = [name for name in axes["network"] if name not in NETWORKS]
    if unknown:
        raise ValueError(f"network must be of {', '.join(NETWORKS)}; got {', '.join(unknown)}.")
    if min(axes["dim"]) < 4:
        raise ValueError(f"dim must be at least 4, for a layer of d/4, got {min(axes['dim'])}.")
    as_solver(options.solver)


def describe(options):
    """The networks, in numbers."""
    return (
        "Untrained networks: radius against the dimension",
        "Random weights and a random input; fully connected, without biases, one output. Hidden "
        "layers: shallow 2d, deep five of 2d, wide 8d, narrow d/4, bottleneck 2d, d/2 and 2d, each "
        "with ReLUs; linear is the bottleneck without them.",
    )


def measure(key: Key, shared: tuple[()], options: Options, *, dim: int, network: str) -> Cell:
    """Draw a network and an input, and look for the nearest other answer."""
    key_init, key_x = jax.random.split(key)
    kind = models.deep_linear if network == "linear" else models.mlp
    model = kind((dim,), 1, widths=_widths(network, dim))
    logits_fn = partial(model.apply, model.init(key_init))
    x = jax.random.normal(key_x, (dim,), "float32")
    label = jnp.where(logits_fn(x)[0] > 0, 0, 1)
    search = as_solver("affine" if network == "linear" else options.solver)
    found = search(logits_fn, x, label)
    return Cell(
        radius_relative=found.norm / norm(x),
        rho_net=margin_compression(logits_fn, x, label, x),
        found=found.found,
    )


def judge(dataset: xr.Dataset) -> Findings:
    """Judge the exponent of each network, the law of the linear ones, and the cosine."""
    kept = dataset.copy()
    kept["radius_relative"] = dataset["radius_relative"].where(dataset["found"] > 0)
    kept["over_cosine"] = (kept["radius_relative"] / kept["rho_net"]).assign_attrs(_OVER.attrs())
    laws = {dim: theory.compression(dim) for dim in dataset["dim"].values.tolist()}
    summary = statistics.each_level(kept, partial(_summary, laws))
    fits, found = [], []
    for name, one in statistics.levels(kept):
        radii = one["radius_relative"]
        failed = statistics.incomplete(radii, one)
        if name == "linear":
            fit = statistics.exponent(radii, statistics.law_exponent(laws))
            tests = statistics.kolmogorov_smirnov(radii, laws)
            scale = statistics.scale(radii, laws)
            found.append(verdicts.exact_law("Law D, untrained linear", fit, scale, tests, failed))
        else:
            fit = statistics.exponent(radii, -0.5)
            found.append(verdicts.scaling(f"1/√d, untrained {name}", fit, failed))
        if fit is not None:
            fits.append(fit._replace(level=name))
    largest = kept.isel(dim=-1).transpose("network", "seed", ...)
    seeds = [np.atleast_1d(dataset.attrs["seeds"])[-1]] * kept.sizes["network"]
    found.append(
        verdicts.agreement(
            f"The cosine says the radius, at d = {int(largest['dim'])}",
            statistics.medians(largest["over_cosine"]),
            statistics.incomplete(largest["over_cosine"], largest.assign_attrs(seeds=seeds)),
            axis="network",
            within=WITHIN,
            what="radius over it",
        )
    )
    return Findings(dataset, summary, tuple(fits), tuple(found))


def _summary(laws, one: xr.Dataset) -> xr.Dataset:
    names = ["radius_relative", "rho_net", "over_cosine"]
    share = {dim: float(row.mean()) for dim, row in statistics.rows(one["found"]).items()}
    parts = [
        statistics.median_table(one, names),
        statistics.table("dim", {"found": (share, quantity("found"))}),
        statistics.kolmogorov_smirnov(one["radius_relative"], laws),
    ]
    return xr.merge(parts, join="outer")


_OVER = Quantity("r_nn/‖x‖/|cos(∇f, x)|", "radius over that of the linearised network")


def draw(findings: Findings) -> dict[str, Drawing]:
    """Radii against the dimension, their distribution, and against the cosine."""
    dataset, summary, fits, _ = findings
    radii = dataset["radius_relative"].where(dataset["found"] > 0)
    return {
        "scaling": against_axis(
            summary,
            ["radius_relative"],
            title="Radius of untrained networks against dimension",
            fits=fits,
            guide=True,
        ),
        "cosine": scatter(
            dataset["rho_net"],
            radii,
            title="Radius against the cosine of gradient and input",
            by="network",
            note="Each point is one network at one input; on the line it is as far from its "
            "boundary as it would be if it were linear. Radii are upper bounds.",
        ),
        "distribution": distribution(
            radii.transpose("dim", "network", "seed"),
            title="Distribution of the radius over all networks",
            half_normal=True,
            note="Radii are upper bounds.",
        ),
    }
