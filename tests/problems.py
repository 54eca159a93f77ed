"""Classifiers whose minimal perturbations are known, for every test of a solver.

References are computed in NumPy float64, independently of the package. Parameters are arguments,
so that one compilation serves every scale.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np


class Problem(NamedTuple):
    name: str
    apply: Callable  # apply(params, x) -> logits
    params: tuple
    inputs: np.ndarray
    labels: np.ndarray
    bounds: tuple | None
    ord: float
    radius: np.ndarray  # float64, the infimum of the norm
    rounding: np.ndarray | float = 0.0  # of the radius, where the dtype limits the margin


def affine(num_classes, ord, boxed, dtype, *, dim=12, num=16, seed=0, scale=1.0, input_scale=1.0):
    """Random affine logits; points inside [-1, 1], labelled by the network."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(num_classes, dim)).astype(dtype) * dtype(scale / input_scale)
    bias = rng.normal(size=num_classes).astype(dtype) * dtype(scale)
    inputs = rng.uniform(-1, 1, (num, dim)).astype(dtype) * dtype(input_scale)
    logits = inputs.astype(float) @ weight.T.astype(float) + bias.astype(float)
    labels = logits.argmax(1)
    if boxed:  # some points at the bounds
        inputs[:, :3] = np.sign(inputs[:, :3]) * dtype(input_scale)
        logits = inputs.astype(float) @ weight.T.astype(float) + bias.astype(float)
        labels = logits.argmax(1)
    bounds = (dtype(-input_scale), dtype(input_scale)) if boxed else None
    radius = [
        affine_radius(weight, bias, x, y, ord, bounds) for x, y in zip(inputs, labels, strict=True)
    ]
    terms = np.abs(inputs.astype(float)) @ np.abs(weight.T.astype(float)) + np.abs(bias)
    dual = {1: np.inf, 2: 2, np.inf: 1}[ord]
    steepness = min(
        np.linalg.norm(weight[i].astype(float) - weight[j], dual)
        for i in range(num_classes)
        for j in range(i)
    )
    rounding = 4 * np.finfo(dtype).eps * terms.max(1) / steepness
    name = f"affine-{num_classes}-{ord}-{boxed}-{np.dtype(dtype).name}"
    return Problem(
        name, affine_apply, (weight, bias), inputs, labels, bounds, ord, np.array(radius), rounding
    )


def affine_apply(params, x):
    weight, bias = params
    return jnp.sum(weight * x[None], axis=1) + bias


def affine_radius(weight, bias, x, label, ord, bounds):
    """Minimum over the classes, each in closed form or by sorting, in float64."""
    weight, bias, x = (np.asarray(a, float) for a in (weight, bias, x))
    radii = []
    for j in set(range(len(bias))) - {int(label)}:
        w = weight[label] - weight[j]
        excess = w @ x + bias[label] - bias[j]
        if bounds is None:
            dual = {1: np.inf, 2: 2, np.inf: 1}[ord]
            radii.append(max(excess, 0) / np.linalg.norm(w, dual))
        else:
            radii.append(_boxed(max(excess, 0), w, float(bounds[0]) - x, float(bounds[1]) - x, ord))
    return min(radii)


def _boxed(excess, w, low, high, ord):
    room = np.where(w > 0, -low, high)  # how far each coordinate may go downhill
    gain = np.abs(w)
    if excess > gain @ room:
        return np.inf
    if ord == 1:  # fractional knapsack, sorted
        order = np.argsort(-gain)
        before = np.concatenate([[0], np.cumsum((gain * room)[order])[:-1]])
        left = np.maximum(excess - before, 0) / np.maximum(gain[order], 1e-300)
        return np.minimum(left, room[order]).sum()
    # All move at their rates until stopped one by one: the gain is the least of lines in time.
    rate = gain if ord == 2 else np.ones_like(gain)
    order = np.argsort(room / np.maximum(rate, 1e-300))
    stopped = np.concatenate([[0], np.cumsum((gain * room)[order])[:-1]])
    slope = np.cumsum((gain * rate)[order][::-1])[::-1]
    time = np.max((excess - stopped) / np.maximum(slope, 1e-300))
    return np.linalg.norm(np.minimum(time * rate, room), ord)


def warped(ord, dtype, *, dim=8, num=16, seed=1):
    """One output f + f^3 / 10 with f affine: the boundary of f, with margins far from linear."""
    rng = np.random.default_rng(seed)
    weight, bias = rng.normal(size=dim).astype(dtype), dtype(0.3)
    inputs = rng.normal(size=(num, dim)).astype(dtype)
    f = inputs.astype(float) @ weight.astype(float) + float(bias)
    dual = {1: np.inf, 2: 2, np.inf: 1}[ord]
    radius = np.abs(f) / np.linalg.norm(weight.astype(float), dual)

    def apply(params, x):
        f = jnp.sum(params[0] * x) + params[1]
        return f + f**3 / 10

    labels = (f < 0).astype(int)
    return Problem(f"warped-{ord}", apply, (weight, bias), inputs, labels, None, ord, radius)


def ball(ord, dtype, *, dim=6, num=16, seed=2):
    """Class 0 inside the sphere of radius 2 around 0, class 1 outside; points inside."""
    rng = np.random.default_rng(seed)
    inputs = rng.uniform(-0.6, 0.6, (num, dim)).astype(dtype)
    x = np.abs(inputs.astype(float))
    lack = 4 - (x**2).sum(1)
    if ord == 2:
        radius = 2 - np.sqrt((x**2).sum(1))
    elif ord == 1:  # all of it along the largest coordinate
        radius = np.sqrt(x.max(1) ** 2 + lack) - x.max(1)
    else:
        total = x.sum(1)
        radius = (np.sqrt(total**2 + dim * lack) - total) / dim
    apply = lambda params, x: jnp.stack([params, jnp.sum(x**2)])
    labels = np.zeros(num, int)
    return Problem(f"ball-{ord}", apply, dtype(4), inputs, labels, None, ord, radius)
