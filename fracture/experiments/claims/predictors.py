"""Predictors: compression tells which of many networks are robust, at any given accuracy.

If feature compression is the root cause of fragility, then among networks that classify equally
well, those that read more of the displacement to the nearest other class are the more robust ones,
and nothing else that is as easily measured tells more. Each seed draws a network of its own:
learning rate, scale of the initial weights, training time, weight decay, the share of training
labels that are random and noise added to the training inputs are all drawn at random. Every number
is the median over the same kind of held-out inputs, of those that are classified right.

Beside ρ_net stand the effective rank of the gradients, the length of the margin's gradient, the
margin, a bound of the Lipschitz constant (the product of the layers' spectral norms), and what is
made of these: the margin over that bound, a certified radius up to a constant, and the margin over
the gradient, the distance to the boundary of the linearised network. Rank correlations with the
radius are given as they are, and as partial ones given test accuracy. Networks that are wrong about
more than half of the test inputs do not count. The last verdict asks whether ρ_net still tells
anything, at least a partial rank correlation of 0.1, once accuracy and the linearised radius are
known too.
"""

import math
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jaxtyping import Array, Float

from ... import models, statistics
from ..._checks import check_counts
from ..._typing import Key
from ...compression import contrast, effective_rank, jacobian, margin_compression, spectrum
from ...drawing import Drawing, against_axis, scatter
from ...logits import margin
from ...norms import norm
from ...optimal import nearest_neighbour
from ...perturbation import Status, as_solver
from ...vocabulary import Quantity, quantity
from .. import verdicts
from .._claim import Size
from .._findings import Findings
from ._recipes import NUM_CLASSES, RECIPE, SYNTHETIC, digits, draw_recipe, train

SOURCE = "a question about arXiv:2406.16200, Section 7"
COORDINATES = {"ingredient": tuple(RECIPE)}
LEAST_ACCURACY = 0.5


class Cell(NamedTuple):
    """One network: medians over held-out inputs that are classified right and were fooled."""

    radius: Float[Array, ""]
    ratio: Annotated[
        Float[Array, ""],
        Quantity("r_nn/r_half", "r_nn over half the distance to the nearest other class"),
    ]
    rho_net: Float[Array, ""]
    effective_rank: Float[Array, ""]
    gradient: Annotated[
        Float[Array, ""],
        Quantity("‖∇margin‖", "length of the margin's gradient", "logits per input unit"),
    ]
    margin: Annotated[
        Float[Array, ""], Quantity("margin", "logit of the label over the best other one", "logits")
    ]
    lipschitz: Annotated[
        Float[Array, ""],
        Quantity(
            "Lip", "product of spectral norms of the layers", "logits per input unit", "upper"
        ),
    ]
    certified: Annotated[Float[Array, ""], Quantity("margin/Lip", "margin over Lip", "input units")]
    linearised: Annotated[
        Float[Array, ""],
        Quantity("r_lin", "distance to the boundary of the linearised network", "input units"),
    ]
    accuracy: Annotated[
        Float[Array, ""], quantity("accuracy", meaning="share of held-out inputs classified right")
    ]
    recipe: Annotated[Float[Array, " ingredient"], Quantity("recipe", "how the network was made")]


class Options(NamedTuple):
    """What is trained on how much, and how it is attacked; recorded with the results."""

    dim: int = 49
    points: int = 2000
    tests: int = 500
    hidden: int = 64
    steps: int = 600
    batch_size: int = 64
    examples: int = 24
    solver: str = "ddn"


def shared(options: Options, *, data: str) -> Any:
    """Digits, where they are asked for: all seeds have the same."""
    return digits(options.dim, options.points + options.tests) if data == "digits" else ()


