"""Norms: in ℓ1, ℓ2 and ℓ∞ the ratio is what the dual norm says, 1/√d but for a logarithm.

Nothing in the argument belongs to ℓ2. In ℓp the distance to an affine boundary is the margin over
the dual norm of its gradient, so that the ratio of a pair is ρ_p = |⟨g, Δ⟩| / (‖g‖_q ‖Δ‖_p), with
1/p + 1/q = 1. For two independent random directions its median is near 0.67/√d in ℓ2, and near
0.65/√(d log d) in ℓ1 and in ℓ∞ alike.

Family B, one mixing layer: the ratio of the linear interpolator to the twin, against that law.
Family A: the nearest point of another class searched in each norm, and what is lost where the
ℓ2-nearest point is taken for it. A ReLU network trained on B: whether the ratio of a pair is its
own ρ_p in each norm. Perturbations of trained networks are found by search, in every norm by the
same solver.

Interpolators are drawn many times within a seed, independently, and each draw counts as a seed of
its own; of the trained network of a seed the median over inputs counts. Inputs that it
misclassifies are left out, and the network where fewer than nine in ten of the others can be
fooled.
"""

from functools import partial
from math import inf
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray as xr
from jaxtyping import Array, Bool, Float

from ... import data, models, statistics, theory
from ..._checks import check_counts, check_finite
from ..._typing import Key, Order
from ...compression import margin_compression
from ...drawing import Drawing, against_axis, distribution, scatter
from ...norms import dual_order, norm
from ...optimal import twin_displacement
from ...perturbation import as_solver
from ...training import fit
from ...vocabulary import Quantity, quantity
from .. import verdicts
from .._claim import Size
from .._findings import Findings, Verdict
from ._law_e import WITHIN

SOURCE = "a question to arXiv:2406.16200"
ORDERS = {"ℓ1": 1, "ℓ2": 2, "ℓ∞": inf}
COORDINATES = {"norm": tuple(ORDERS)}


class Options(NamedTuple):
    """Interpolators a seed, what is trained, and how it is attacked; recorded with the results."""

    draws: int = 16
    # One boundary of a small network: within 1e-3 of `minimal` at the median, 3 % at nine in ten of
    # the inputs, in every norm, and compiles in a third of the time.
    solver: str = "fmn"
    points_per_dim: int = 16
    width_per_dim: int = 2
    steps: int = 1000
    learning_rate: float = 3e-3
    examples: int = 8


class Interpolators(NamedTuple):
    """One linear interpolator of each family, in each norm."""

    ratio_pair: Float[Array, " norm"]  # B, to the twin
    radius: Float[Array, " norm"]
    r_half: Float[Array, " norm"]
    ratio: Float[Array, " norm"]  # A, the nearest boundary over the nearest point
    r_opt: Float[Array, " norm"]
    overestimate: Float[Array, " norm"]


class Cell(NamedTuple):
    """Draws of interpolators, and one trained network at some of its training points."""

    ratio_pair: Annotated[
        Float[Array, "draw norm"],
        quantity("ratio_pair", symbol="r_nn/r_half", meaning="ratio to the twin, family B"),
    ]
    radius: Annotated[Float[Array, "draw norm"], quantity("radius", bound="exact")]
    r_half: Float[Array, "draw norm"]
    ratio: Annotated[
        Float[Array, "draw norm"],
        quantity("ratio", symbol="r_A/r_opt", meaning="fragility ratio in family A"),
    ]
    r_opt: Float[Array, "draw norm"]
    overestimate: Annotated[
        Float[Array, "draw norm"],
        Quantity("r_2/r_opt", "half the distance to the ℓ2-nearest point, over r_opt of the norm"),
    ]
    radius_pair: Float[Array, "example norm"]
    ratio_trained: Annotated[
        Float[Array, "example norm"],
        quantity("ratio_pair", meaning="ratio of a trained network to the twin"),
    ]
    rho_net: Annotated[
        Float[Array, "example norm"],
        quantity("rho_net", meaning="ρ_p of the trained network, |⟨g, Δ⟩| / (‖g‖_q ‖Δ‖_p)"),
    ]
    correct: Bool[Array, " example"]
    found: Bool[Array, "example norm"]
    accuracy: Annotated[
        Float[Array, ""], quantity("accuracy", meaning="share of training points classified right")
    ]


