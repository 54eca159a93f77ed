"""Law B input by input: the ratio of an input is what is read of the way to its nearest point.

Points of the mixed hypercube, x = A z, and three networks that are right on the same sample of
them: the linear interpolator, which computes the label's coordinate; the linear classifier of
largest margin; and a ReLU network trained by full-batch Adam. The optimal radius is exact: half the
distance to the nearest of all points of the other class, found by branch and bound; inputs at which
that search did not end are left out.

Law B gives the interpolator's ρ against the twin, which differs in the last coordinate only:
√Beta(1/2, (d−1)/2), tested on many independent draws of A in each seed. Against the nearest point
of each input its ratio r_nn/r_opt is its ρ by algebra. Whether the ratio of the other networks is
their ρ, input by input, and whether they are as fragile as the interpolator, is measured. The
radius of the trained network is found by search; those of linear classifiers are exact.
"""

from functools import partial
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import optax
import xarray as xr
from jaxtyping import Array, Bool, Float

from ... import data, models, statistics, theory
from ..._checks import check_counts, check_finite
from ..._typing import Key
from ...compression import margin_compression
from ...drawing import Drawing, against_axis, distribution, scatter
from ...norms import norm
from ...optimal import Bound, max_margin, optimum, twin_displacement
from ...perturbation import Status, as_solver
from ...training import fit
from ...vocabulary import Quantity, quantity
from .. import verdicts
from .._claim import Size
from .._findings import Findings
from ._law_e import WITHIN

SOURCE = "arXiv:2406.16200, Section 4"
NETWORKS = ("interpolator", "largest margin", "trained")
COORDINATES = {"network": NETWORKS}


class Cell(NamedTuple):
    """Interpolators of many mixings, and three networks at points of one of them."""

    rho_twin: Annotated[
        Float[Array, " draw"],
        Quantity("ρ_twin", "cosine between the interpolator's gradient and the way to the twin"),
    ]
    ratio: Float[Array, "network example"]
    rho_net: Annotated[
        Float[Array, "network example"],
        quantity(
            "rho_net",
            meaning="cosine between the margin's gradient and the way to the nearest point",
        ),
    ]
    radius: Float[Array, "network example"]
    r_opt: Float[Array, " example"]
    proven: Float[Array, " example"]  # 1 where the search for the nearest point ended, else 0
    correct: Bool[Array, "network example"]
    found: Bool[Array, "network example"]
    accuracy: Annotated[
        Float[Array, " network"],
        quantity("accuracy", meaning="share of the sample classified right"),
    ]


class Options(NamedTuple):
    """Draws of A a seed, what is trained, and how it is attacked; recorded with the results."""

    draws: int = 128
    solver: str = "ddn"  # within 1e-3 of `minimal` at the median, 2 % at nine inputs in ten
    points_per_dim: int = 32
    width_per_dim: int = 2
    steps: int = 1000
    learning_rate: float = 3e-3
    examples: int = 16


