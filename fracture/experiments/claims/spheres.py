"""Concentric spheres: errors are near every point, no farther than isoperimetry allows.

Two classes, uniform on spheres of radius 1 and 1.3 about the origin: the optimal classifier decides
by the length, and its radius is 0.15 in every dimension. A network that is wrong on a small share
of the inner sphere has errors near nearly all of it: no set of that share is farther from random
points, on average, than a cap. That bound falls like 1/√d.

ReLU networks are trained on a sample. How far is the nearest error on the inner sphere, on average,
against the bound for the share of errors of the same network? How far is the boundary in all of
space, against the optimal radius? And what does the nearest training point of the other class say
of that? Half the distance to it follows from the dimension and the number of points alone: from the
true dimension, and from the one that distances to neighbours suggest.

Perturbations are found by search, so that distances to errors are upper bounds. Inputs that a
network misclassifies do not count, and its radius only where nine in ten of the others can be
fooled.
"""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import optax
import xarray as xr
from jaxtyping import Array, Bool, Float

from ... import data, models, statistics, theory
from ..._checks import check_counts, check_finite
from ..._typing import Key
from ...compression import mle_dimension
from ...drawing import Drawing, against_axis
from ...norms import norm
from ...optimal import nearest_neighbour
from ...perturbation import as_solver
from ...training import fit
from ...vocabulary import Quantity, quantity
from .. import verdicts
from .._claim import Size
from .._findings import Findings
from ._law_e import WITHIN

SOURCE = "arXiv:1801.02774, Section 5, beside arXiv:2406.16200"
RADII = (1.0, 1.3)
FRESH = 2**14  # points at which the share of errors is estimated
_HALF = "half the distance to the nearest training point of the other class"


class Cell(NamedTuple):
    """One trained network, at fresh points of the inner sphere."""

    error: Annotated[
        Float[Array, ""], Quantity("error", "share of the inner sphere that is wrong", form="share")
    ]
    distance: Annotated[
        Float[Array, ""],
        Quantity("D", "mean distance to the nearest error on the sphere", "input units", "upper"),
    ]
    cap: Annotated[
        Float[Array, ""],
        Quantity("D_cap", "mean distance to a cap of as many errors", "input units", "exact"),
    ]
    radius: Float[Array, " example"]
    r_opt: Float[Array, ""]
    r_half: Annotated[Float[Array, " example"], quantity("r_half", meaning=_HALF, bound="upper")]
    r_dim: Annotated[
        Float[Array, ""], Quantity("r_d", "median of r_half by the dimension", "input units")
    ]
    r_local: Annotated[
        Float[Array, ""],
        Quantity("r_m", "median of r_half by the estimated dimension", "input units"),
    ]
    dimension: Annotated[
        Float[Array, ""], Quantity("m", "intrinsic dimension by distances to neighbours")
    ]
    correct: Bool[Array, " example"]
    found: Bool[Array, " example"]
    on_sphere: Annotated[
        Float[Array, ""],
        quantity("found", meaning="share of points with an error found on the sphere"),
    ]


class Options(NamedTuple):
    """What is trained, and how it is attacked; recorded with the results."""

    points_per_dim: int = 16
    width: int = 128
    steps: int = 500
    learning_rate: float = 3e-3
    solver: str = "ddn"
    examples: int = 64