def measure(key: Key, shared: tuple[()], options: Options, *, dim: int) -> Cell:
    """Draw interpolators, and train and attack one network."""
    key_draws, key_trained = jax.random.split(key)
    keys = jax.random.split(key_draws, options.draws)
    interpolators = jax.lax.map(partial(_interpolators, dim=dim), keys)
    return Cell(*interpolators, *_trained(key_trained, options, dim))


def _interpolators(key: Key, *, dim: int) -> Interpolators:
    key_b, key_a = jax.random.split(key)
    task = data.mixed_hypercube(key_b, dim, 1)
    against, towards = models.interpolate_hypercube(task.factors)
    # The margin is |z_d| = 1 at every point of B.
    radius = _each(lambda ord: 1 / norm(towards - against, dual_order(ord)))
    r_half = _each(partial(norm, twin_displacement(task.factors, task.codes[0]))) / 2

    lengths = lambda rows, ord: jax.vmap(partial(norm, ord=ord))(rows)
    points = data.gaussian_points(key_a, dim).inputs
    weight = models.interpolate_points(points)
    gradients = weight[:1] - weight[1:]  # of margins that are 1 at the first point
    nearest = _each(lambda ord: 1 / lengths(gradients, dual_order(ord)).max())
    others = points[1:] - points[:1]
    distances = _each(lambda ord: lengths(others, ord))
    best = distances.min(1)
    of_l2 = distances[:, distances[list(ORDERS).index("ℓ2")].argmin()]
    return Interpolators(
        radius / r_half, radius, r_half, 2 * nearest / best, best / 2, of_l2 / best
    )


def _trained(key: Key, options: Options, dim: int) -> tuple[Array, ...]:
    key_data, key_init, key_fit = jax.random.split(key, 3)
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

    def attack(x, label, code):
        def logits_fn(z):
            return network.apply(trained.params, z)

        displacement = twin_displacement(task.factors, code)
        search = as_solver(options.solver)
        found = [search(logits_fn, x, label, ord=ord) for ord in ORDERS.values()]
        radii = jnp.stack([one.norm for one in found])
        fooled = jnp.stack([one.found & one.correct for one in found])
        r_half = _each(partial(norm, displacement)) / 2
        rho = _each(lambda ord: margin_compression(logits_fn, x, label, displacement, ord=ord))
        return radii, radii / r_half, rho, found[0].correct, fooled

    few = slice(options.examples)
    attacked = jax.vmap(attack)(task.inputs[few], task.labels[few], task.codes[few])
    return (*attacked, trained.accuracy)


def _each(of_order) -> Array:
    """One value for each norm."""
    return jnp.stack([of_order(ord) for ord in ORDERS.values()])