def measure(key: Key, given: Any, options: Options, *, data: str) -> Cell:
    """Draw a recipe, train by it, attack at held-out inputs, and measure what may predict."""
    key_data, key_recipe, key_train = jax.random.split(key, 3)
    if data == "digits":
        inputs, labels = given
    else:
        inputs, labels = SYNTHETIC[data](key_data, options.dim, options.points + options.tests)
    known, classes = inputs[: options.points], labels[: options.points]
    unseen, answers = inputs[options.points :], labels[options.points :]
    recipe = draw_recipe(key_recipe)
    network = models.mlp(options.dim, NUM_CLASSES, widths=(options.hidden,) * 2)
    trained = train(
        key_train,
        network,
        recipe,
        known,
        classes,
        steps=options.steps,
        batch_size=options.batch_size,
    )
    logits_fn = partial(network.apply, trained.params)
    bounds = (0.0, 1.0) if data == "digits" else None
    xs, ys = unseen[: options.examples], answers[: options.examples]
    nearest = nearest_neighbour(xs, ys, known, classes)

    def at(x, label, displacement, other):
        found = as_solver(options.solver)(logits_fn, x, label, bounds=bounds)
        value, gradient = jax.value_and_grad(lambda z: margin(logits_fn(z), label))(x)
        rows = jacobian(lambda z: contrast(logits_fn(z)), x)
        measured = {
            "radius": found.norm,
            "ratio": found.norm / (norm(displacement) / 2),
            "rho_net": margin_compression(logits_fn, x, label, displacement, other=other),
            "effective_rank": effective_rank(spectrum(rows)),
            "gradient": norm(gradient),
            "margin": value,
            "linearised": value / norm(gradient),
        }
        return jax.tree.map(lambda v: jnp.where(found.status == Status.FOUND, v, jnp.nan), measured)

    measured = jax.vmap(at)(xs, ys, known[nearest.index] - xs, classes[nearest.index])
    middle = jax.tree.map(jnp.nanmedian, measured)
    lipschitz = _lipschitz(trained.params)
    right = jax.vmap(logits_fn)(unseen).argmax(-1).astype(answers.dtype) == answers
    return Cell(
        **middle,
        lipschitz=lipschitz,
        certified=middle["margin"] / lipschitz,
        accuracy=jnp.mean(right, dtype=lipschitz.dtype),
        recipe=recipe,
    )


def _lipschitz(params: Any) -> Array:
    """Product of the largest singular values of all weights: ReLUs lengthen nothing."""
    kernels = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim == 2]
    return jnp.prod(jnp.stack([spectrum(kernel)[0] for kernel in kernels]))


ALL = ("digits", *SYNTHETIC)
SIZES = {
    "quick": Size({"data": ALL[:2]}, 48, 48),
    "default": Size({"data": ALL}, 384, 48),
    "full": Size({"data": ALL}, 1024, 128),
}


def check(options, axes):
    """Raise for data and solvers that there are not, and for no number of pixels."""
    unknown = [name for name in axes["data"] if name not in ALL]
    if unknown:
        raise ValueError(f"data must be of {', '.join(ALL)}, got {unknown[0]}.")
    if "digits" in axes["data"] and math.isqrt(options.dim) ** 2 != options.dim:
        raise ValueError(f"dim must be a square for digits, such as 49, got {options.dim}.")
    if options.dim < 2 * NUM_CLASSES:
        raise ValueError(f"dim must be at least {2 * NUM_CLASSES}, got {options.dim}.")
    as_solver(options.solver)
    names = ("points", "tests", "hidden", "steps", "batch_size", "examples")
    check_counts(**{name: getattr(options, name) for name in names})


PREDICTORS = {
    "rho_net": "ρ_net",
    "effective_rank": "effective rank",
    "gradient": "‖∇margin‖",
    "margin": "margin",
    "lipschitz": "Lip",
    "certified": "margin/Lip",
    "linearised": "r_lin",
}
_RIVALS = ("effective_rank", "gradient", "margin", "lipschitz")
_LEAST, _BEYOND = 0.5, 0.1  # rank correlations that count as predicting, and as adding anything
_CORRELATION = Quantity("rank correlation", "Spearman's, of a predictor with r_nn")
_PARTIAL = Quantity("partial rank correlation", "of a predictor with r_nn, given accuracy")
_PREDICTOR = Quantity("predictor", "what is measured of a network to predict r_nn")


