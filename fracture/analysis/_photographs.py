"""A network for ImageNet on photographs: every measurement, one image after the other."""

import contextlib
import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import scipy.stats
import xarray as xr

from .._settings import settings, under
from .._typing import Apply, Order
from ..perturbation import Perturbation, Solver, Status, as_solver, minimal, solve, solver_name
from ..statistics import LEAST_SEEDS, median
from ..sweeps import Point, Progress, chunk_store, environment
from ..vocabulary import quantity
from ._analyze import analyze
from ._first_look import first_look, outputs_of
from ._identity import digest, program
from ._images import check
from ._labelled import Images, labelled

BOX = (0.0, 1.0)


def of_photographs(
    apply: Apply,
    params: Any,
    queries: Images,
    *,
    names: Sequence[str],
    model: str,
    examples: int | None = None,
    stages: Callable[[Any], Sequence[Callable[..., Any]]] | None = None,
    orders: Sequence[Order] = (2, np.inf),
    solver: str | Solver = minimal,
    num_classes: int | None = 50,
    layer_classes: int | None = None,
    chunk_size: int = 10,
    out: Path | None = None,
    say: Callable[[str], None] | None = None,
    progress: Progress | None = None,
    **solver_options: Any,
) -> xr.Dataset:
    """Analyse a network at photographs, which are each other's references.

    Parameters
    ----------
    apply, params, stages
        The network, as for `fracture.analysis.analyze`.
    queries
        Images with pixels in [0, 1], and labels.
    examples
        How many of them are analysed, from the first; None for all.
    names
        Name of each class.
    model
        What to call the network.
    orders
        Norms in which the smallest perturbation is searched: 2 first; of the others, the radius
        alone is measured.
    solver, **solver_options
        How it is searched, as for `fracture.analysis.analyze`; options such as `effort="low"`.
    num_classes, layer_classes, chunk_size
        As for `fracture.analysis.analyze`.
    out
        Folder in which finished images are kept; those that are there already are not repeated.
    say
        Called with the accuracy before anything is measured.
    progress
        Called before and after every image.

    Raises
    ------
    ValueError, TypeError
        As `analyze` does; also where the network fails on an image, a label is none of its
        classes, fewer than two classes are named, or `out` holds images of other options.
    """
    check(apply, params, queries)
    solver = as_solver(solver)
    classes = jax.eval_shape(apply, params, queries.inputs[0]).shape
    if classes != (len(names),):
        raise ValueError(
            f"{model} has {classes[0] if classes else 1} classes, but {len(names)} are named."
        )
    total = min(examples or len(queries.labels), len(queries.labels))
    analysed = Images(*(array[:total] for array in queries))
    seen = first_look(apply, params, *analysed, queries.labels, BOX, say)
    options = {
        "model": model,
        "ord": "2",
        "orders": [str(order) for order in orders],
        "bounds": str(BOX),
        "solver": solver_name(solver),
        **solver_options,
        "num_classes": num_classes,
        "layer_classes": layer_classes,
    }
    provenance = {
        "experiment": "photographs",
        "options": json.dumps(options),
        "data": digest(queries),
        "network": digest(params, program(apply, params, stages, queries.inputs[0])),
        **environment(),
        "backend": jax.default_backend(),  # images are analysed one by one, on one device
    }
    search = {"solver": solver, **solver_options}
    reading = {
        "stages": stages,
        "num_classes": num_classes,
        "layer_classes": layer_classes,
        "chunk_size": chunk_size,
    }
    parts: list[xr.Dataset] = []
    point: Point = {"dim": queries.inputs[0].size}
    with contextlib.nullcontext() if out is None else chunk_store(out, provenance) as store:
        for at in range(total):
            if progress is not None:
                progress(f"{model}, image {at + 1}{': compiling' * (not parts)}", at, total)
            part = None if store is None else store.read(point, at)
            if part is None:
                part = _one(apply, params, queries, at, orders, search, reading)
                if store is not None:
                    store.write(point, at, part)
            parts.append(part)
    if progress is not None:
        progress(model, total, total)
    layers = min(layer_classes or num_classes or len(names), len(names))
    dataset = xr.concat(parts, "example", data_vars="minimal", coords="minimal")
    for field in ("label", "adversarial_label", "other"):
        named = ["" if at < 0 else names[at] for at in dataset[field].values]
        dataset[f"{field}_name"] = ("example", np.array(named, dtype="U"))
    return dataset.assign_attrs(
        provenance | seen,
        title=f"{model} on {total} photographs",
        description=" ".join(_sentences(dataset, queries.inputs[0].size, layers)),
    )


