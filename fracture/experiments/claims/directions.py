"""Law D: k directions that know nothing read a share √(k/d); trained ones read more.

A network with K classes decides by K − 1 differences of logits, and near an input it reads the
span of their gradients. Of a displacement that has nothing to do with the network, a subspace of k
of d dimensions contains a share ρ with ρ² ~ Beta(k/2, (d−k)/2): the null model of every network. If
fragility came from reading few directions alone, more classes would make networks more robust.

The same inputs are labelled with 10 classes, or with these merged into K: digits, and ten Gaussian
clusters. Trained networks are asked what they read of a random displacement, which tests the null
model, and of that to the nearest training point of another class, which shows what they have
learned; and whether the ratio of the radius to half that distance grows with K as the span does.
Half the distance is an upper bound of the optimal radius, and radii of networks are found by
search, without pixel bounds. Intervals cover the training of the network, not the choice of inputs.
Inputs that a network misclassifies do not count, and the network only where nine in ten of the
others can be fooled.
"""

from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import xarray as xr
from jaxtyping import Array, Bool, Float, Int

from ... import data, models, statistics, theory
from ..._checks import check_counts, check_finite
from ..._typing import Key
from ...compression import span_compression
from ...drawing import Drawing, against_axis
from ...optimal import nearest_neighbour
from ...perturbation import Status, as_solver
from ...training import fit
from ...vocabulary import Quantity, quantity
from .. import verdicts
from .._claim import Size, options_of
from .._findings import Findings, Verdict
from ._law_e import WITHIN

SOURCE = "a question to arXiv:2406.16200"
BASE = 10  # classes before they are merged
NUM_TRAIN = 4000


class Cell(NamedTuple):
    """One trained network at some test inputs."""

    rho_unrelated: Annotated[
        Float[Array, " example"],
        Quantity("ρ_random", "share of a random displacement within the span that is read"),
    ]
    rho_span: Float[Array, " example"]
    null_ratio: Float[Array, " example"]
    span_rank: Int[Array, " example"]
    radius: Float[Array, " example"]
    r_opt: Annotated[Float[Array, " example"], quantity("r_opt", bound="upper")]
    ratio: Float[Array, " example"]
    correct: Bool[Array, " example"]
    found: Bool[Array, " example"]
    accuracy: Annotated[
        Float[Array, ""], quantity("accuracy", meaning="share of test inputs classified right")
    ]


class Options(NamedTuple):
    """Sizes of inputs, what is trained, and how it is attacked; recorded with the results."""

    dim: int = 64  # of the clusters
    side: int = 14  # of the digits, in pixels
    width: int = 128
    steps: int = 400
    batch_size: int = 128
    learning_rate: float = 1e-3
    solver: str = "ddn"
    examples: int = 64


class Shared(NamedTuple):
    """What all networks of one number of classes are trained on and attacked at."""

    train_inputs: Float[Array, "train *input"]
    train_labels: Array
    test_inputs: Float[Array, "test *input"]
    test_labels: Array
    displacements: Float[Array, "example *input"]
    r_opt: Float[Array, " example"]


def shared(options: Options, *, classes: int, data: str) -> Shared:
    """Inputs with merged labels, and the nearest training point of another class."""
    train, test = _split(options, data)
    train_labels, test_labels = train.labels % classes, test.labels % classes
    inputs, labels = test.inputs[: options.examples], test_labels[: options.examples]
    nearest = nearest_neighbour(inputs, labels, train.inputs, train_labels)
    displacements = train.inputs[nearest.index] - inputs
    few = slice(1000)
    return Shared(
        train.inputs,
        train_labels,
        test.inputs[few],
        test_labels[few],
        displacements,
        nearest.radius,
    )


def _split(options: Options, name: str) -> tuple[Any, Any]:
    if name == "digits":
        return data.split(data.digits(options.side), NUM_TRAIN)
    clusters = data.gaussian_mixture(
        jax.random.key(0), options.dim, NUM_TRAIN + 1000, num_classes=BASE, dtype="float32"
    )
    return data.split(clusters, NUM_TRAIN)


def measure(key: Key, given: Shared, options: Options, *, classes: int, data: str) -> Cell:
    """Train one network on the merged labels, and look at what it reads."""
    key_init, key_fit, key_random = jax.random.split(key, 3)
    shape = given.train_inputs.shape[1:]
    network = models.mlp(shape, classes, widths=(options.width,))
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
    num = given.displacements.shape[0]
    random = jax.random.normal(key_random, (num, *shape), given.displacements.dtype)

    def look(x, label, displacement, unrelated):
        def logits_fn(z):
            return network.apply(trained.params, z)

        found = as_solver(options.solver)(logits_fn, x, label)
        ways = jnp.stack([displacement, unrelated])
        span = jax.vmap(lambda way: span_compression(logits_fn, x, way))(ways)
        return found, span

    found, span = jax.vmap(look)(
        given.test_inputs[:num], given.test_labels[:num], given.displacements, random
    )
    return Cell(
        rho_unrelated=span.ratio[:, 1],
        rho_span=span.ratio[:, 0],
        null_ratio=span.null_ratio[:, 0],
        span_rank=span.rank[:, 0],
        radius=found.norm,
        r_opt=given.r_opt,
        ratio=found.norm / given.r_opt,
        correct=found.correct,
        found=found.status == Status.FOUND,
        accuracy=jnp.mean(right, dtype=logits.dtype),
    )