SIZES = {
    "quick": Size({"dim": (8, 32)}, 8, 8),
    "default": Size({"dim": (8, 16, 32, 64)}, 64, 16),
    "full": Size({"dim": (8, 16, 32, 64, 128, 256)}, 32, 16),
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
    """In each norm: the law of the interpolator, its rate, the yardstick, and law E."""
    by_norm = dataset.assign_attrs(axes=["dim", "norm"])
    drawn = statistics.pooled(by_norm[_DRAWN], "draw")
    trained = _middle(by_norm)
    judged = [_of_norm(name, drawn.sel(norm=name), trained.sel(norm=name)) for name in ORDERS]
    summary = xr.concat([one.summary for one in judged], dataset["norm"]).transpose("dim", "norm")
    fits = tuple(fit for one in judged for fit in one.fits)
    return Findings(dataset, summary, fits, tuple(v for one in judged for v in one.verdicts))


_DRAWN = ["ratio_pair", "radius", "r_half", "ratio", "r_opt", "overestimate"]


def _middle(dataset: xr.Dataset) -> xr.Dataset:
    """Medians over the inputs of each trained network."""
    keep, share = statistics.usable(dataset)
    names = ["radius_pair", "ratio_trained", "rho_net"]
    middle = dataset[names].where(keep).median("example", keep_attrs=True)
    law_e = (dataset["ratio_trained"] / dataset["rho_net"]).where(keep).median("example")
    named = quantity("law_e", symbol="law E", meaning="ratio of the trained network over its ρ_p")
    middle["law_e"] = law_e.assign_attrs(named.attrs())
    middle["accuracy"] = dataset["accuracy"].broadcast_like(middle["law_e"], exclude=())
    return middle.where(share >= 0.9).assign_attrs(dataset.attrs)


def _of_norm(name: str, drawn: xr.Dataset, trained: xr.Dataset) -> Findings:
    ord, dims = ORDERS[name], drawn["dim"].values.tolist()
    laws = {dim: _law(dim, ord) for dim in dims}
    tests = statistics.kolmogorov_smirnov(drawn["ratio_pair"], laws)
    fit = statistics.exponent(drawn["ratio_pair"], statistics.law_exponent(laws))
    fits = (fit, statistics.exponent(drawn["ratio"]))
    failed = statistics.incomplete(drawn["ratio_pair"], drawn)
    found = [
        verdicts.exact_law(
            f"Dual norm, {name}",
            fit,
            statistics.scale(drawn["ratio_pair"], laws),
            tests,
            failed,
        )
    ]
    if ord != 2:
        # Where 0.65/√(d log d) is the median, the root of the logarithm takes it to a power of d.
        log = np.sqrt(np.log(drawn["dim"]))
        power = statistics.exponent((drawn["ratio_pair"] * log).rename("ratio_pair"), -0.5)
        found.append(verdicts.scaling(f"1/√(d log d), {name}", power, failed))
        found.append(
            _within(f"ℓ2-nearest is nearest, {name}", drawn, "overestimate", "r_2 over r_opt")
        )
    law_e = _within(f"Law E, {name}", trained, "law_e", "ratio over ρ_p")
    found.extend(verdicts.of_trained(law_e))
    summary = xr.merge(
        [
            statistics.median_table(drawn, _DRAWN),
            statistics.median_table(trained, [*trained.data_vars]).drop_vars("seeds"),
            statistics.predictions("dim", laws, of="ratio_pair", sampled=ord != 2),
            tests,
        ],
        join="outer",
    )
    named = (fit._replace(level=name) for fit in fits if fit is not None)
    return Findings(drawn, summary, tuple(named), tuple(found))


def _law(dim: int, ord: Order) -> theory.Law:
    """Exact in ℓ2; no closed form is known elsewhere: sixteen times as many draws as are tested."""
    if ord == 2:
        return theory.compression(dim)
    return theory.mixing_compression(jax.random.key(0), dim, 1, num=2**14, ord=ord)


def _within(law: str, of: xr.Dataset, name: str, what: str) -> Verdict:
    return verdicts.agreement(
        law,
        statistics.medians(of[name]),
        statistics.incomplete(of[name], of),
        axis="dim",
        within=WITHIN,
        what=what,
    )


def draw(findings: Findings) -> dict[str, Drawing]:
    """The ratio and its law, nearest points, and the trained network, each in three norms."""
    dataset, summary, fits, _ = findings
    plain = summary.drop_vars([name for name in summary if str(name).startswith("predicted")])
    drawn = statistics.pooled(dataset[["ratio_pair"]], "draw")["ratio_pair"]
    spreads = {
        f"distribution-l{ORDERS[name]}": distribution(
            drawn.sel(norm=name, drop=True).transpose("dim", "seed"),
            summary.sel(norm=name, drop=True),
            title=f"Distribution of the ratio to the twin, {name}",
        )
        for name in ORDERS
    }
    return {
        "scaling": against_axis(
            plain,
            ["ratio_pair"],
            title="Ratio to the twin in three norms",
            fits=fits,
            guide=True,
        ),
        **spreads,
        "radii": against_axis(
            summary, ["r_half", "radius"], title="Radii of family B in three norms"
        ),
        "nearest": against_axis(
            summary,
            ["overestimate"],
            title="What the ℓ2-nearest point overestimates",
            reference=1.0,
        ),
        "nearest-ratio": against_axis(
            summary, ["ratio"], title="Ratio to the nearest point of the norm", fits=fits
        ),
        "law-e": scatter(
            dataset["rho_net"],
            dataset["ratio_trained"].where(dataset["found"] > 0),
            title="Trained networks: ratio against ρ_p",
            by="norm",
            within=summary,
        ),
        "law-e-medians": against_axis(
            summary, ["law_e"], title="Ratio over ρ_p of trained networks", reference=1.0
        ),
    }