def _solved(here: dict[str, Any], *args: Any, **options: Any) -> Perturbation:
    """`solve` in another thread, under the settings of this one."""
    with under(here):
        return solve(*args, **options)


def _one(
    apply: Apply,
    params: Any,
    queries: Images,
    at: int,
    orders: Sequence[Order],
    search: dict[str, Any],
    reading: dict[str, Any],
) -> xr.Dataset:
    """All measurements of one image."""
    here = Images(queries.inputs[at : at + 1], queries.labels[at : at + 1])
    alone: dict[str, Any] = {"bounds": BOX, "batch_size": 1, **search}
    searched = partial(_solved, settings(), apply, params, *here, **alone)
    # Programs that compile at the same time: each does so on one core.
    pool = ThreadPoolExecutor()
    try:
        futures = {order: pool.submit(searched, ord=order) for order in orders if order != 2}
        result = analyze(apply, params, *here, *queries, **(alone | reading))
        others = {order: future.result() for order, future in futures.items()}
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    dataset = labelled(result, here)
    for order, found in others.items():
        suffix = f"_{order:g}"
        name = f"r_{'∞' if np.isinf(order) else order}"
        said = f"smallest ℓ{name[2:]} perturbation found that changes the network's answer"
        attrs = quantity("radius", symbol=name, meaning=said).attrs()
        dataset[f"radius{suffix}"] = ("example", found.norm, attrs)
        dataset[f"status{suffix}"] = ("example", found.status)
        dataset[f"adversarial_label{suffix}"] = ("example", found.adversarial_label)
    x, fooled = here.inputs[0], result.adversarial_label[0]
    before, after = (jax.nn.softmax(outputs_of(apply, params, z)) for z in (x, x + result.delta[0]))
    dataset["probability"] = ("example", before[here.labels])
    chance = jnp.where(fooled < 0, jnp.nan, after[fooled])
    dataset["adversarial_probability"] = ("example", chance[None])
    return dataset


def _sentences(dataset: xr.Dataset, dim: int, layers: int) -> list[str]:
    """What was found, in words, with intervals."""
    found = dataset["status"].values == Status.FOUND
    right = dataset["status"].values != Status.MISCLASSIFIED
    total = dataset.sizes["example"]
    said = [f"{right.sum()} of {total} images are classified right; pixels lie in [0, 1]."]
    said.append(
        "The optimal radius is an upper bound: half the distance to the nearest of these images "
        f"of another class. Spectra are of the differences of {dataset.sizes['rank'] + 1} logits, "
        f"layers of {layers}."
    )
    if not found.any():
        return said
    radius, ratio = (_median(dataset[name].values[found]) for name in ("radius", "ratio"))
    intervals = " with 95 % intervals" if found.sum() >= LEAST_SEEDS else ""
    said.append(
        f"Medians{intervals}: l2 radius {radius}, fragility ratio {ratio}; a "
        f"random direction of d = {dim:,} has the median 0.67/√d = {0.6745 * dim**-0.5:.2g}."
    )
    if "radius_inf" in dataset:
        largest = _median(255 * dataset["radius_inf"].values[found])
        said.append(f"The l∞ radius is {largest} of 255 steps of grey.")
    pair = (dataset["status_pair"].values == Status.FOUND) & right
    seen = (dataset["rho_net"] * dataset["box"]).values[pair]
    needed = dataset["ratio_pair"].values[pair]
    positive = np.isfinite(seen) & (seen > 0)
    if positive.sum() > 2:
        fit = scipy.stats.linregress(np.log(seen[positive]), np.log(needed[positive]))
        factor = _median(needed[positive] / seen[positive])
        said.append(
            f"Law E, that the pairwise ratio is ρ_net, times β for the range of the pixels: it is "
            f"{factor} times that; over the images the logarithms correlate by {fit.rvalue:.2f}, "
            f"with slope {fit.slope:.2f} ± {fit.stderr:.2f}."
        )
    return said


def _median(values: np.ndarray) -> str:
    """The median, with its interval where there are enough values for one."""
    middle = median(np.sort(values[np.isfinite(values)]))
    return str(middle) if np.isfinite(middle.low) else f"{middle.value:.3g}"
