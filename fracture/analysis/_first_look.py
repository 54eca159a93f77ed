"""Whether a network, images, labels and bounds belong together, before anything is measured."""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._typing import Apply, Bounds
from ..perturbation import as_logits


def first_look(
    apply: Apply,
    params: Any,
    inputs: Array,
    labels: Array,
    reference_labels: Array,
    bounds: Bounds | None,
    say: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Say how many images are classified right, and warn of what is likely a mistake.

    Parameters
    ----------
    apply, params, inputs, labels, reference_labels, bounds
        As of `fracture.analysis.analyze`.
    say
        Called with the sentence on the accuracy; None for no one.

    Returns
    -------
    dict
        Attributes of a stored analysis: `accuracy` and, one a line, `warnings` if there are any.

    Raises
    ------
    ValueError
        If no image is finite, or the network's logits are at none.
    """
    count = len(labels)
    if not np.isfinite(inputs).reshape(count, -1).all(axis=1).any():
        raise ValueError(f"none of the {count} images is finite.")
    outputs = np.stack([np.asarray(outputs_of(apply, params, x), np.float32) for x in inputs])
    logits = np.asarray(jax.vmap(as_logits)(outputs))
    finite = np.isfinite(logits.max(axis=1))
    if not finite.any():
        raise ValueError(f"the network's logits are finite at none of the {count} images.")
    right = _right(logits, labels)
    if say is not None:
        say(f"{right} of {count} images are classified right (accuracy {right / count:.1%}).")
    # Of few images the outputs may sum to 1 by chance, but hardly at another point as well.
    elsewhere = outputs_of(apply, params, 2 * inputs[int(finite.argmax())])
    scaled = partial(_right_if_scaled, apply, params, inputs, labels)
    found = [
        *_of_accuracy(right, count, logits.shape[1], int((~finite).sum())),
        *_of_scale(inputs, right, scaled),
        *_of_bounds(inputs, bounds),
        *_of_probabilities(np.stack([*outputs[finite], elsewhere])),
        *_of_classes(reference_labels),
    ]
    for message in found:
        warnings.warn(message, stacklevel=3)
    return {"accuracy": right / count} | ({"warnings": "\n".join(found)} if found else {})


@partial(jax.jit, static_argnums=0)
def outputs_of(apply: Apply, params: Any, x: Array) -> Float[Array, "..."]:
    """The network's outputs for one input."""
    return apply(params, x)


def _right(logits: np.ndarray, labels: Array) -> int:
    answers = np.where(np.isfinite(logits.max(axis=1)), logits.argmax(axis=1), -1)
    return int((answers == np.asarray(labels)).sum())


def _right_if_scaled(apply: Apply, params: Any, inputs: Array, labels: Array, scale: float) -> int:
    outputs = [outputs_of(apply, params, x * jnp.asarray(scale, x.dtype)) for x in inputs]
    return _right(np.stack([as_logits(output) for output in outputs]), labels)


def _of_accuracy(right: int, count: int, classes: int, not_finite: int) -> list[str]:
    found = []
    if right <= count / classes:
        found.append(
            f"{right} of {count} images classified right is no more than chance among {classes} "
            "classes: do labels, network and the scale of the images belong together?"
        )
    if not_finite:
        found.append(f"the network's logits are not finite at {not_finite} of {count} images.")
    return found


def _of_scale(inputs: Array, right: int, right_if_scaled: Callable[[float], int]) -> list[str]:
    """Pixels of 0 to 255 for a network of [0, 1], or the reverse, where the answers tell."""
    count, low, high = len(inputs), np.nanmin(inputs), np.nanmax(inputs)
    if low < 0 or high > 255 or right >= 0.9 * count:
        return []
    scale, words = (1 / 255, "divided by 255") if high > 1 else (255.0, "multiplied by 255")
    more = right_if_scaled(scale)
    if more < max(right + 2, right + count / 10, count / 2):
        return []
    return [
        f"pixels lie in [{low:.3g}, {high:.3g}]; were they {words}, {more} instead of {right} of "
        f"{count} images would be classified right."
    ]


def _of_bounds(inputs: Array, bounds: Bounds | None) -> list[str]:
    if bounds is None:
        return []
    points, (lower, upper) = np.asarray(inputs), (np.asarray(bound) for bound in bounds)
    outside = ((points < lower) | (points > upper)).reshape(len(points), -1).any(axis=1).sum()
    low, high = np.nanmin(points), np.nanmax(points)
    seen = f"images lie in [{low:.3g}, {high:.3g}], bounds are {np.min(lower):g}, {np.max(upper):g}"
    if outside:
        return [f"{outside} of {len(points)} images lie outside the bounds: {seen}."]
    if 50 * (high - low) < np.max(upper - lower) < np.inf and high > low:
        return [f"the bounds are more than 50 times as wide as the range of the images: {seen}."]
    return []


def _of_probabilities(outputs: np.ndarray) -> list[str]:
    """A softmax, or the one output of a logistic function."""
    if outputs.min() < 0 or outputs.max() > 1:
        return []
    if outputs.ndim == 2 and outputs.shape[1] > 1:
        if np.abs(outputs.sum(axis=1) - 1).max() > 1e-3:
            return []
        return [
            "the network's outputs sum to 1, as those of a softmax do: where it is sure they do "
            "not change; give its logits."
        ]
    return [
        "the network's one output lies in [0, 1], like a probability: give its logit, which is "
        "positive for class 0 and negative for class 1."
    ]


def _of_classes(labels: Array) -> list[str]:
    if len(np.unique(labels)) > 1:
        return []
    return ["all references are of one class: there is no optimal radius, and no ratio to it."]
