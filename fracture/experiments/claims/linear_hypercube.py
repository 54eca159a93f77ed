"""Family B: a mixed hypercube, read by the linear network that recovers the last coordinate.

x = A z with z uniform on {-1, +1}^d and A a product of `layers` Gaussian matrices; the class is the
sign of z_d. The network computes z_d and so reads a single direction.
arXiv:2406.16200, Sections 4 and 5.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import xarray as xr
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from .. import theory
from .._typing import Key
from ..compression import margin_compression
from ..data import mixed_hypercube
from ..models import interpolate_hypercube
from ..norms import norm
from ..optimal import hypercube_radius
from ..perturbation import SOLVERS
from ..sweeps import Progress, Sweep, Variable, run as run_sweep
from . import _summary, _verdicts
from ._result import Result

NAME = "linear_hypercube"
ROUNDING = 0.01  # of a typical radius, which the rounding of a point may change it by
TITLE = "Family B: mixed hypercube, linear interpolator"
DESCRIPTION = (
    "2^d points x = A z, z in {−1, +1}^d, A a product of Gaussian matrices; the class is the sign "
    "of the last coordinate of z, which the network computes linearly. Twin point: the one that "
    "differs in the last coordinate only. Nearest point: the nearest of all points of the "
    "other class, found exactly to d = 40."
)
LARGEST_EXACT = 40
VARIABLES = {
    "r_opt": Variable("optimal radius, twin point", "input units"),
    "r_opt_untargeted": Variable("optimal radius, nearest point", "input units"),
    "r_nn": Variable("network radius", "input units"),
    "ratio": Variable("fragility ratio, twin point"),
    "ratio_untargeted": Variable("fragility ratio, nearest point"),
    "rho": Variable("compression ratio of the displacement"),
    "proven": Variable("nearest point proven to be the nearest"),
}


class Cell(NamedTuple):
    """What one draw of the mixing gives, for one of its points."""

    r_opt: Float[Array, ""]
    r_opt_untargeted: Float[Array, ""]  # NaN beyond `LARGEST_EXACT` dimensions
    r_nn: Float[Array, ""]
    ratio: Float[Array, ""]
    ratio_untargeted: Float[Array, ""]
    rho: Float[Array, ""]  # NaN, as r_opt_untargeted, where points are not `resolved`
    proven: Float[Array, ""]  # 1 where the search for the nearest point ended, else 0


def cell(key: Key, solver: str, layers: int, *, dim: int) -> Cell:
    """Draw one mixing and one point, and measure there."""
    task = mixed_hypercube(key, dim, 1, layers=layers)
    weight = interpolate_hypercube(task.factors)

    def logits_fn(x):
        return weight @ x

    x, label, code = task.inputs[0], task.labels[0], task.codes[0]
    displacement = twin_displacement(task.factors, code)
    exact = resolved(dim, layers, x.dtype)
    if solver == "affine":
        # The margin is |z_d| = 1 at every point. At x as it is stored it would be another one: the
        # entries of x grow like d^(L/2), and their rounding moves x across the boundary.
        r_nn = 1 / norm(weight[1] - weight[0])
    else:
        r_nn = SOLVERS[solver](logits_fn, x, label).norm
    r_opt = norm(displacement) / 2
    if exact and dim <= LARGEST_EXACT:
        # A vmapped search would make all lanes wait for the slowest: one after the other.
        search = jax.custom_batching.sequential_vmap(hypercube_radius)
        optimum = search(task.factors, code)
        r_opt_untargeted, proven = optimum.radius, optimum.proven.astype(r_opt.dtype)
    else:
        r_opt_untargeted = proven = jnp.full_like(r_opt, jnp.nan)
    return Cell(
        r_opt=r_opt,
        r_opt_untargeted=r_opt_untargeted,
        r_nn=r_nn,
        ratio=r_nn / r_opt,
        ratio_untargeted=r_nn / r_opt_untargeted,
        rho=(
            margin_compression(logits_fn, x, label, displacement)
            if exact
            else jnp.full_like(r_opt, jnp.nan)
        ),
        proven=proven,
    )


def resolved(dim: int, layers: int, dtype: DTypeLike) -> bool:
    """Whether points as stored are as far from the boundary as those of theory.

    Rounding moves a point by about ε d^(L/2) along the direction that is read. The radius is a
    product of L independent |N(0, 1)|, whose geometric mean is exp(-(γ + log 2) / 2) = 0.53.
    """
    moved = float(jnp.finfo(dtype).eps) * dim ** (layers / 2)
    return moved <= ROUNDING * math.exp(-layers * (np.euler_gamma + math.log(2)) / 2)


def require_resolved(dims: Sequence[int], layers: int, dtype: DTypeLike) -> None:
    """Raise where what is measured at points as stored would be their rounding."""
    lost = [dim for dim in dims if not resolved(dim, layers, dtype)]
    if lost:
        name = jnp.dtype(dtype).name
        where = ", ".join(map(str, lost))
        raise ValueError(
            f"{layers} mixing layers at dims {where} cannot be measured in {name}: rounding moves "
            f"a point by ε d^(L/2), not small against its distance from the boundary. Choose fewer "
            "layers, smaller dims"
            + (
                ", or float64 (jax.config.update('jax_enable_x64', True))."
                if name == "float32" and jnp.zeros(()).dtype == "float32"
                else "."
            )
        )


def twin_displacement(
    factors: Float[Array, "layers d d"], code: Float[Array, " d"]
) -> Float[Array, " d"]:
    """Way from x = A z to its twin, the point with the last coordinate flipped: -2 z_d A e_d."""
    displacement = jnp.zeros_like(code).at[-1].set(-2 * code[-1])
    for factor in factors:
        displacement = factor @ displacement
    return displacement


def run(
    *,
    dims: Sequence[int] = (8, 16, 32, 64, 128, 256, 512),
    seeds: int | None = None,
    solver: str = "affine",
    layers: int = 1,
    root: int = 0,
    out: Path | None = None,
    progress: Progress | None = None,
) -> Result:
    """Sweep the dimension; 1,024 seeds to d = 128 and 256 beyond, unless `seeds` is given."""
    if min(dims) < 2:
        raise ValueError(f"dims must be at least 2 (one to mix with the label), got {min(dims)}.")
    if layers < 1:
        raise ValueError(f"layers must be at least 1, got {layers}.")
    if solver != "affine":
        require_resolved(dims, layers, jnp.result_type(float))
    sweep = Sweep(
        name=NAME,
        cell=lambda key, shared, *, dim: cell(key, solver, layers, dim=dim),
        dims=tuple(dims),
        seeds=tuple(seeds or (1024 if dim <= 128 else 256) for dim in dims),
        chunks=tuple(max(16, min(1024, 2**17 // dim**2 * 16)) for dim in dims),
        variables=VARIABLES,
        options={"solver": solver, "layers": layers},
        root=root,
    )
    dataset = run_sweep(sweep, out=out, progress=progress)
    return judge(
        dataset.assign_attrs(
            title=TITLE if layers == 1 else f"{TITLE}, {layers} mixing layers",
            description=DESCRIPTION,
            judge=NAME,
            layers=layers,
        )
    )


def judge(dataset: xr.Dataset) -> Result:
    """Summarise a stored sweep and compare it with the exact law of the ratio."""
    layers = int(dataset.attrs["layers"])
    if layers == 1:
        laws = {int(dim): theory.compression(int(dim)) for dim in dataset["dim"]}
    else:  # no closed form: many draws of the triangular factors
        key = jax.random.key(0)
        laws = {
            int(dim): theory.mixing_compression(key, int(dim), layers, num=2**16)
            for dim in dataset["dim"]
        }
    tests = _summary.kolmogorov_smirnov(dataset["ratio"], laws)
    proven = {dim: values.mean() for dim, values in _summary.by_dim(dataset["proven"]).items()}
    summary = xr.merge(
        [
            _summary.median_table(dataset, [name for name in VARIABLES if name != "proven"]),
            _summary.per_dim(proven=(proven, "share of nearest points proven")),
            _summary.predictions(
                laws, f"{'predicted' if layers == 1 else 'sampled'} fragility ratio, twin point"
            ),
            tests,
        ],
        join="outer",
    )
    pairwise = _summary.exponent(
        dataset["ratio"], "ratio, twin point", expected=_summary.law_exponent(laws)
    )
    nearest = _summary.exponent(dataset["ratio_untargeted"], "ratio, nearest point")
    fits = tuple(fit for fit in (pairwise, nearest) if fit is not None)
    name = "Law B: ratio ~ √Beta(1/2, (d−1)/2)" if layers == 1 else f"Law C, {layers} layers"
    failed = _summary.incomplete(dataset["ratio"], dataset)
    scale = _summary.scale(dataset["ratio"], laws)
    verdict = _verdicts.exact_law(name, pairwise, scale, tests, failed)
    return Result(dataset, summary, fits, (verdict,))
