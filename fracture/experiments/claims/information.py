"""Networks forget most of their input: that makes them fragile, and attacks detectable.

Noisy features h + σn keep I(x; h + σn) = ½ log det(I + J Σ Jᵀ / σ²) of the input, J the Jacobian of
a layer and Σ the covariance of the digits (exact for affine networks of Gaussian inputs). The
information-theoretic account of fragility says that a network which needs little of it to tell
classes apart drops the rest, that it is the more fragile the more it drops, and that comparing all
features of an input with what its label predicts gives an attack away. Here the second hidden layer
of a network on digits has m units, through which all information has to pass; the noise is in
proportion to the features of each layer; and a detector takes the Mahalanobis distance of features
from the mean of the class that the network answers, above the 99 % point of held-out digits.

What the radius should grow like is not said there. If what is kept are k directions, law D gives a
radius in proportion to √k, and information to k: so √I is what is compared with, seed by seed, with
the widest network. That the two largest logits are equal gives away every smallest perturbation; so
perturbations are also pushed further, along the same line, and the detector is judged at one and a
half times the smallest.
"""

import math
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray as xr
from jaxtyping import Array, Bool, Float

from ... import data, models, statistics
from ..._checks import check_counts, check_finite
from ..._typing import Key
from ...compression import atypicality, class_gaussians, layer_information
from ...drawing import Drawing, against_axis, against_coordinate
from ...logits import margin
from ...perturbation import Status, as_solver
from ...training import fit
from ...vocabulary import Quantity, quantity
from .. import verdicts
from .._claim import Size
from .._findings import Findings
from ._medians import medians_along

SOURCE = "arXiv:1905.11381, Sections 3 and 4"
NUM_TRAIN, NUM_HELD_OUT = 7000, 1000
BOUNDS = (0.0, 1.0)
FALSE_ALARMS = 0.01
COORDINATES = {
    "layer": ("input", "layer 1", "layer 2", "logits"),
    "noise": (0.03, 0.1, 0.3, 1.0, 3.0),
    "reads": ("all features", "input", "logits", "margin"),
    "push": (1.0, 1.5, 2.0, 3.0),
}


class Cell(NamedTuple):
    """One trained network, with what its layers keep and what detectors make of attacks on it."""

    information: Annotated[
        Float[Array, "layer noise"],
        Quantity("I", "information that noisy features keep of the input", "nats"),
    ]
    information_start: Annotated[
        Float[Array, "layer noise"],
        Quantity("I_0", "the same before training", "nats"),
    ]
    radius: Annotated[Float[Array, " example"], quantity("radius", unit="pixel range")]
    correct: Bool[Array, " example"]
    found: Bool[Array, " example"]
    detected: Annotated[
        Float[Array, "reads push"],
        Quantity("detected", "share of perturbed inputs above the threshold", form="share"),
    ]
    false_alarms: Annotated[
        Float[Array, " reads"],
        Quantity("false alarms", "share of other held-out inputs above it", form="share"),
    ]
    accuracy: Annotated[
        Float[Array, ""], quantity("accuracy", meaning="share of test digits classified right")
    ]


class Options(NamedTuple):
    """What is trained, and at how many inputs it is looked at; recorded with the results."""

    dim: int = 196
    hidden: int = 128
    solver: str = "ddn"
    steps: int = 600
    batch_size: int = 128
    learning_rate: float = 1e-3
    examples: int = 48
    looked_at: int = 6  # of them, for the information, which differs little between inputs


class Shared(NamedTuple):
    """Digits for training, for thresholds and to be attacked, and a factor of their covariance."""

    train: data.Digits
    held_out: data.Digits
    test: data.Digits
    factor: Float[Array, "d d"]


def shared(options: Options, *, width: int) -> Shared:
    """Digits of one resolution."""
    train, rest = data.split(data.digits(math.isqrt(options.dim)), NUM_TRAIN)
    held_out, test = data.split(rest, NUM_HELD_OUT)
    rows = np.asarray(train.inputs, np.float64).reshape(NUM_TRAIN, -1)
    values, vectors = np.linalg.eigh(np.cov(rows.T))
    factor = vectors * np.sqrt(values.clip(0))
    return Shared(train, held_out, test, jnp.asarray(factor, jnp.float32))