DATA = ("clusters", "digits")
SIZES = {
    "quick": Size({"classes": (2, 10), "data": DATA}, 8, 8),
    "default": Size({"classes": (2, 3, 5, 10), "data": DATA}, 16, 16),
    "full": Size({"classes": (2, 3, 4, 5, 6, 7, 8, 9, 10), "data": DATA}, 64, 16),
}


def check(options, axes):
    """Raise for classes and data that there are not."""
    as_solver(options.solver)
    counts = ("dim", "side", "width", "steps", "batch_size", "examples")
    check_counts(**{name: getattr(options, name) for name in counts})
    check_finite(0, learning_rate=options.learning_rate)
    if not set(axes["data"]) <= set(DATA):
        raise ValueError(f"data must be of {', '.join(DATA)}, got {', '.join(axes['data'])}.")
    if not all(2 <= classes <= BASE for classes in axes["classes"]):
        raise ValueError(f"classes must be from 2 to {BASE}, got {tuple(axes['classes'])}.")
    if min(options.dim, options.side**2) <= BASE:
        raise ValueError(f"inputs must have more than {BASE} coordinates.")


def judge(dataset: xr.Dataset) -> Findings:
    """For each data: the null model, what is learned, and whether the ratio follows the span."""
    options, parts, found, fits = options_of(Options, dataset), {}, [], []
    for name, one in statistics.levels(dataset):
        dim = options.side**2 if name == "digits" else options.dim
        parts[name], verdict, fit = _of_data(name, one, dim)
        found.extend(verdict)
        fits.extend(fit)
    summary = xr.concat(parts.values(), dataset["data"], join="outer").transpose("classes", "data")
    return Findings(dataset, summary, tuple(fits), tuple(found))


def _of_data(name: str, dataset: xr.Dataset, dim: int) -> tuple[xr.Dataset, list, list]:
    laws = {k: theory.compression(dim, k - 1) for k in dataset["classes"].values.tolist()}
    drawn = statistics.pooled(dataset[["rho_unrelated"]], "example")
    random = drawn["rho_unrelated"]
    tests = statistics.kolmogorov_smirnov(random, laws)
    expected = statistics.law_exponent(laws)
    chance = [float(law.quantile(0.5)) for law in laws.values()]  # beside medians, a median
    middle = _middle(dataset, dataset["classes"].copy(data=chance))
    fits = [
        statistics.exponent(random, expected),
        statistics.exponent(middle["ratio"], expected),
        statistics.exponent(middle["rho_span"], expected),
    ]
    failed = statistics.incomplete(middle["ratio"], dataset)
    within = lambda law, of, what: verdicts.agreement(
        f"{law}, {name}",
        statistics.medians(middle[of]),
        failed,
        axis="classes",
        within=WITHIN,
        what=what,
    )
    found: list[Verdict] = [
        verdicts.exact_law(
            f"Law D, random displacements, {name}",
            fits[0],
            statistics.scale(random, laws),
            tests,
            statistics.incomplete(random, drawn),
        ),
        *verdicts.of_trained(
            within("Chance is all that is read", "excess", "ρ_span over chance"),
            within("Ratio is ρ_span", "over_span", "ratio over ρ_span"),
            verdicts.scaling(
                f"Ratio grows with K as chance does, {name}", fits[1], failed, axis="classes"
            ),
        ),
    ]
    summary = xr.merge(
        [
            statistics.median_table(middle, [*middle.data_vars]),
            statistics.median_table(drawn, ["rho_unrelated"]).drop_vars("seeds"),
            statistics.predictions("classes", laws, of="rho_unrelated"),
            tests,
        ],
        join="outer",
    )
    return summary, found, [fit._replace(level=name) for fit in fits if fit is not None]


def _middle(dataset: xr.Dataset, chance: xr.DataArray) -> xr.Dataset:
    """Medians over the inputs of each network."""
    keep, share = statistics.usable(dataset)
    names = ["ratio", "radius", "r_opt", "rho_span", "span_rank"]
    kept = dataset[names].where(keep)
    middle = kept.median("example", keep_attrs=True)
    derived = {
        "excess": (kept["rho_span"] / chance, "ρ_span/chance", "ρ_span over the median by chance"),
        "over_span": (kept["ratio"] / kept["rho_span"], "ratio/ρ_span", "fragility over span"),
    }
    for name, (values, symbol, meaning) in derived.items():
        middle[name] = values.median("example").assign_attrs(Quantity(symbol, meaning).attrs())
    middle = middle.where(share >= 0.9)
    middle["accuracy"], middle["found"] = dataset["accuracy"], share
    return middle


def draw(findings: Findings) -> dict[str, Drawing]:
    """What is read of both displacements against K, and the ratio."""
    _, summary, fits, _ = findings
    by_data = {name: summary.sel(data=name, drop=True) for name in summary["data"].values.tolist()}
    return {
        **{
            f"null-{name}": against_axis(
                one,
                ["rho_unrelated", "rho_span"],
                title=f"What is read of a displacement, {name}",
            )
            for name, one in by_data.items()
        },
        "ratio": against_axis(
            summary, ["ratio"], title="Fragility ratio against the number of classes", fits=fits
        ),
        "excess": against_axis(
            summary,
            ["excess", "over_span"],
            title="Span over chance, and ratio over span",
            reference=1.0,
        ),
        "radii": against_axis(
            summary, ["r_opt", "radius"], title="Radii against the number of classes"
        ),
        "accuracy": against_axis(
            summary, ["accuracy"], title="Accuracy against the number of classes", log=False
        ),
    }