def measure(key: Key, shared: tuple[()], options: Options, *, dim: int) -> Cell:
    """Draw mixings; on the last of them compare three networks at some points."""
    key_draws, key_data, key_init, key_fit = jax.random.split(key, 4)
    rho_twin = jax.lax.map(
        partial(_of_interpolator, dim), jax.random.split(key_draws, options.draws)
    )
    task = data.mixed_hypercube(key_data, dim, options.points_per_dim * dim, dtype="float32")
    network = models.mlp((dim,), 1, widths=(options.width_per_dim * dim,))
    trained = fit(
        key_fit,
        network.apply,
        network.init(key_init),
        task.inputs,
        task.labels,
        steps=options.steps,
        optimizer=optax.adam(options.learning_rate),
    )
    best = max_margin(task.inputs, task.labels)
    against, towards = models.interpolate_hypercube(task.factors)
    linear = (towards - against, jnp.zeros_like(best.bias)), (best.weight, best.bias)
    num = min(options.examples, task.inputs.shape[0])
    optimal = jax.vmap(partial(optimum, task, max_nodes=1_000_000))(jnp.arange(num))
    inputs, labels = task.inputs[:num], task.labels[:num]

    def at_hyperplane(weight: Array, bias: Array):
        """Radius, what is read, whether right and fooled: in closed form."""
        sign = jnp.where(labels == 1, 1, -1).astype(inputs.dtype)
        heights = sign * (inputs @ weight + bias) / norm(weight)
        ways = optimal.displacement
        read = jnp.abs(ways @ weight) / (norm(weight) * jax.vmap(norm)(ways))
        right = heights > 0
        everywhere = (task.inputs @ weight + bias > 0) == (task.labels == 1)
        return jnp.maximum(heights, 0), read, right, right, everywhere.mean(dtype=inputs.dtype)

    def at_network(x, label, displacement):
        def logits_fn(z):
            return network.apply(trained.params, z)

        found = as_solver(options.solver)(logits_fn, x, label)
        right = found.correct
        read = margin_compression(logits_fn, x, label, displacement)
        return found.norm, read, right, found.status == Status.FOUND

    searched = jax.vmap(at_network)(inputs, labels, optimal.displacement)
    each = [*(at_hyperplane(*of) for of in linear), (*searched, trained.accuracy)]
    radius, rho_net, correct, found, accuracy = map(jnp.stack, zip(*each, strict=True))
    return Cell(
        rho_twin=rho_twin,
        ratio=radius / optimal.radius[None],
        rho_net=rho_net,
        radius=radius,
        r_opt=optimal.radius,
        proven=(optimal.bound == Bound.EXACT).astype(radius.dtype),
        correct=correct,
        found=found,
        accuracy=accuracy,
    )


def _of_interpolator(dim: int, key: Key) -> Array:
    """What the interpolator of one mixing reads of the way to the twin."""
    task = data.mixed_hypercube(key, dim, 1)
    against, towards = models.interpolate_hypercube(task.factors)
    return 2 / (norm(towards - against) * norm(twin_displacement(task.factors, task.codes[0])))


SIZES = {
    "quick": Size({"dim": (8, 24)}, 8, 8),
    "default": Size({"dim": (8, 16, 24, 32)}, 64, 16),
    "full": Size({"dim": (8, 16, 24, 32, 40)}, 128, 16),
}


def check(options, axes):
    """Raise for what cannot be drawn, trained or attacked."""
    as_solver(options.solver)
    counts = ("draws", "points_per_dim", "width_per_dim", "steps", "examples")
    check_counts(**{name: getattr(options, name) for name in counts})
    check_finite(0, learning_rate=options.learning_rate)
    if min(axes["dim"]) < 2:
        raise ValueError(f"dim must be at least 2, got {min(axes['dim'])}.")


def judge(dataset: xr.Dataset) -> Findings:
    """Law B for the interpolator, and for the other networks whether their ratio is their ρ."""
    drawn = statistics.pooled(dataset[["rho_twin"]], "draw")
    rho = drawn["rho_twin"]
    laws = {dim: theory.compression(dim) for dim in dataset["dim"].values.tolist()}
    tests = statistics.kolmogorov_smirnov(rho, laws)
    fit = statistics.exponent(rho, statistics.law_exponent(laws))
    found = [
        verdicts.exact_law(
            "Law B, interpolator",
            fit,
            statistics.scale(rho, laws),
            tests,
            statistics.incomplete(rho, drawn),
        )
    ]
    middle = _middle(dataset)
    fits, parts = [fit], []
    for name, one in statistics.levels(middle):
        within = partial(_within, one)
        if name != "interpolator":  # whose ratio is its ρ by algebra, and is a check in the summary
            laws_of_it = (
                within(f"Ratio is ρ, 9 inputs in 10, {name}", "off", "ratio off by a factor"),
                within(f"As fragile as the interpolator, {name}", "relative", "ratio over its"),
            )
            found += verdicts.of_trained(*laws_of_it) if name == "trained" else laws_of_it
        slope = statistics.exponent(one["ratio"])
        fits.append(None if slope is None else slope._replace(level=name))
        parts.append(statistics.median_table(one, [*one.data_vars]))
    summary = xr.merge(
        [
            xr.concat(parts, dataset["network"]).transpose("dim", "network"),
            statistics.median_table(drawn, ["rho_twin"]).drop_vars("seeds"),
            statistics.predictions("dim", laws, of="rho_twin"),
            tests,
        ],
        join="outer",
    )
    for end in ("", "_lo", "_hi"):  # the same inputs for all networks
        summary[f"r_opt{end}"] = summary[f"r_opt{end}"].sel(network="interpolator", drop=True)
    return Findings(dataset, summary, tuple(f for f in fits if f is not None), tuple(found))