def measure(key: Key, given: Shared, options: Options, *, width: int) -> Cell:
    """Train one network, ask what its layers keep, attack it, and look for the attacks."""
    key_init, key_fit = jax.random.split(key)
    shape = given.train.inputs.shape[1:]
    network = models.mlp(shape, 10, widths=(options.hidden, width))
    start = network.init(key_init)
    trained = fit(
        key_fit,
        network.apply,
        start,
        *given.train,
        loss="cross_entropy",
        steps=options.steps,
        batch_size=options.batch_size,
        optimizer=optax.adam(options.learning_rate),
    )
    inputs, labels = (part[: options.examples] for part in given.test)

    def kept(params):
        layers = _layers(network, params)
        spreads = [jnp.std(h, axis=0).ravel() for h in jax.vmap(layers)(given.held_out.inputs)]
        sizes = jnp.stack([jnp.sqrt(jnp.mean(s**2)) for s in spreads])
        noise = sizes[:, None] * jnp.array(COORDINATES["noise"], sizes.dtype)[None]
        at = lambda x: layer_information(network.stages(params), x, noise, factor=given.factor)
        return jax.lax.map(lambda x: at(x).information, inputs[: options.looked_at]).mean(0)

    both = jax.tree.map(lambda *leaves: jnp.stack(leaves), start, trained.params)
    information = jax.lax.map(kept, both)
    logits_fn = lambda x: network.apply(trained.params, x)
    solver = as_solver(options.solver)
    found = jax.vmap(lambda x, label: solver(logits_fn, x, label, bounds=BOUNDS))(inputs, labels)
    fooled = found.status == Status.FOUND
    pushes = jnp.array(COORDINATES["push"], inputs.dtype)
    points = jnp.clip(jax.vmap(lambda push: inputs + push * found.delta)(pushes), *BOUNDS)
    looked = jnp.concatenate(
        [given.held_out.inputs, given.test.inputs, points.reshape(-1, *inputs.shape[1:])]
    )
    answers, scores = _scores(network, trained.params, given.train, looked)
    tests = slice(NUM_HELD_OUT, NUM_HELD_OUT + len(given.test.inputs))
    odd = scores > jnp.quantile(scores[:NUM_HELD_OUT], 1 - FALSE_ALARMS, axis=0)[None]
    perturbed = odd[tests.stop :].reshape(len(pushes), -1, odd.shape[1])
    share = lambda truth, **where: jnp.mean(truth, dtype=scores.dtype, **where)
    return Cell(
        information=information[1],
        information_start=information[0],
        radius=found.norm,
        correct=found.correct,
        found=fooled,
        detected=share(perturbed, axis=1, where=fooled[None, :, None]).T,
        false_alarms=share(odd[tests], axis=0),
        accuracy=share(answers[tests] == given.test.labels),
    )


def _layers(network, params):
    """Features of one input: itself, the hidden layers, the logits."""
    return lambda x: [x, *network.features(params, x).values()]


def _scores(network, params, train, inputs):
    """The answer to each input, and how odd each detector finds the features beside it."""
    together = lambda hs: jnp.concatenate([h.ravel() for h in hs])
    views = [together, lambda hs: hs[0].ravel(), lambda hs: hs[-1]]
    features = jax.vmap(_layers(network, params))(jnp.concatenate([train.inputs, inputs]))
    answers = features[-1].argmax(-1).astype(jnp.int32)[len(train.inputs) :]
    columns = [-jax.vmap(margin)(features[-1][len(train.inputs) :], answers)]
    for view in map(jax.vmap, views):
        rows = view(features)
        classes = class_gaussians(rows[: len(train.inputs)], train.labels, 10)
        odd = jax.vmap(lambda h, label, classes=classes: atypicality(classes, h, label))
        columns.insert(-1, odd(rows[len(train.inputs) :], answers))
    return answers, jnp.stack(columns, axis=1)


SIZES = {
    "quick": Size({"width": (8, 64)}, 6, 6),
    "default": Size({"width": (8, 16, 32, 64, 128)}, 12, 6),
    "full": Size({"width": (8, 16, 32, 64, 128, 256)}, 24, 6),
}


def check(options, axes):
    """Raise for a solver that there is not, and for no number of pixels."""
    if math.isqrt(options.dim) ** 2 != options.dim:
        raise ValueError(f"dim must be a square, such as 49 or 196, got {options.dim}.")
    as_solver(options.solver)
    counts = ("dim", "hidden", "steps", "batch_size", "examples", "looked_at")
    check_counts(**{name: getattr(options, name) for name in counts})
    check_finite(0, learning_rate=options.learning_rate)
    check_counts(width=min(axes["width"]))


NOISE = 0.3  # at which layers are compared
LARGEST_CHANGE = 1.25
LEAST_DETECTED = 0.9
PUSH = 1.5  # at which detectors are judged: at 1 the logits are equal, which no other attack needs


