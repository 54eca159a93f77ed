"""The more pixels real digits have, the fewer withstand the same share of the optimal radius.

Robust accuracy at growing resolution: the share of test digits that are classified right and that
no perturbation found up to a radius changes, at radii that are shares of the median optimal radius
of that resolution. Once from the smallest perturbation found, of which one search gives the whole
curve, and by PGD and FGSM at each of these radii; all three are upper bounds. The optimal radius is
not known: half the distance to the nearest training digit of another class is an upper bound, which
falls with the number of references. The fall is judged by the difference between the highest and
the lowest resolution, seed by seed: a robust accuracy may be 0, of which no exponent is left.
Intervals cover the training of the network, not the choice of
the images.
"""

from collections.abc import Sequence
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import xarray as xr
from jaxtyping import Array, Bool, Float

from ... import models, statistics
from ..._checks import check_counts, check_finite
from ..._typing import Key
from ...compression import margin_compression
from ...drawing import Drawing, against_axis, against_coordinate
from ...perturbation import Status, as_solver
from ...training import fit
from ...vocabulary import quantity
from .. import verdicts
from .._claim import Size
from .._findings import Evidence, Findings, Verdict
from . import digits
from ._attacks import ATTACKS, BY_ATTACK, by_attack, robust_accuracies, within_radii
from .digits import BOUNDS, shared as digits_of

SOURCE = "arXiv:2406.16200, Section 7"
STRENGTHS = (0.0625, 0.125, 0.25, 0.5, 1.0)
COORDINATES = {**digits.COORDINATES, "attack": ATTACKS, "relative_epsilon": STRENGTHS}
JUDGED = 0.25  # the strength at which the fall is judged: most digits are near their boundary there
WITHIN = 0.05  # two robust accuracies agree if they differ by at most so much


class Cell(NamedTuple):
    """One trained network at some test images."""

    robust_accuracy: Float[Array, "attack relative_epsilon"]
    radius: Annotated[Float[Array, " example"], quantity("radius", unit="pixel range")]
    correct: Bool[Array, " example"]
    found: Bool[Array, " example"]
    r_opt: Annotated[  # the same for all seeds
        Float[Array, "references example"],
        quantity("r_opt", unit="pixel range", bound="upper"),
    ]
    rho_net: Float[Array, " example"]
    accuracy: Annotated[
        Float[Array, ""], quantity("accuracy", meaning="share of test digits classified right")
    ]


class Options(NamedTuple):
    """What is trained and how it is attacked; recorded with the results."""

    solver: str = "ddn"
    pgd_steps: int = 40
    steps: int = 600
    batch_size: int = 128
    learning_rate: float = 1e-3
    examples: int = 128


def shared(options: Options, *, dim: int) -> digits.Shared:
    """Digits of one resolution, and the nearest training image of another class."""
    return digits_of(digits.Options(examples=options.examples), dim=dim)


def measure(key: Key, given: digits.Shared, options: Options, *, dim: int) -> Cell:
    """Train one network, and attack it at the first test images in three ways."""
    key_init, key_fit = jax.random.split(key)
    network = models.mlp(given.test_inputs.shape[1:], 10, widths=(128, 128))
    trained = fit(
        key_fit,
        network.apply,
        network.init(key_init),
        given.train_inputs,
        given.train_labels,
        loss="cross_entropy",
        steps=options.steps,
        batch_size=options.batch_size,
        optimizer=optax.adam(options.learning_rate),
    )
    logits = jax.vmap(lambda x: network.apply(trained.params, x))(given.test_inputs)
    right = logits.argmax(-1).astype(jnp.int32) == given.test_labels
    radii = jnp.median(given.r_opt[-1]) * jnp.asarray(STRENGTHS, given.r_opt.dtype)

    def attack(x, label, displacement, other):
        def logits_fn(z):
            return network.apply(trained.params, z)

        smallest = as_solver(options.solver)(logits_fn, x, label, bounds=BOUNDS)
        rho = margin_compression(logits_fn, x, label, displacement, other=other)
        return (
            smallest,
            rho,
            *within_radii(logits_fn, x, label, radii, bounds=BOUNDS, pgd_steps=options.pgd_steps),
        )

    num = given.displacements.shape[0]
    smallest, rho, *at_radii = jax.vmap(attack, out_axes=(0, 0, 1, 1))(
        given.test_inputs[:num], given.test_labels[:num], given.displacements, given.others
    )
    return Cell(
        robust_accuracy=robust_accuracies(smallest, at_radii, radii),
        radius=smallest.norm,
        correct=smallest.correct,
        found=smallest.status == Status.FOUND,
        r_opt=given.r_opt,
        rho_net=rho,
        accuracy=jnp.mean(right, dtype=logits.dtype),
    )


SIZES = {
    "quick": Size({"dim": (49, 196)}, 6, 6),
    "default": Size({"dim": (49, 196, 784, 3136)}, 12, 12),
    "full": Size({"dim": (49, 196, 784, 3136)}, 48, 12),
}


def check(options, axes):
    """Raise for solvers that there are not, and for no number of pixels."""
    digits.check(digits.Options(solver=options.solver), axes)
    counts = ("pgd_steps", "steps", "batch_size", "examples")
    check_counts(**{name: getattr(options, name) for name in counts})
    check_finite(0, learning_rate=options.learning_rate)