def _middle(dataset: xr.Dataset) -> xr.Dataset:
    """Over the inputs of each network: medians, and the factor that nine in ten are within."""
    keep, share = _usable(dataset)
    kept = dataset[["ratio", "rho_net", "radius"]].where(keep)
    kept["r_opt"] = (
        dataset["r_opt"].broadcast_like(kept["ratio"]).assign_attrs(dataset["r_opt"].attrs)
    )
    middle = kept.median("example", keep_attrs=True)
    quotient = kept["ratio"] / kept["rho_net"]
    # A network without any input has no quantile, and xarray warns of it.
    some = keep.any("example")
    off = xr.ufuncs.maximum(quotient, 1 / quotient).where(some, 1).quantile(0.9, "example")
    middle["off"] = off.drop_vars("quantile").where(some).assign_attrs(_OFF.attrs())
    relative = (kept["ratio"] / kept["ratio"].sel(network="interpolator", drop=True)).median(
        "example"
    )
    middle["relative"] = relative.assign_attrs(_RELATIVE.attrs())
    middle = middle.where(share >= 0.9)
    middle["accuracy"] = dataset["accuracy"]
    return middle.assign_attrs(dataset.attrs, axes=["dim", "network"])


def _usable(dataset: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Inputs that were fooled and whose nearest point is proven, and their share of those right."""
    exact = (dataset["found"] > 0) & (dataset["proven"] > 0)
    return statistics.usable(dataset.assign(found=exact))


_OFF = Quantity("off by", "factor that ratio over ρ_net or its inverse is below at 9 of 10 inputs")
_RELATIVE = Quantity("r/r_int", "fragility ratio over that of the interpolator, at the same inputs")


def _within(of: xr.Dataset, law: str, name: str, what: str):
    failed = statistics.incomplete(of[name], of)
    return verdicts.agreement(
        law, statistics.medians(of[name]), failed, axis="dim", within=WITHIN, what=what
    )


def draw(findings: Findings) -> dict[str, Drawing]:
    """Ratio against ρ, input by input; three networks side by side; the law of ρ."""
    dataset, summary, fits, _ = findings
    keep, _ = _usable(dataset)
    drawn = statistics.pooled(dataset[["rho_twin"]], "draw")["rho_twin"]
    ratio = dataset["ratio"].where(keep)
    return {
        "inputs": scatter(
            dataset["rho_net"],
            ratio,
            title="Fragility ratio against what is read, input by input",
            by="network",
            within=summary,
        ),
        "scaling": against_axis(
            summary, ["ratio"], title="Three networks side by side", fits=fits, guide=True
        ),
        "relative": against_axis(
            summary, ["relative"], title="Ratio over the interpolator's", reference=1.0
        ),
        "off": against_axis(
            summary, ["off"], title="How far the ratio is from ρ_net", reference=1.0
        ),
        "radii": against_axis(summary, ["r_opt", "radius"], title="Radii against dimension"),
        "distribution": distribution(
            drawn.transpose("dim", "seed"),
            summary,
            title="Distribution of the interpolator's ρ",
            half_normal=True,
        ),
    }