def judge(dataset: xr.Dataset) -> Findings:
    """Judge whether ρ_net predicts the radius at given accuracy, best, and beyond first order."""
    columns = {at: _columns(dataset.sel(data=at)) for at in dataset["data"].values.tolist()}
    columns = {at: c for at, c in columns.items() if c["radius"].size}
    plain = {at: {n: _correlation(c, n) for n in PREDICTORS} for at, c in columns.items()}
    partials = {
        at: {n: _correlation(c, n, "accuracy") for n in PREDICTORS} for at, c in columns.items()
    }
    needed = ("radius", "accuracy", "rho_net", *_RIVALS)
    lead = {at: statistics.bootstrap(_lead, *(c[n] for n in needed)) for at, c in columns.items()}
    beyond = {at: _correlation(c, "rho_net", "accuracy", "linearised") for at, c in columns.items()}
    known = lambda found: {at: i for at, i in found.items() if np.isfinite(i.value)}
    middle = dataset[["radius", "rho_net", "accuracy"]]
    summary = xr.merge(
        [
            statistics.median_table(middle, list(map(str, middle.data_vars))),
            _over_predictors(plain, "correlation", _CORRELATION),
            _over_predictors(partials, "partial", _PARTIAL),
        ],
        join="outer",
    )
    judged = partial(
        verdicts.at_least, incomplete=statistics.incomplete(dataset["radius"], dataset), axis="data"
    )
    found = (
        judged(
            "Compression predicts",
            known({at: of_place["rho_net"] for at, of_place in partials.items()}),
            least=_LEAST,
            what="partial rank correlation",
        ),
        judged(
            "Compression predicts best",
            known(lead),
            least=0.0,
            what="its partial correlation less the best other",
        ),
        judged(
            "Compression adds to r_lin",
            known(beyond),
            least=_BEYOND,
            what="partial rank correlation",
        ),
    )
    return Findings(dataset, summary, (), verdicts.of_trained(*found))


def _columns(one: xr.Dataset) -> dict[str, np.ndarray]:
    """What was measured of the networks that count."""
    names = ("radius", "accuracy", *PREDICTORS)
    columns = {name: np.asarray(one[name], np.float64) for name in names}
    kept = np.all([np.isfinite(column) for column in columns.values()], axis=0)
    kept &= columns["accuracy"] >= LEAST_ACCURACY
    return {name: column[kept] for name, column in columns.items()}


def _correlation(columns: Mapping[str, np.ndarray], name: str, *given: str) -> statistics.Interval:
    """Rank correlation of a predictor with the radius."""
    return statistics.bootstrap(
        lambda one, other, *rest: statistics.rank_correlation(one, other, given=rest),
        *(columns[n] for n in (name, "radius", *given)),
    )


def _lead(radius, accuracy, rho, *rivals):
    """By how much the partial correlation of ρ_net is larger than the largest of the rivals."""
    sizes = [abs(statistics.rank_correlation(r, radius, given=[accuracy])) for r in rivals]
    return statistics.rank_correlation(rho, radius, given=[accuracy]) - np.max(sizes, axis=0)


def _over_predictors(
    found: Mapping[str, Mapping[str, statistics.Interval]], name: str, what: Quantity
) -> xr.Dataset:
    """Correlations as part of a summary, over predictors and data."""
    places = list(found) or [ALL[0]]  # of none there is still a figure
    ends = {"": "value", "_lo": "low", "_hi": "high"}
    values = {
        end: [
            [getattr(found[at][p], field) if at in found else np.nan for at in places]
            for p in PREDICTORS
        ]
        for end, field in ends.items()
    }
    coords = {
        "predictor": ("predictor", list(PREDICTORS.values()), _PREDICTOR.attrs()),
        "data": ("data", places, quantity("data").attrs()),
    }
    arrays = {
        f"{name}{end}": (("predictor", "data"), array, what.attrs())
        for end, array in values.items()
    }
    return xr.Dataset(arrays, coords)


def draw(findings: Findings) -> dict[str, Drawing]:
    """All correlations, and the radii against what predicts them with a law."""
    dataset, summary, _, _ = findings
    counted = dataset.where(dataset["accuracy"] >= LEAST_ACCURACY).transpose("data", "seed", ...)
    correlations = partial(
        against_axis,
        summary,
        ylabel="rank correlation with r_nn",
        reference=0.0,
        log=False,
        note="Intervals are bootstrap ones over networks. Radii are upper bounds.",
    )
    clouds = partial(
        scatter, by="data", within=dataset, note="One point is one network. Radii are upper bounds."
    )
    return {
        "partial": correlations(
            ["partial"], title="What predicts the radius of a network, at given accuracy"
        ),
        "correlation": correlations(["correlation"], title="What predicts the radius of a network"),
        "compression": clouds(
            counted["rho_net"],
            counted["ratio"],
            title="Relative radius against compression, network by network",
        ),
        "linearised": clouds(
            counted["linearised"],
            counted["radius"],
            title="Radius against that of the linearised network",
        ),
    }
