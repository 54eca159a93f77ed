"""One network at a set of images: do they belong together, and every measurement per image."""

import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import xarray as xr

from .. import __version__, data, models
from .._checks import require_classes
from .._typing import Bounds, Order
from ..certificates import margins
from ..sweeps import Progress
from ..training import fit
from ._analyze import Analysis, analyze
from ._first_look import first_look
from ._labelled import Images, labelled
from ._own_network import failure

CHUNKS, LEAST = 8, 8  # of the images: how many steps the bar has, each of how many images


def of_digits(
    *,
    examples: int = 64,
    ord: Order = 2,
    effort: str = "medium",
    certify: bool = False,
    root: int = 0,
    say: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Train a network with two hidden layers on the shipped digits and analyse it on test digits.

    8,000 digits are trained on and serve as references; the first `examples` of the other 2,000 are
    analysed within the pixel range [0, 1], and certified if asked for. `say` and `progress` as of
    `of_images`.
    """
    train, test = data.split(data.digits(), 8000)
    if not 1 <= examples <= len(test.labels):
        raise ValueError(f"examples must be 1 to {len(test.labels):,}, got {examples}.")
    network = models.mlp((28, 28, 1), 10, widths=(128, 128))
    key_init, key_fit = jax.random.split(jax.random.key(root))
    optimizer = optax.adam(1e-3)
    train_network = jax.jit(
        lambda key, params, inputs, labels: fit(
            key,
            network.apply,
            params,
            inputs,
            labels,
            loss="cross_entropy",
            steps=600,
            batch_size=128,
            optimizer=optimizer,
        )
    )
    if progress is not None:
        progress("training a network on digits", 0, examples)
    trained = train_network(key_fit, network.init(key_init), train.inputs, train.labels)
    logits = jax.vmap(network.apply, (None, 0))(trained.params, test.inputs)
    accuracy = float(jnp.mean(logits.argmax(-1).astype(jnp.int32) == test.labels))
    dataset = of_images(
        network.apply,
        trained.params,
        Images(test.inputs[:examples], test.labels[:examples]),
        Images(train.inputs, train.labels),
        stages=network.stages,
        ord=ord,
        bounds=(0.0, 1.0),
        effort=effort,
        certify=certify,
        say=say,
        progress=progress,
    )
    return dataset.assign_attrs(
        title="A network with two hidden layers on real digits",
        description=(
            f"Trained on the spot on 8,000 digits of 28 × 28 pixels; test accuracy {accuracy:.1%}. "
            "Pixels lie in [0, 1]. The optimal radius is an upper bound: half the distance to the "
            "nearest of the 8,000 training digits of another class."
        ),
        test_accuracy=accuracy,
        root=root,
    )


def of_images(
    apply: Callable[..., Any],
    params: Any,
    queries: Images,
    references: Images,
    *,
    stages: Callable[[Any], Sequence[Callable[..., Any]]] | None = None,
    ord: Order = 2,
    bounds: Bounds | None = None,
    effort: str = "medium",
    certify: bool = False,
    say: Callable[[str], None] | None = None,
    progress: Progress | None = None,
) -> xr.Dataset:
    """Analyse a network at some images, with others as the optimal classifier's references.

    `say` is called with the accuracy before anything is measured, `progress` before and after each
    chunk of the images.

    Raises
    ------
    ValueError, TypeError
        As `fracture.analysis.analyze`; also where the network fails on an input of their shape, or
        a label is none of its classes, or no image or answer is finite; or, with `certify`, where
        it has a primitive without certified bounds.
    """
    check(apply, params, queries, references)
    if certify:
        _check_certifiable(apply, params, queries.inputs[0])
    seen = first_look(apply, params, *queries, references.labels, bounds, say)
    search = {"ord": ord, "bounds": bounds, "effort": effort, "certify": certify}
    measure = partial(analyze, stages=stages, **search)
    result = _in_chunks(lambda some: measure(apply, params, *some, *references), queries, progress)
    dataset = labelled(result, queries)
    if bounds is None:
        dataset = dataset.drop_vars("box")  # 1 everywhere
    options = {"ord": str(ord), "bounds": str(bounds), "effort": effort, "certify": certify}
    return dataset.assign_attrs(
        title="One network on a set of images",
        description=(
            f"{len(queries.labels):,} images. The optimal radius is an upper bound: half the "
            f"distance to the nearest of {len(references.labels):,} references of another class."
        ),
        options=json.dumps(options),
        fracture=__version__,
        jax=jax.__version__,
        **seen,
    )


def _in_chunks(
    measure: Callable[[Images], Analysis], queries: Images, progress: Progress | None
) -> Analysis:
    """The analysis of all images, an eighth of them at a time, by one program."""
    count = len(queries.labels)
    size = min(count, max(LEAST, -(-count // CHUNKS)))
    parts: list[Analysis] = []
    for start in range(0, count, size):
        if progress is not None:
            progress(f"analysing images{', compiling' * (not parts)}", start, count)
        at = np.minimum(np.arange(start, start + size), count - 1)  # the last one fills the last
        parts.append(jax.device_get(measure(Images(*(array[at] for array in queries)))))
    if progress is not None:
        progress("analysing images", count, count)
    return jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *parts)


def check(
    apply: Callable[..., Any], params: Any, queries: Images, references: Images | None = None
) -> None:
    """Raise unless the network maps one of the images to logits, of which all labels have one."""
    shape = queries.inputs.shape[1:]
    try:
        logits = jax.eval_shape(apply, params, queries.inputs[0])
    except Exception as error:  # the network is the user's: whatever it raises belongs to them
        raise failure("the network", shape, error) from error
    outputs = getattr(logits, "shape", None)
    if outputs is None or len(outputs) > 1 or outputs == (0,):
        raise ValueError(
            f"the network must map one input of shape {shape} to logits of shape (K,), got "
            f"{outputs if outputs is not None else type(logits).__name__}."
        )
    if not jnp.issubdtype(logits.dtype, jnp.floating):
        raise TypeError(f"the network must return floating-point logits, got {logits.dtype}.")
    classes = max(2, outputs[0] if outputs else 1)
    require_classes(queries.labels, classes)
    if references is not None:
        require_classes(references.labels, classes, "reference_labels")


def _check_certifiable(apply: Callable[..., Any], params: Any, x: jax.Array) -> None:
    """Raise unless there are bounds for every primitive of the network: a trace, no more."""
    bounds_of = lambda params, x: margins(partial(apply, params), x, 0, 1.0, method="interval")
    try:
        jax.eval_shape(bounds_of, params, x)
    except NotImplementedError as error:
        raise ValueError(f"the network cannot be certified: {error}") from error