def describe(options):
    """Which networks and images, and what the optimal radius stands for."""
    return (
        "Real digits at growing resolution: robust accuracy",
        f"Three-layer ReLU networks, trained on {digits.NUM_TRAIN:,} MNIST digits; the first "
        f"{options.examples} test digits are attacked within the pixel range [0, 1]: by the "
        f"smallest perturbation that {options.solver} finds, and by PGD with {options.pgd_steps} "
        "steps and FGSM at radii that are shares of the median r_opt of the resolution. r_opt is "
        "an upper bound, half the distance to the nearest of "
        f"{COORDINATES['references'][-1]:,} training digits of another class. Misclassified digits "
        "count as wrong; those for which nothing was found count as robust. Intervals cover the "
        "training of the network, not the choice of the images.",
    )


def judge(dataset: xr.Dataset) -> Findings:
    """Judge whether robust accuracy falls, and whether PGD finds what the whole curve says."""
    accuracy = dataset["robust_accuracy"]
    ratio = (dataset["radius"] / dataset["r_opt"]).assign_attrs(quantity("ratio").attrs())
    measured = dataset.assign(
        by_attack(accuracy)
        | {
            "r_opt": dataset["r_opt"].isel(references=-1, drop=True),
            "ratio": ratio.isel(references=-1, drop=True),
            "ratio_by_references": ratio,
        }
    )
    judged = accuracy.sel(attack=ATTACKS[0], relative_epsilon=JUDGED, drop=True)
    gap = abs(accuracy.sel(attack="PGD") - accuracy.sel(attack=ATTACKS[0])).max("relative_epsilon")
    found = (
        _falls(judged, statistics.incomplete(judged, dataset)),
        _agrees(gap, statistics.incomplete(gap, dataset)),
    )
    fits = statistics.exponents(measured, ["ratio"], expected=-0.5)
    return Findings(dataset, statistics.summarise(measured), fits, verdicts.of_trained(*found))


def _falls(judged: xr.DataArray, incomplete: Sequence[Any]) -> Verdict:
    """Is robust accuracy lower at the highest resolution than at the lowest, seed by seed?"""
    law = f"Robust accuracy at {JUDGED:g} r_opt falls with d"
    low, high = (int(end) for end in (judged["dim"].min(), judged["dim"].max()))
    if low == high or {low, high} & set(incomplete):
        return Verdict(law, None, "it takes two resolutions with enough seeds")
    medians = statistics.medians(judged)
    change = judged.sel(dim=[high]) - judged.sel(dim=low, drop=True)
    difference = statistics.medians(change)[high]
    holds = True if difference.high < 0 else False if difference.low >= 0 else None
    evidence = (
        Evidence("difference of robust accuracies", *difference, f"d = {high} from d = {low}"),
        *(Evidence("robust accuracy", *found, f"d = {at}") for at, found in medians.items()),
    )
    said = ", ".join(f"{medians[at].value:.0%} at d = {at}" for at in (low, high))
    return Verdict(law, holds, f"{said}; difference {difference}".replace("%", " %"), evidence)


def _agrees(gap: xr.DataArray, incomplete: Sequence[Any]) -> Verdict:
    """Does PGD leave as many digits robust, at every radius, as the smallest perturbations do?"""
    law = "PGD at fixed radii agrees with the survival of the radius"
    medians = statistics.medians(gap)
    if not medians or incomplete:
        return Verdict(law, None, "too few seeds gave a result")
    what = "largest difference of the two robust accuracies"
    evidence = tuple(Evidence(what, *found, f"d = {at}") for at, found in medians.items())
    widest = statistics.Interval(*map(max, zip(*medians.values(), strict=True)))
    holds = True if widest.high <= WITHIN else False if widest.low > WITHIN else None
    said = f"the medians differ by up to {100 * widest.value:.1f} % of the digits"
    return Verdict(law, holds, said, evidence)


def draw(findings: Findings) -> dict[str, Drawing]:
    """Robust accuracy against the radius and the resolution, radii, references, compression."""
    summary, fits = findings.summary, findings.fits
    largest = summary.isel(dim=-1, drop=True)
    pixels = summary["dim"].values[-1]
    return {
        "curves": against_coordinate(
            summary,
            "robust_accuracy",
            "relative_epsilon",
            title="Robust accuracy at growing resolution",
            ylabel="robust accuracy",
            log=False,
            note="From the smallest perturbation found.",
        ),
        "attacks": against_axis(
            largest,
            [*BY_ATTACK.values()],
            title=f"Robust accuracy by three attacks, {pixels} pixels",
            ylabel="robust accuracy",
            log=False,
        ),
        "scaling": against_axis(
            summary, ["ratio"], title="Fragility ratio against dimension", fits=fits, guide=True
        ),
        "radii": against_axis(summary, ["r_opt", "radius"], title="Radii against dimension"),
        "references": against_coordinate(
            summary,
            "ratio_by_references",
            "references",
            title="Fragility ratio against the number of references",
        ),
        "compression": against_axis(
            summary, ["rho_net"], title="Compression ratio against dimension", guide=True
        ),
    }
