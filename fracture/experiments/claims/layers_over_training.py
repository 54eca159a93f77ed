"""Compression is there before training, which undoes some of it, layer by layer.

Four architectures learn digits, each in five stages. At some moments of the training, from the
initial weights on, each layer is asked what share of the displacement of its features, between a
test digit and the nearest training digit of another class, the rest of the network reads: ρ_layer.
At the input that is the compression of the whole network. Where it rises from a layer to the next
one, the stage between them hides; it may fall, where a stage enlarges what is not read later. A
random subspace of the same dimension reads ρ_chance.

Layer 1 is what the first stage returns, layer 4 what the last one, which is affine, reads: of a
perceptron with four hidden layers, a CNN of three convolutions, a vision transformer of two blocks,
and a residual network of two blocks with batch normalisation.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray as xr
from jaxtyping import Array, Float

from ... import data, models, statistics
from ..._checks import check_counts, check_finite
from ..._typing import Key
from ...compression import layer_compression
from ...drawing import Drawing, against_axis, against_coordinate
from ...optimal import nearest_neighbour
from ...training import fit
from ...vocabulary import Quantity, quantity
from .. import verdicts
from .._claim import Size
from .._findings import Findings
from ._medians import medians_along

SOURCE = "a question about arXiv:2406.16200, Section 7"
NUM_TRAIN = 8000
MOMENTS = (0.0, 0.01, 0.03, 0.1, 0.3, 1.0)  # of all steps
LAYERS = ("input", "layer 1", "layer 2", "layer 3", "layer 4")
COORDINATES = {"time": MOMENTS, "layer": LAYERS}

_MODELS: dict[str, Callable[..., models.Network]] = {
    "mlp": partial(models.mlp, widths=(64, 64, 64, 64)),
    "cnn": partial(models.cnn, channels=(8, 16, 32), kernel_size=3, head="average"),
    "vit": partial(models.vit, width=32, depth=2, num_heads=2),
    "resnet": partial(models.resnet, channels=(8, 16)),
}


class Cell(NamedTuple):
    """One network at several moments of its training; medians over test digits."""

    layer_rho: Float[Array, "time layer"]
    layer_null: Float[Array, "time layer"]
    layer_effective_rank: Float[Array, "time layer"]
    accuracy: Annotated[
        Float[Array, " time"], quantity("accuracy", meaning="share of test digits classified right")
    ]


class Options(NamedTuple):
    """What is trained on, how long, and at how many digits layers are looked at."""

    dim: int = 144
    steps: int = 400
    batch_size: int = 64
    learning_rate: float = 2e-3
    examples: int = 24


class Shared(NamedTuple):
    """Digits, and the nearest training digits of other classes."""

    train: data.Digits
    test: data.Digits
    nearest: Float[Array, "example side side 1"]


def shared(options: Options, *, model: str) -> Shared:
    """Digits of one resolution."""
    train, test = data.split(data.digits(math.isqrt(options.dim)), NUM_TRAIN)
    inputs, labels = (part[: options.examples] for part in test)
    index = nearest_neighbour(inputs, labels, *train).index
    return Shared(train, test, train.inputs[index])


def measure(key: Key, given: Shared, options: Options, *, model: str) -> Cell:
    """Train one network, and look at its layers on the way."""
    key_init, key_fit = jax.random.split(key)
    network = _MODELS[model](given.train.inputs.shape[1:], 10)
    inputs = given.test.inputs[: options.examples]

    def look(params):
        stages = network.stages(params)
        layers = jax.vmap(partial(layer_compression, stages))(inputs, given.nearest)
        answers = jax.vmap(partial(network.apply, params))(given.test.inputs).argmax(-1)
        right = answers.astype(jnp.int32) == given.test.labels
        return Cell(
            layer_rho=jnp.median(layers.ratio, axis=0),
            layer_null=jnp.median(layers.null_ratio, axis=0),
            layer_effective_rank=jnp.median(layers.effective_rank, axis=0),
            accuracy=jnp.mean(right, dtype=layers.ratio.dtype),
        )

    trained = fit(
        key_fit,
        network.apply,
        network.init(key_init),
        *given.train,
        loss="cross_entropy",
        steps=options.steps,
        batch_size=options.batch_size,
        optimizer=optax.adam(options.learning_rate),
        train_apply=network.train_apply,
        measure=look,
        moments=[round(share * options.steps) for share in MOMENTS],
    )
    return trained.measured


SIZES = {
    "quick": Size({"model": ("mlp", "cnn")}, 6, 6),
    "default": Size({"model": tuple(_MODELS)}, 12, 6),
    "full": Size({"model": tuple(_MODELS)}, 24, 6),
}


def check(options, axes):
    """Raise for networks that there are not, and for moments that coincide."""
    unknown = [name for name in axes["model"] if name not in _MODELS]
    if unknown:
        raise ValueError(f"model must be of {', '.join(_MODELS)}, got {unknown[0]}.")
    if math.isqrt(options.dim) ** 2 != options.dim or math.isqrt(options.dim) % 4:
        raise ValueError(f"dim must be the square of 4, 8, 12, …, such as 144, got {options.dim}.")
    check_counts(batch_size=options.batch_size, examples=options.examples)
    check_counts(100, steps=options.steps)  # a hundredth of them is a moment
    check_finite(0, learning_rate=options.learning_rate)


EARLY = 0.1
WITHIN = 1.25


def judge(dataset: xr.Dataset) -> Findings:
    """Judge what training does to the compression of the input, how early, and where it is."""
    rho = dataset["layer_rho"]
    at_input = rho.sel(layer="input", drop=True)
    end = rho.sel(time=1.0, drop=True)
    # ρ at the input is a product: of what each layer adds, and of what the last one reads.
    logs = xr.apply_ufunc(np.log, end)
    first = 1 - logs.sel(layer="layer 1", drop=True) / logs.sel(layer="input", drop=True)
    last = logs.sel(layer="layer 4", drop=True) / logs.sel(layer="input", drop=True)
    middle = xr.Dataset(
        {
            "rho_end": at_input.sel(time=1.0, drop=True).assign_attrs(_NAMED["rho_end"].attrs()),
            "rho_start": at_input.sel(time=0.0, drop=True).assign_attrs(
                _NAMED["rho_start"].attrs()
            ),
            "null": dataset["layer_null"].sel(time=1.0, layer="input", drop=True),
            "accuracy": dataset["accuracy"].sel(time=1.0, drop=True),
        },
        attrs=dataset.attrs,
    )
    gain = middle["rho_end"] / middle["rho_start"]
    early = at_input.sel(time=EARLY, drop=True) / middle["rho_end"]
    middle = middle.assign(gain=gain, early=early, first=first, last=last)
    for name, named in _NAMED.items():
        middle[name].attrs = named.attrs()
    excess = (rho / dataset["layer_null"]).assign_attrs(_EXCESS.attrs())
    layers = dataset[["layer_rho", "layer_effective_rank"]].assign(excess_of_chance=excess)
    trained, names = layers.sel(time=1.0, drop=True), list(map(str, layers))
    times = dataset[["accuracy"]].assign(layer_rho=at_input.assign_attrs(rho.attrs))
    summary = xr.merge(
        [
            statistics.median_table(middle, [*_NAMED, "null", "accuracy"]),
            medians_along(trained, ["model", "layer"], names),
            medians_along(times, ["model", "time"], ["layer_rho", "accuracy"], "_by_time"),
            *(
                medians_along(
                    layers.sel(model=name, drop=True),
                    ["layer", "time"],
                    ["layer_rho"],
                    f"_of_{name}",
                )
                for name in dataset["model"].values.tolist()
            ),
        ],
        join="outer",
    )
    summary = summary.sel(model=dataset["model"].values)
    failed = statistics.incomplete(middle["rho_end"], dataset)
    found = (
        verdicts.at_least(
            "Training reads more of the input",
            statistics.medians(middle["gain"]),
            failed,
            axis="model",
            least=1.0,
            what="ρ at the input after over before",
        ),
        verdicts.agreement(
            "Compression settles early",
            statistics.medians(middle["early"]),
            failed,
            axis="model",
            within=WITHIN,
            what=f"ρ after {EARLY:.0%} of the steps over the last",
        ),
        verdicts.at_least(
            "The first stage hides most",
            statistics.medians(middle["first"]),
            failed,
            axis="model",
            least=0.5,
            what="its share of log ρ",
        ),
    )
    return Findings(dataset, summary, (), verdicts.of_trained(*found))


_NAMED = {
    "rho_end": Quantity("ρ_end", "ρ_layer at the input after training"),
    "rho_start": Quantity("ρ_start", "ρ_layer at the input before training"),
    "gain": Quantity("ρ_end/ρ_start", "what training adds"),
    "early": Quantity("ρ_early/ρ_end", f"ρ_layer at the input after {EARLY:.0%} of the steps"),
    "first": Quantity("first", "share of log ρ_end that the first stage hides", form="share"),
    "last": Quantity("last", "share of log ρ_end that the last stage hides", form="share"),
}
_EXCESS = Quantity("ρ_layer/ρ_chance", "ρ_layer over that of a random subspace of its dimension")


def draw(findings: Findings) -> dict[str, Drawing]:
    """Where compression is, when it changes, and both together for each network."""
    summary = findings.summary
    names = findings.dataset["model"].values.tolist()
    along_layers = {
        "layers": ("layer_rho", "Share of the displacement that is read from each layer on"),
        "excess": ("excess_of_chance", "The same over that of a random subspace"),
        "rank": ("layer_effective_rank", "Effective rank of what later layers read"),
    }
    over_time = {
        "time": ("layer_rho_by_time", "Share that is read at the input, over training"),
        "accuracy": ("accuracy_by_time", "Accuracy over training"),
    }
    drawn = {
        slug: against_coordinate(summary, name, "layer", title=f"{title}, after training")
        for slug, (name, title) in along_layers.items()
    }
    drawn |= {
        slug: against_coordinate(summary, name, "time", title=title, log=name != "accuracy_by_time")
        for slug, (name, title) in over_time.items()
    }
    drawn |= {
        f"training-{name}": against_coordinate(
            summary, f"layer_rho_of_{name}", "time", title=f"Each layer over training: {name}"
        )
        for name in names
    }
    drawn["training"] = against_axis(
        summary,
        ["rho_start", "rho_end", "null"],
        title="Compression at the input before and after training",
    )
    return drawn