def judge(dataset: xr.Dataset) -> Findings:
    """Judge what training discards, whether radii follow what is kept, and the detector."""
    keep, share = statistics.usable(dataset)
    middle = dataset[["radius"]].where(keep).median("example", keep_attrs=True)
    middle = middle.where(share >= 0.9)
    at = {"layer": "layer 2", "noise": NOISE}
    middle["bottleneck"] = dataset["information"].sel(at, drop=True)
    middle["bottleneck"].attrs = _BOTTLENECK.attrs()
    forgotten = dataset["information_start"] / dataset["information"]
    middle["forgotten"] = forgotten.sel(at, drop=True).assign_attrs(_FORGOTTEN.attrs())
    rate = middle["radius"] / np.sqrt(middle["bottleneck"])
    widest = dataset["width"].max()
    constancy = (rate / rate.sel(width=widest, drop=True)).where(rate["width"] < widest)
    middle["constancy"] = constancy.assign_attrs(_CONSTANCY.attrs())
    middle["accuracy"], middle["found"] = dataset["accuracy"], share
    for name in _READS:
        of = {"reads": name}
        seen = dataset["detected"].sel(of | {"push": PUSH}, drop=True)
        said = f"share detected by {_READS[name]}, of perturbations {PUSH:g} times the smallest"
        named = Quantity(f"by {name}", said, form="share")
        middle[f"detected_by_{name.replace(' ', '_')}"] = seen.assign_attrs(named.attrs())
    names = ["radius", "bottleneck", "forgotten", "constancy", "accuracy", "found"]
    names += [str(name) for name in middle if str(name).startswith("detected")]
    share_kept = dataset["information"] / dataset["information"].sel(layer="input", drop=True)
    layers = dataset[["accuracy"]].assign(
        kept=share_kept.sel(noise=NOISE, drop=True).assign_attrs(_KEPT.attrs())
    )
    last = dataset.sel(width=widest, drop=True)
    summary = xr.merge(
        [
            statistics.median_table(middle, names),
            medians_along(layers, ["width", "layer"], ["kept"]),
            medians_along(last, ["layer", "noise"], ["information"]),
            medians_along(last, ["reads", "push"], ["detected"]),
            medians_along(last, ["reads"], ["false_alarms"]),
        ],
        join="outer",
    )
    incomplete = statistics.incomplete(middle["radius"], dataset)
    found = (
        verdicts.at_least(
            "Training discards information",
            statistics.medians(middle["forgotten"]),
            [],
            axis="width",
            least=1.0,
            what="information before over after training",
        ),
        verdicts.agreement(
            "The radius grows like √I_2",
            statistics.medians(middle["constancy"]),
            incomplete,
            axis="width",
            within=LARGEST_CHANGE,
            what="r_nn/√I_2 over that of the widest",
        ),
        verdicts.at_least(
            f"All features give perturbations × {PUSH:g} away",
            statistics.medians(middle["detected_by_all_features"]),
            incomplete,
            axis="width",
            least=LEAST_DETECTED,
            what="share detected",
        ),
    )
    return Findings(dataset, summary, (), verdicts.of_trained(*found))


_BOTTLENECK = Quantity("I_2", f"what the second hidden layer keeps at σ = {NOISE}", "nats")
_FORGOTTEN = Quantity("I_2 before/after", "information of that layer, before over after training")
_CONSTANCY = Quantity("r_nn/√I_2", "radius over √I_2, over that of the widest network")
_KEPT = Quantity("I/I_input", f"share of the input's information that a layer keeps at σ = {NOISE}")
_READS = {
    "all features": "all features",
    "input": "the input alone",
    "logits": "the logits alone",
    "margin": "a small margin",
}


def draw(findings: Findings) -> dict[str, Drawing]:
    """What layers keep, radii beside it, and what detectors see."""
    summary = findings.summary
    return {
        "layers": against_coordinate(
            summary,
            "information",
            "noise",
            title="Information that noisy features keep in the widest network",
            note="Gaussian approximation, exact for affine networks.",
        ),
        "kept": against_axis(
            summary, ["kept"], title="Share of information kept against the bottleneck"
        ),
        "radii": against_axis(summary, ["radius"], title="Radii against the bottleneck"),
        "constancy": against_axis(
            summary,
            ["constancy", "forgotten"],
            title="Do radii follow information, and does training discard it",
            reference=1.0,
            note="Radii are upper bounds.",
        ),
        "detection": against_coordinate(
            summary,
            "detected",
            "push",
            title="Detection at 1 % false alarms, widest network",
            log=False,
            note="At push 1 perturbations are the smallest ones found, at which the two largest "
            "logits are equal: that alone gives them away. Further along, it does not.",
        ),
    }
