"""The paper's own setting: networks trained on all corners of a mixed hypercube read one direction.

All 2^12 points x = A z, z in {−1, +1}^12, A = QR Gaussian; the class is the sign of the last
coordinate of z. Linear networks and ReLU networks, both with one hidden layer, are trained on all
of them and attacked at some. The other point is the twin, which differs in the last coordinate of
z only.

Interpolating linearly means to read the last column of Q and nothing else. So theory says three
things of a trained network: its smallest perturbation lies along its gradient, its gradient along
the last column of Q, and its fragility ratio is that of the interpolator of the same points, ρ,
which is distributed as √Beta(1/2, 11/2) over draws of A. The paper gives a table of these cosines
over 50 runs; this is that table, with intervals, beside the exact law. Cosines are judged by
whether the median run has 0.95 at least. That of perturbation and gradient is asked of the ReLU
networks only: of a linear one it is 1 whatever it has learned.

Where ρ is small the interpolator has a large weight. Does training reach it in a practical number
of steps, or are there networks that are right at every point and less fragile than the law says?
As there may be, verdicts are on the median over runs; how many runs are close, and whether all are
distributed as the law says, stands in the tables.
"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, NamedTuple

import jax
import optax
import xarray as xr
from jaxtyping import Array, Bool, Float

from ... import data, models, statistics, theory
from ..._checks import check_counts, check_finite
from ..._typing import Key
from ...compression import margin_compression
from ...drawing import Drawing, against_axis, distribution, scatter
from ...norms import norm
from ...optimal import twin_displacement
from ...perturbation import Status, as_solver
from ...training import fit
from ...vocabulary import Quantity, quantity
from .. import verdicts
from .._claim import Size, options_of
from .._findings import Findings
from ._law_e import WITHIN

SOURCE = "arXiv:2406.16200, numerical experiments"


class Options(NamedTuple):
    """The task, the networks and their training; the linear ones are attacked in closed form."""

    dim: int = 12
    width: int = 24
    steps: int = 2000
    learning_rate: float = 1e-2  # of Adam at the start, falling to 0 as half a cosine
    examples: int = 16
    solver: str = "minimal"


class Cell(NamedTuple):
    """One network trained on all points, at some of them."""

    cos_attack: Annotated[
        Float[Array, " example"],
        Quantity("|cos(δ, ∇f)|", "cosine between the perturbation δ found and the gradient"),
    ]
    cos_pivot: Annotated[
        Float[Array, " example"],
        Quantity("|cos(∇f, q_d)|", "cosine between the gradient and q_d, the last column of Q"),
    ]
    rho_net: Float[Array, " example"]
    radius: Float[Array, " example"]
    correct: Bool[Array, " example"]
    found: Bool[Array, " example"]
    r_half: Float[Array, ""]
    rho_theory: Float[Array, ""]
    accuracy: Annotated[
        Float[Array, ""], quantity("accuracy", meaning="share of training points classified right")
    ]
    loss: Float[Array, ""]


AXES = {"network": ("linear", "relu")}
SIZES = {
    "quick": Size(AXES, 8, 8),
    "default": Size(AXES, 50, 10),
    "full": Size(AXES, 400, 50),
}
_NETWORKS: dict[str, Callable[..., models.Network]] = {
    "linear": models.deep_linear,
    "relu": models.mlp,
}


def check(options, axes):
    """Raise for networks and solvers that there are not, and for more points than are drawn."""
    unknown = [name for name in axes["network"] if name not in _NETWORKS]
    if unknown:
        raise ValueError(f"network must be linear or relu, got {', '.join(unknown)}.")
    as_solver(options.solver)
    check_counts(width=options.width, steps=options.steps, examples=options.examples)
    check_finite(0, learning_rate=options.learning_rate)
    if not 2 <= options.dim <= 16:
        raise ValueError(f"dim must be from 2 to 16, of all 2^d points, got {options.dim}.")
    if options.examples > 2**options.dim:
        raise ValueError(f"examples must be at most 2^{options.dim}, got {options.examples}.")


def describe(options):
    """The points and the networks."""
    return (
        "The paper's own setting: all corners of a mixed hypercube",
        f"All 2^{options.dim} points x = A z, z in {{−1, +1}}^{options.dim}, A = QR Gaussian; the "
        "class is the sign of the last coordinate of z. Linear and ReLU networks with one hidden "
        f"layer of {options.width} units, {options.steps} steps of full-batch Adam on the squared "
        f"error; attacked at {options.examples} of the points. The twin differs in the last "
        "coordinate of z only.",
    )


def measure(key: Key, shared: tuple[()], options: Options, *, network: str) -> Cell:
    """Train one network on all points, and attack it at some of them."""
    key_data, key_init, key_fit, key_pick = jax.random.split(key, 4)
    task = data.mixed_hypercube(key_data, options.dim, None, dtype="float32")
    model = _NETWORKS[network]((options.dim,), 1, widths=(options.width,))
    schedule = optax.cosine_decay_schedule(options.learning_rate, options.steps)
    trained = fit(
        key_fit,
        model.apply,
        model.init(key_init),
        task.inputs,
        task.labels,
        steps=options.steps,
        optimizer=optax.adam(schedule),
    )
    pick = jax.random.choice(key_pick, 2**options.dim, (options.examples,), replace=False)
    against, towards = models.interpolate_hypercube(task.factors)
    pivot = towards - against  # along q_d, of the length 1/|R_dd|
    search = as_solver("affine" if network == "linear" else options.solver)

    def attack(x, label, code):
        logits_fn = partial(model.apply, trained.params)
        found = search(logits_fn, x, label)
        cosine = partial(margin_compression, logits_fn, x, label)
        twin = twin_displacement(task.factors, code)
        return found, cosine(found.delta), cosine(pivot), cosine(twin), norm(twin) / 2

    attacked = jax.vmap(attack)(task.inputs[pick], task.labels[pick], task.codes[pick])
    found, cos_attack, cos_pivot, rho_net, r_half = attacked
    return Cell(
        cos_attack=cos_attack,
        cos_pivot=cos_pivot,
        rho_net=rho_net,
        radius=found.norm,
        correct=found.correct,
        found=found.status == Status.FOUND,
        r_half=r_half[0],  # the same for every point
        rho_theory=1 / norm(pivot) / r_half[0],
        accuracy=trained.accuracy,
        loss=trained.loss,
    )


COSINE = 0.95  # that counts as one direction: 18 degrees at most


def judge(dataset: xr.Dataset) -> Findings:
    """Judge the two cosines, law B and law E, each on medians over the points of a network."""
    keep, share = statistics.usable(dataset)
    cosines = ["cos_attack", "cos_pivot", "rho_net"]
    middle = dataset[cosines].where(keep).median("example", keep_attrs=True)
    ratio = (dataset["radius"].where(keep) / dataset["r_half"]).median("example")
    middle["ratio_pair"] = ratio.assign_attrs(_RATIO.attrs())
    middle = middle.where(share >= 0.9)
    for name in ("rho_theory", "accuracy"):
        middle[name] = dataset[name]
    middle["over_theory"] = middle["ratio_pair"] / middle["rho_theory"]
    middle["over_theory"].attrs = _OVER_THEORY.attrs()
    law = dict.fromkeys(dataset["network"].values.tolist(), theory.compression(_dim(dataset)))
    names = ["ratio_pair", *cosines, "rho_theory", "over_theory", "accuracy"]
    summary = xr.merge(
        [
            statistics.median_table(middle, names),
            statistics.predictions("network", law, of="ratio_pair"),
            statistics.kolmogorov_smirnov(middle["ratio_pair"], law),
        ],
        join="outer",
    )
    over = middle["over_theory"]
    close = ((over >= 1 / WITHIN) & (over <= WITHIN)).where(over.notnull())
    summary["close"] = close.mean("seed").assign_attrs(_CLOSE.attrs())
    failed = statistics.incomplete(middle["ratio_pair"], dataset)
    agree = partial(verdicts.agreement, incomplete=failed, axis="network", within=WITHIN)
    along = partial(verdicts.at_least, axis="network", least=COSINE, what="cosine")
    of = statistics.medians
    bent = middle["cos_attack"].where(middle["network"] != "linear")
    found = (
        along(
            "ReLU perturbations are along the gradient",
            of(bent),
            [name for name in failed if name != "linear"],
        ),
        along("The gradient is along q_d", of(middle["cos_pivot"]), failed),
        agree("Law B for the median network", of(middle["over_theory"]), what="ratio over ρ"),
        agree(
            "Law E for the median network",
            of(middle["ratio_pair"] / middle["rho_net"]),
            what="ratio over ρ_net",
        ),
    )
    return Findings(dataset, summary, (), verdicts.of_trained(*found))


_RATIO = quantity("ratio_pair", symbol="r_nn/r_half", meaning="ratio to the twin")
_OVER_THEORY = Quantity("(r_nn/r_half)/ρ_theory", "ratio over that of the interpolator; law B: 1")
_CLOSE = Quantity(
    "close", f"share of networks whose ratio is within {WITHIN} of the interpolator's", form="share"
)


def _dim(dataset: xr.Dataset) -> int:
    return options_of(Options, dataset).dim


def draw(findings: Findings) -> dict[str, Drawing]:
    """The table as a figure, the ratios beside their law, and run by run against ρ."""
    dataset, summary, *_ = findings
    keep, _ = statistics.usable(dataset)
    ratio = (dataset["radius"] / dataset["r_half"]).where(keep).median("example")
    ratio = ratio.rename("ratio_pair").assign_attrs(_RATIO.attrs())
    return {
        "cosines": against_axis(
            summary,
            ["cos_attack", "cos_pivot", "rho_net"],
            title="What trained networks read",
            ylabel="absolute cosine",
            reference=1.0,
            log=False,
            note="δ is the smallest perturbation found. Markers at 1 cover one another.",
        ),
        "distribution": distribution(
            ratio,
            summary,
            title="Distribution of the ratio to the twin over runs",
            note="Ratios are upper bounds.",
        ),
        "interpolator": scatter(
            dataset["rho_theory"],
            ratio,
            title="Trained networks against the interpolator of the same points",
            by="network",
            note="Each point is one run, its median over points. Above the line, training has not "
            "reached the large weight that a small ρ takes. Ratios are upper bounds.",
        ),
    }
