"""Defences work by reading more of the input: compression falls, and the radius follows.

If feature compression is the root cause of fragility, what makes networks robust should make them
read more of the displacement to the nearest other class, and their radius should grow by the same
factor as ρ_net. Networks on digits are trained with a defence at three strengths and without, from
the same initial weights and in the same order, and compared at the strength with the largest radius
among those that cost at most one percentage point of test accuracy. That strength is chosen on one
half of the seeds and judged on the other. A defence that costs more at every strength has no such
result, and whether the radius follows is judged only where the gain of ρ_net can be told from 1.

The defences: adversarial training by FGSM and by PGD in ℓ2; a penalty on the Jacobian of the logit
differences, on small radii (through the differentiable radius), on compression (1 − ρ_net), or on
weights that are not orthogonal; and training on 2, 4 or 8 finer labels a class, by the signs of its
digits along their principal axes.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray as xr
from jaxtyping import Array, Bool, Float

from ... import data, models, statistics
from ..._checks import check_counts, check_finite
from ..._typing import Key
from ...compression import margin_compression
from ...drawing import Drawing, against_axis, against_coordinate, scatter
from ...optimal import nearest_neighbour
from ...perturbation import Status, as_solver
from ...training import fit
from ...vocabulary import Quantity, quantity
from .. import verdicts
from .._claim import Size
from .._findings import Findings, Verdict
from ._defences import DEFENCES
from ._medians import medians_along

SOURCE = "a question about arXiv:2406.16200, Section 7"
NUM_TRAIN = 8000
BOUNDS = (0.0, 1.0)
COORDINATES = {"strength": (0, 1, 2, 3)}
FINER = 3  # bits of the finer labels


class Cell(NamedTuple):
    """Networks of one seed at all strengths of one defence."""

    radius: Annotated[Float[Array, "strength example"], quantity("radius", unit="pixel range")]
    correct: Bool[Array, "strength example"]
    found: Bool[Array, "strength example"]
    rho_net: Float[Array, "strength example"]
    accuracy: Annotated[
        Float[Array, " strength"],
        quantity("accuracy", meaning="share of test digits classified right"),
    ]


class Options(NamedTuple):
    """What is trained, and how it is attacked; recorded with the results."""

    dim: int = 196
    hidden: int = 64
    solver: str = "ddn"
    steps: int = 400
    batch_size: int = 64
    learning_rate: float = 2e-3
    examples: int = 48


class Shared(NamedTuple):
    """Digits, what their finer labels are, and the nearest training digits of other classes."""

    train: data.Digits
    test: data.Digits
    finer: Array
    displacements: Float[Array, "example side side 1"]
    others: Array


def shared(options: Options, *, defence: str) -> Shared:
    """Digits of one resolution."""
    train, test = data.split(data.digits(math.isqrt(options.dim)), NUM_TRAIN)
    inputs, labels = (part[: options.examples] for part in test)
    nearest = nearest_neighbour(inputs, labels, *train)
    finer = np.zeros((NUM_TRAIN, FINER), np.int32)
    rows, classes = np.asarray(train.inputs).reshape(NUM_TRAIN, -1), np.asarray(train.labels)
    for label in range(10):
        own = rows[classes == label]
        own = own - own.mean(axis=0)
        axes = np.linalg.eigh(own.T @ own)[1][:, : -FINER - 1 : -1]
        finer[classes == label] = own @ axes > 0
    return Shared(
        train,
        test,
        jnp.asarray(finer),
        train.inputs[nearest.index] - inputs,
        train.labels[nearest.index],
    )


def describe(options):
    """What is trained, and the strengths of each defence."""
    strengths = "; ".join(
        f"{name} {', '.join(f'{strength:g}' for strength in values[1:])}"
        for name, (_, values) in DEFENCES.items()
    )
    return (
        "Defences on digits: compression ratio and radius",
        f"ReLU networks with one hidden layer of {options.hidden} units, trained on {NUM_TRAIN:,} "
        f"MNIST digits of {options.dim} pixels; {options.examples} test digits are attacked within "
        f"the pixel range [0, 1]. Strengths 1, 2 and 3 of each defence: {strengths}. They are ℓ2 "
        "radii of FGSM and PGD, numbers of axes whose signs make the finer labels, and weights of "
        "the penalties. The strength is chosen on even seeds and judged on odd ones, whose number "
        "the table of defences gives.",
    )


def measure(key: Key, given: Shared, options: Options, *, defence: str) -> Cell:
    """Train a network at each strength, and attack all of them."""
    key_init, key_fit = jax.random.split(key)
    objective, strengths = DEFENCES[defence]
    parts = 2**FINER if defence == "labels" else 1
    network = models.mlp(given.train.inputs.shape[1:], 10 * parts, widths=(options.hidden,))
    start = network.init(key_init)
    inputs, labels = (part[: options.examples] for part in given.test)

    def logits(params, x):  # of the ten digits, whatever finer labels there are
        return jax.nn.logsumexp(network.apply(params, x).reshape(10, parts), axis=1)

    def at(strength):
        targets = given.train.labels
        if defence == "labels":
            bits = jnp.arange(FINER, dtype=jnp.int32)
            used = jnp.where(bits.astype(strength.dtype) < strength, 2**bits, 0)[None]
            targets = parts * targets + jnp.sum(used * given.finer, axis=1, dtype=jnp.int32)
        trained = fit(
            key_fit,
            network.apply,
            start,
            given.train.inputs,
            targets,
            loss="cross_entropy",
            objective=partial(objective, network.apply, strength),
            steps=options.steps,
            batch_size=options.batch_size,
            optimizer=optax.adam(options.learning_rate),
        )
        logits_fn = partial(logits, trained.params)

        def attack(x, label, displacement, other):
            found = as_solver(options.solver)(logits_fn, x, label, bounds=BOUNDS)
            return found, margin_compression(logits_fn, x, label, displacement, other=other)

        found, rho = jax.vmap(attack)(inputs, labels, given.displacements, given.others)
        answers = jax.vmap(logits_fn)(given.test.inputs).argmax(-1).astype(jnp.int32)
        fooled = found.status == Status.FOUND
        return Cell(
            radius=found.norm,
            correct=found.correct,
            found=fooled,
            rho_net=rho,
            accuracy=jnp.mean(answers == given.test.labels, dtype=rho.dtype),
        )

    return jax.lax.map(at, jnp.asarray(strengths, jnp.float32))


SIZES = {
    "quick": Size({"defence": ("Jacobian", "compression")}, 12, 6),
    "default": Size({"defence": tuple(DEFENCES)}, 24, 6),
    "full": Size({"defence": tuple(DEFENCES)}, 48, 12),
}


def check(options, axes):
    """Raise for defences and solvers that there are not, and for no number of pixels."""
    unknown = [name for name in axes["defence"] if name not in DEFENCES]
    if unknown:
        raise ValueError(f"defence must be of {', '.join(DEFENCES)}, got {unknown[0]}.")
    if math.isqrt(options.dim) ** 2 != options.dim:
        raise ValueError(f"dim must be a square, such as 49 or 196, got {options.dim}.")
    as_solver(options.solver)
    counts = ("dim", "hidden", "steps", "batch_size", "examples")
    check_counts(**{name: getattr(options, name) for name in counts})
    check_finite(0, learning_rate=options.learning_rate)


COST = 0.01  # of accuracy, that a defence may have
# The largest of several radii is too large where it was chosen, so it is judged on other seeds.
_CHOOSING, _JUDGING = slice(0, None, 2), slice(1, None, 2)
WITHIN = 1.25


def judge(dataset: xr.Dataset) -> Findings:
    """Judge, at matched accuracy, whether ρ_net and radii rise, and whether by the same factor."""
    keep, share = statistics.usable(dataset)
    middle = dataset[["radius", "rho_net"]].where(keep).median("example").where(share >= 0.9)
    gains = middle / middle.isel(strength=0, drop=True)
    cost = dataset["accuracy"].isel(strength=0, drop=True) - dataset["accuracy"]
    whole = xr.Dataset(
        {
            "radius_gain": gains["radius"].assign_attrs(_GAINS["radius_gain"].attrs()),
            "rho_gain": gains["rho_net"].assign_attrs(_GAINS["rho_gain"].attrs()),
            "cost": cost.assign_attrs(_GAINS["cost"].attrs()),
        },
        attrs=dataset.attrs,
    )
    chosen = _strongest(whole.isel(seed=_CHOOSING))
    matched = _at(whole.isel(seed=_JUDGING), chosen)
    follows = matched["radius_gain"] / matched["rho_gain"]
    matched["follows"] = follows.assign_attrs(_GAINS["follows"].attrs())
    plain = xr.Dataset({"plain": middle["radius"], "accuracy": dataset["accuracy"]})
    plain = plain.isel(strength=0, drop=True).isel(seed=_JUDGING)
    plain["plain"].attrs = quantity("radius", symbol="r_plain", unit="pixel range").attrs()
    plain["accuracy"].attrs = _ACCURACY.attrs()
    matched = matched.assign(plain)
    names = [*_GAINS, "plain", "accuracy"]
    summary = xr.merge(
        [
            statistics.median_table(matched, names),
            medians_along(
                whole,
                ["defence", "strength"],
                ["radius_gain", "rho_gain", "cost"],
                "_by_strength",
            ),
            chosen.rename("chosen").assign_attrs(_CHOSEN.attrs()),
        ],
        join="outer",
    )
    summary = summary.sel(defence=dataset["defence"].values)
    incomplete = statistics.incomplete(matched["radius_gain"], matched)
    found = (
        verdicts.at_least(
            "Defences read more",
            statistics.medians(matched["rho_gain"]),
            incomplete,
            axis="defence",
            least=1.0,
            what="gain of ρ_net",
        ),
        verdicts.at_least(
            "Radii rise at equal accuracy",
            statistics.medians(matched["radius_gain"]),
            incomplete,
            axis="defence",
            least=1.0,
            what="gain of r_nn",
        ),
        _follows(matched, incomplete),
    )
    return Findings(dataset, summary, (), verdicts.of_trained(*found))


def _strongest(whole: xr.Dataset) -> xr.DataArray:
    """The strength with the largest radius among those that cost little; NaN where none does."""
    defended = whole.isel(strength=slice(1, None))
    cheap = defended["cost"].median("seed") <= COST
    radius = defended["radius_gain"].median("seed").where(cheap)
    best = defended["strength"].isel(strength=radius.fillna(-np.inf).argmax("strength"))
    return best.drop_vars("strength").where(radius.notnull().any("strength"))


def _at(whole: xr.Dataset, chosen: xr.DataArray) -> xr.Dataset:
    """Each defence at the strength chosen for it; NaN where none is."""
    known = chosen.notnull()
    at = whole.sel(strength=chosen.fillna(0).astype(int)).drop_vars("strength").where(known)
    return at.assign_attrs(seeds=[whole.sizes["seed"]] * whole.sizes["defence"])


def _follows(matched: xr.Dataset, incomplete: Sequence[Any]) -> Verdict:
    """Do radius and ρ_net gain the same factor, where that of ρ_net is one?"""
    gains = statistics.medians(matched["rho_gain"])
    same = [str(name) for name, gain in gains.items() if gain.low <= 1]
    factors = statistics.medians(matched["follows"])
    verdict = verdicts.agreement(
        "The radius follows ρ_net",
        {name: factor for name, factor in factors.items() if name not in same},
        incomplete,
        axis="defence",
        within=WITHIN,
        what="gain over gain",
    )
    if verdict.holds is False or not same:
        return verdict
    said = f"no gain of ρ_net that can be told from 1 at defence = {', '.join(same)}"
    return verdict._replace(holds=None, finding=said)


_GAINS = {
    "radius_gain": Quantity("r gain", "radius over that without the defence"),
    "rho_gain": Quantity("ρ gain", "ρ_net over that without the defence"),
    "follows": Quantity("r gain/ρ gain", "gain of the radius over that of ρ_net"),
    "cost": Quantity("cost", "test accuracy lost to the defence", form="share"),
}
_CHOSEN = Quantity("strength", "the strength chosen, on even seeds", form="count")
_ACCURACY = quantity("accuracy", meaning="share of test digits classified right, undefended")


def draw(findings: Findings) -> dict[str, Drawing]:
    """Gains at matched accuracy, and what each strength brings and costs."""
    dataset, summary, _, _ = findings
    keep, _ = statistics.usable(dataset)
    middle = dataset[["radius", "rho_net"]].where(keep).median("example")
    gains = middle / middle.isel(strength=0, drop=True)
    gains = gains.isel(strength=slice(1, None)).transpose("defence", "seed", "strength")
    across = gains["rho_net"].assign_attrs(_GAINS["rho_gain"].attrs())
    up = gains["radius"].assign_attrs(_GAINS["radius_gain"].attrs())
    matched = f"At the strength with the largest radius that costs at most {COST:.0%} of accuracy."
    lines = "Radii are upper bounds. Strength 0 is no defence."
    return {
        "gains": against_axis(
            summary,
            ["radius_gain", "rho_gain"],
            title="What defences bring at equal accuracy",
            reference=1.0,
            note=f"{matched} Radii are upper bounds.",
        ),
        "follows": scatter(
            across,
            up,
            title="Does the radius follow compression?",
            by="defence",
            note="One point is one network at one strength. Radii are upper bounds.",
        ),
        "radius": against_coordinate(
            summary,
            "radius_gain_by_strength",
            "strength",
            title="Radius against the strength of defences",
            note=lines,
        ),
        "compression": against_coordinate(
            summary,
            "rho_gain_by_strength",
            "strength",
            title="Compression ratio against the strength of defences",
            note="Strength 0 is no defence.",
        ),
        "cost": against_coordinate(
            summary,
            "cost_by_strength",
            "strength",
            title="Accuracy lost against the strength of defences",
            log=False,
            note="Strength 0 is no defence.",
        ),
    }