def measure(key: Key, shared: tuple[()], options: Options, *, dim: int) -> Cell:
    """Train one network, count its errors, and search the nearest of them."""
    key_data, key_fresh, key_init, key_fit = jax.random.split(key, 4)
    num = options.points_per_dim * dim
    draw = lambda key, num: data.concentric_spheres(key, dim, num, radii=RADII, dtype="float32")
    task, fresh = draw(key_data, num), draw(key_fresh, 2 * FRESH).inputs[::2]
    network = models.mlp((dim,), 1, widths=(options.width,))
    trained = fit(
        key_fit,
        network.apply,
        network.init(key_init),
        task.inputs,
        task.labels,
        steps=options.steps,
        optimizer=optax.adam(options.learning_rate),
    )

    def logits_fn(x):
        return network.apply(trained.params, x)

    # A single output is positive for class 0, the inner sphere.
    error = jnp.mean(jax.vmap(logits_fn)(fresh)[:, 0] <= 0, dtype=fresh.dtype)
    inputs = fresh[: options.examples]
    inner = jnp.zeros(len(inputs), jnp.int32)

    def attack(x):
        search = as_solver(options.solver)
        free = search(logits_fn, x, 0)
        # The nearest ray through an error: its angle from x is that of the nearest error.
        along = search(lambda z: logits_fn(z / norm(z)), x, 0)
        angle = jnp.arcsin(jnp.minimum(along.norm, 1))
        right = free.correct
        chord = jnp.where(along.norm < jnp.inf, 2 * jnp.sin(angle / 2), jnp.nan)
        return free.norm, right, free.found, chord

    radius, right, found, chord = jax.vmap(attack)(inputs)
    nearest = nearest_neighbour(inputs, inner, task.inputs, task.labels)
    dimension = mle_dimension(task.inputs[::2])
    return Cell(
        error=error,
        distance=jnp.nanmean(chord),
        cap=theory.cap_distance(jnp.where(error > 0, error, jnp.nan), dim),
        radius=radius,
        r_opt=jnp.asarray((RADII[1] - RADII[0]) / 2, radius.dtype),
        r_half=nearest.radius,
        r_dim=_half_distance(dim, num // 2),
        r_local=_half_distance(dimension + 1, num // 2),
        dimension=dimension,
        correct=right,
        found=found,
        on_sphere=jnp.mean(jnp.isfinite(chord), dtype=radius.dtype),
    )


def _half_distance(dim: Array | int, num: int) -> Array:
    """Median of half the distance from the inner sphere to the nearest of some points outside."""
    inner, outer = RADII
    # All of them are farther than an angle with probability (1 - share of its cap)^num.
    angle = theory.cap_angle(jnp.asarray(1 - 0.5 ** (1 / num), jnp.float32), dim)
    return jnp.sqrt(inner**2 + outer**2 - 2 * inner * outer * jnp.cos(angle)) / 2


SIZES = {
    "quick": Size({"dim": (16, 64)}, 8, 8),
    "default": Size({"dim": (8, 16, 32, 64, 128)}, 16, 16),
    "full": Size({"dim": (8, 16, 32, 64, 128, 256, 512)}, 64, 16),
}


def check(options, axes):
    """Raise for what cannot be drawn, trained or attacked."""
    as_solver(options.solver)
    check_counts(
        **{
            name: getattr(options, name)
            for name in ("points_per_dim", "width", "steps", "examples")
        }
    )
    check_finite(0, learning_rate=options.learning_rate)
    if min(axes["dim"]) < 3:
        raise ValueError(f"dim must be at least 3, got {min(axes['dim'])}.")


def judge(dataset: xr.Dataset) -> Findings:
    """Compare distances with the bound, radii with the optimal one, and with nearest points."""
    middle = _middle(dataset)
    fits = [
        statistics.exponent(middle["distance"]),  # the share of errors varies with d, too
        statistics.exponent(middle["ratio"], -0.5),
    ]
    failed = statistics.incomplete(middle["ratio"], dataset)
    within = lambda law, name, what: verdicts.agreement(
        law,
        statistics.medians(middle[name]),
        statistics.incomplete(middle[name], dataset),
        axis="dim",
        within=WITHIN,
        what=what,
    )
    found = (
        *verdicts.of_trained(
            within("Errors are as far as those of a cap", "over_cap", "D over D_cap"),
            verdicts.scaling("Ratio falls like 1/√d", fits[1], failed),
        ),
        within("Half the distance to data is optimal", "over_opt", "r_half over r_opt"),
        within("Nearest points by the dimension", "over_dim", "r_half over its law"),
        within("Nearest points by m", "over_local", "r_half over that of m"),
    )
    summary = statistics.median_table(middle, [*middle.data_vars])
    return Findings(dataset, summary, tuple(fit for fit in fits if fit is not None), found)


def _middle(dataset: xr.Dataset) -> xr.Dataset:
    """Medians over the inputs of each network, and quotients of what is compared."""
    keep, share = statistics.usable(dataset)
    radius = dataset["radius"].where(keep).median("example", keep_attrs=True).where(share >= 0.9)
    r_half = dataset["r_half"].median("example", keep_attrs=True)
    names = ["error", "cap", "r_opt", "r_dim", "r_local", "dimension"]
    middle = dataset[names].assign(radius=radius, r_half=r_half)
    middle["distance"] = dataset["distance"].where(dataset["on_sphere"] >= 0.9)
    middle["ratio"] = (radius / dataset["r_opt"]).assign_attrs(quantity("ratio").attrs())
    quotients = {
        "over_cap": ("distance", "cap", "D/D_cap", "mean distance over that of a cap"),
        "over_opt": ("r_half", "r_opt", "r_half/r_opt", "half the distance over the optimal one"),
        "over_dim": ("r_half", "r_dim", "r_half/r_d", "half the distance over its law"),
        "over_local": ("r_half", "r_local", "r_half/r_m", "half the distance over that of m"),
    }
    for name, (upper, lower, symbol, meaning) in quotients.items():
        of = middle[upper] / middle[lower]
        middle[name] = of.assign_attrs(Quantity(symbol, meaning).attrs())
    return middle


def draw(findings: Findings) -> dict[str, Drawing]:
    """Distances beside the bound, radii beside those of nearest points, and their dimension."""
    _, summary, fits, _ = findings
    return {
        "bound": against_axis(
            summary,
            ["distance", "cap"],
            title="Distance to errors on the inner sphere",
            fits=fits,
        ),
        "tightness": against_axis(
            summary,
            ["over_cap"],
            title="Distance to errors over the isoperimetric bound",
            reference=1.0,
        ),
        "error": against_axis(summary, ["error"], title="Share of the inner sphere that is wrong"),
        "scaling": against_axis(
            summary, ["ratio"], title="Fragility ratio against dimension", fits=fits
        ),
        "radii": against_axis(
            summary,
            ["r_half", "r_dim", "r_local", "r_opt", "radius"],
            title="Radii against dimension",
        ),
        "dimension": against_axis(
            summary, ["dimension"], title="Intrinsic dimension by distances to neighbours"
        ),
    }
