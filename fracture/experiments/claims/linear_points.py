"""Family A: one Gaussian point per class, read by the linear network that interpolates them.

The columns of X are d points in R^d, each a class of its own. Every linear network without biases
that answers the i-th unit vector at the i-th point computes X^-1 x, whatever its depth.
arXiv:2406.16200, Sections 2 and 3.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import xarray as xr
from jaxtyping import Array, Float

from .. import theory
from .._typing import Key
from ..compression import margin_compression
from ..data import gaussian_points
from ..models import interpolate_points
from ..norms import norm
from ..perturbation import SOLVERS, affine_radius
from ..sweeps import Progress, Sweep, Variable, run as run_sweep
from . import _summary, _verdicts
from ._result import Result

NAME = "linear_points"
TITLE = "Family A: one Gaussian point per class, linear interpolator"
DESCRIPTION = (
    "d classes, each a single Gaussian point in d dimensions; the network is the linear map that "
    "sends every point to its class. Pairwise: the boundary to one given other class. Untargeted: "
    "the closest of all boundaries. The optimal classifier is the nearest point."
)
VARIABLES = {
    "r_opt": Variable("optimal radius, given class", "input units"),
    "r_opt_untargeted": Variable("optimal radius, nearest class", "input units"),
    "r_nn": Variable("network radius, given class", "input units"),
    "r_nn_untargeted": Variable("network radius, nearest boundary", "input units"),
    "ratio": Variable("fragility ratio, pairwise"),
    "ratio_untargeted": Variable("fragility ratio, untargeted"),
    "ratio_untargeted_theory": Variable("fragility ratio, untargeted, drawn from theory"),
    "rho": Variable("compression ratio of the displacement"),
}


class Cell(NamedTuple):
    """What one draw of the points gives, for its first point (against the second: pairwise)."""

    r_opt: Float[Array, ""]
    r_opt_untargeted: Float[Array, ""]
    r_nn: Float[Array, ""]
    r_nn_untargeted: Float[Array, ""]
    ratio: Float[Array, ""]
    ratio_untargeted: Float[Array, ""]
    ratio_untargeted_theory: Float[Array, ""]  # an independent draw, by triangular factors
    rho: Float[Array, ""]


def cell(key: Key, solver: str, *, dim: int) -> Cell:
    """Draw d points, interpolate them, and measure at the first of them."""
    key, key_theory = jax.random.split(key)
    inputs = gaussian_points(key, dim).inputs
    weight = interpolate_points(inputs)

    def logits_fn(x):
        return weight @ x

    x, displacements = inputs[0], inputs[1:] - inputs[:1]
    if solver == "affine":  # the weights are known: no need to differentiate for them
        closed_form = partial(affine_radius, weight, jnp.zeros_like(x), x, 0)
        r_nn, r_nn_untargeted = closed_form(target=1).radius, closed_form().radius
    else:
        search = partial(SOLVERS[solver], logits_fn, x, 0)
        r_nn, r_nn_untargeted = search(target=1).norm, search().norm
    r_opt = norm(displacements[0]) / 2
    r_opt_untargeted = jnp.min(jax.vmap(norm)(displacements)) / 2
    return Cell(
        r_opt=r_opt,
        r_opt_untargeted=r_opt_untargeted,
        r_nn=r_nn,
        r_nn_untargeted=r_nn_untargeted,
        ratio=r_nn / r_opt,
        ratio_untargeted=r_nn_untargeted / r_opt_untargeted,
        ratio_untargeted_theory=theory.sample_points(key_theory, 1, dim, dtype="float32").ratio[0],
        rho=margin_compression(logits_fn, x, 0, displacements[0], other=1),
    )


def run(
    *,
    dims: Sequence[int] = (8, 16, 32, 64, 128, 256, 512),
    seeds: int | None = None,
    solver: str = "affine",
    root: int = 0,
    out: Path | None = None,
    progress: Progress | None = None,
) -> Result:
    """Sweep the dimension; 1,024 seeds to d = 128 and 256 beyond, unless `seeds` is given."""
    if min(dims) < 2:
        raise ValueError(f"dims must be at least 2 (a class needs another one), got {min(dims)}.")
    sweep = Sweep(
        name=NAME,
        cell=lambda key, shared, *, dim: cell(key, solver, dim=dim),
        dims=tuple(dims),
        seeds=tuple(seeds or (1024 if dim <= 128 else 256) for dim in dims),
        chunks=tuple(max(16, min(1024, 2**17 // dim**2 * 16)) for dim in dims),
        variables=VARIABLES,
        options={"solver": solver},
        root=root,
    )
    dataset = run_sweep(sweep, out=out, progress=progress)
    return judge(dataset.assign_attrs(title=TITLE, description=DESCRIPTION, judge=NAME))


def judge(dataset: xr.Dataset) -> Result:
    """Summarise a stored sweep and compare it with the laws of the pairwise and untargeted ratio.

    The pairwise law is exact. The untargeted one has no closed form: each seed also holds one
    independent draw of it, and the two samples are compared.
    """
    pairwise = {int(dim): theory.compression(int(dim)) for dim in dataset["dim"]}
    drawn = _summary.by_dim(dataset["ratio_untargeted_theory"])
    untargeted = {dim: theory.empirical(values) for dim, values in drawn.items()}
    tests = _summary.kolmogorov_smirnov(dataset["ratio"], pairwise)
    tests_untargeted = _summary.two_samples(dataset["ratio_untargeted"], drawn)
    summary = xr.merge(
        [
            _summary.median_table(dataset, [n for n in VARIABLES if not n.endswith("theory")]),
            _summary.predictions(pairwise, "predicted fragility ratio, pairwise"),
            _summary.predictions(untargeted, "sampled fragility ratio, untargeted", "untargeted"),
            tests,
        ],
        join="outer",
    )
    fit = _summary.exponent(
        dataset["ratio"], "pairwise ratio", expected=_summary.law_exponent(pairwise)
    )
    fit_untargeted = _summary.exponent(
        dataset["ratio_untargeted"], "untargeted ratio", against=drawn
    )
    failed = _summary.incomplete(dataset["ratio"], dataset)
    failed_untargeted = _summary.incomplete(dataset["ratio_untargeted"], dataset)
    scale = _summary.scale(dataset["ratio"], pairwise)
    scale_untargeted = _summary.scale(dataset["ratio_untargeted"], against=drawn)
    verdicts = (
        _verdicts.exact_law(
            "Law A, pairwise: ratio ~ √Beta(1/2, (d−1)/2)", fit, scale, tests, failed
        ),
        _verdicts.exact_law(
            "Law A, untargeted (sampled)",
            fit_untargeted,
            scale_untargeted,
            tests_untargeted,
            failed_untargeted,
        ),
    )
    fits = tuple(fit for fit in (fit, fit_untargeted) if fit is not None)
    return Result(dataset, summary, fits, verdicts)
