"""Law A for trained deep linear networks: do they find X⁻¹, and are they as fragile as it?

d classes, each a single Gaussian point in d dimensions, the columns of X. The only linear network
without biases and without error is X⁻¹, so a trained one is as fragile as law A says as soon as it
has found X⁻¹. It need not: the largest entries of X⁻¹, which make it fragile, belong to the
smallest singular values of X, and those are learned last. Three layers are trained on the squared
error from different scales of initialisation, by Adam and by gradient descent, which follows the
gradient flow.

Law A is judged on the pairwise radius over that of X⁻¹ for the same points, the median over pairs
of points that are classified right, at the largest dimension. Above 1 the network has stopped
before it became as fragile as the interpolator. How much of X⁻¹ was found is ⟨W, X⁻¹⟩ / ‖X⁻¹‖².
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import optax
import xarray as xr
from jaxtyping import Array, Float

from ... import models, statistics, theory
from ..._checks import check_counts, check_finite
from ..._typing import Key
from ...data import gaussian_points
from ...drawing import Drawing, against_axis
from ...norms import norm
from ...perturbation import affine_radius
from ...training import fit
from ...vocabulary import Quantity, quantity
from .. import verdicts
from .._claim import Size
from .._findings import Findings
from ._law_e import WITHIN

SOURCE = "arXiv:2406.16200, Section 2; Saxe et al. 2014, arXiv:1312.6120"


class Options(NamedTuple):
    """The networks and their training; the rate of gradient descent is that of d = 1."""

    depth: int = 3
    width_per_dim: int = 2
    steps: int = 4000
    adam_rate: float = 1e-2  # at the start, falling to 0 as half a cosine
    descent_rate: float = 0.05  # times d: the curvature falls like 1/d


class Cell(NamedTuple):
    """Networks trained on one draw of the points, from each scale of the same initial weights."""

    share: Annotated[
        Float[Array, " scale"],
        Quantity("⟨W, X⁻¹⟩/‖X⁻¹‖²", "how much of X⁻¹ was found, W the product of the layers"),
    ]
    error: Annotated[
        Float[Array, " scale"], Quantity("‖W − X⁻¹‖/‖X⁻¹‖", "distance from X⁻¹ (Frobenius)")
    ]
    over_theory: Annotated[
        Float[Array, " scale"],
        Quantity("r_pair/r_pair(X⁻¹)", "pairwise radius over that of X⁻¹, median over pairs"),
    ]
    ratio_pair: Float[Array, " scale"]  # of the first pair; NaN where misclassified
    accuracy: Annotated[
        Float[Array, " scale"], quantity("accuracy", meaning="share of points classified right")
    ]
    loss: Float[Array, " scale"]


COORDINATES = {"scale": (0.1, 0.3, 1.0)}
OPTIMIZERS = ("adam", "descent")
SIZES = {
    "quick": Size({"dim": (8, 16), "optimizer": OPTIMIZERS}, 8, 8),
    "default": Size({"dim": (8, 16, 32), "optimizer": OPTIMIZERS}, 16, 8),
    "full": Size({"dim": (8, 16, 32, 64, 128), "optimizer": OPTIMIZERS}, 64, 16),
}


def check(options, axes):
    """Raise for optimisers that there are not, and where there is nothing to train."""
    unknown = [name for name in axes["optimizer"] if name not in OPTIMIZERS]
    if unknown:
        raise ValueError(f"optimizer must be adam or descent, got {', '.join(unknown)}.")
    if min(axes["dim"]) < 2:
        raise ValueError(f"dim must be at least 2 (a class needs another), got {min(axes['dim'])}.")
    check_counts(depth=options.depth, width_per_dim=options.width_per_dim, steps=options.steps)
    check_finite(0, adam_rate=options.adam_rate, descent_rate=options.descent_rate)


def describe(options):
    """The family and the training."""
    return (
        "Family A: trained deep linear networks",
        "d classes, each a single Gaussian point in d dimensions; linear networks of "
        f"{options.depth} layers, {options.width_per_dim} d wide, trained on the squared error for "
        f"{options.steps} steps of Adam or of gradient descent, from initial weights of several "
        "scales. Radii are in closed form, towards one other class.",
    )


def measure(key: Key, shared: tuple[()], options: Options, *, dim: int, optimizer: str) -> Cell:
    """Draw d points, and train on them from each scale."""
    key_points, key_init, key_fit = jax.random.split(key, 3)
    task = gaussian_points(key_points, dim, dtype="float32")
    inverse = models.interpolate_points(task.inputs)
    widths = (options.width_per_dim * dim,) * (options.depth - 1)
    network = models.deep_linear((dim,), dim, widths=widths)
    start = network.init(key_init)

    def train(scale):
        trained = fit(
            key_fit,
            network.apply,
            jax.tree.map(lambda weight: scale * weight, start),
            task.inputs,
            task.labels,
            steps=options.steps,
            optimizer=_optimizer(optimizer, options, dim),
        )
        basis = jnp.eye(dim, dtype="float32")
        weight = jax.vmap(network.apply, (None, 0), 1)(trained.params, basis)
        radii = _pairwise(weight, task.inputs)
        apart = norm(task.inputs[1] - task.inputs[0]) / 2
        length = jnp.linalg.norm(inverse)
        return Cell(
            share=jnp.sum(weight / length * (inverse / length)),
            error=jnp.linalg.norm(weight - inverse) / length,
            over_theory=jnp.nanmedian(radii / _pairwise(inverse, task.inputs)),
            ratio_pair=radii[0] / apart,
            accuracy=trained.accuracy,
            loss=trained.loss,
        )

    return jax.vmap(train)(jnp.array(COORDINATES["scale"], "float32"))


def _optimizer(name: str, options: Options, dim: int) -> optax.GradientTransformation:
    if name == "adam":
        return optax.adam(optax.cosine_decay_schedule(options.adam_rate, options.steps))
    return optax.sgd(options.descent_rate * dim)


def _pairwise(weight: Array, inputs: Array) -> Array:
    """Radius of each point towards the class of the next one; NaN where it is preferred."""
    dim = len(inputs)
    zero = jnp.zeros(dim, inputs.dtype)
    radius = lambda x, i: affine_radius(weight, zero, x, i, target=(i + 1) % dim).radius
    found = jax.vmap(radius)(inputs, jnp.arange(dim, dtype=jnp.int32))
    return jnp.where(found > 0, found, jnp.nan)


def judge(dataset: xr.Dataset) -> Findings:
    """Judge for each optimiser whether X⁻¹ is found, and law A, at the largest dimension."""
    over = dataset.assign_attrs(axes=["dim", "optimizer", "scale"])
    law = {dim: theory.compression(dim) for dim in dataset["dim"].values.tolist()}

    def summarise(one):
        names = ["over_theory", "share", "error", "ratio_pair", "accuracy", "loss"]
        medians = statistics.median_table(one, names)
        return xr.merge([medians, statistics.predictions("dim", law, of="ratio_pair")])

    largest = dataset.isel(dim=-1)
    found = []
    for name in dataset["optimizer"].values.tolist():
        one = largest.sel(optimizer=name)
        for said, variable, what in (
            ("X⁻¹ is found", "share", "share found"),
            ("Law A", "over_theory", "radius over that of X⁻¹"),
        ):
            per_scale = statistics.rows(one[variable])
            enough = [at for at, row in per_scale.items() if row.size >= 0.9 * one.sizes["seed"]]
            few = [at for at in one["scale"].values.tolist() if at not in enough]
            verdict = verdicts.agreement(
                f"{said} by {name}, d = {int(largest['dim'])}",
                statistics.medians(one[variable]),
                few,
                axis="scale",
                within=WITHIN,
                what=what,
            )
            found.append(verdict)
    summary = statistics.each_level(over, summarise)
    return Findings(dataset, summary, (), verdicts.of_trained(*found))


def draw(findings: Findings) -> dict[str, Drawing]:
    """The radius over that of X⁻¹, and how much of X⁻¹ was found, against the dimension."""
    summary = findings.summary
    return {
        "interpolator": against_axis(
            summary,
            ["over_theory"],
            title="Radius of trained linear networks over that of X⁻¹",
            reference=1.0,
            note="Radii are exact.",
        ),
        "share": against_axis(
            summary, ["share"], title="How much of X⁻¹ was found", reference=1.0, log=False
        ),
    }
