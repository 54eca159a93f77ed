"""Perturbations checked again in double precision, independently of how they were found."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Bool, Float, PyTree

from .._checks import as_labels
from .._network import takes_network
from .._typing import Apply, Bounds, Labels, Order
from ..batching import in_chunks
from ..logits import margin
from ..norms import as_number, broadcast_bounds, dual_order
from ._result import Perturbation
from ._widen import in_float64

CHUNK = 256  # inputs evaluated at a time


class Verification(NamedTuple):
    """What float64 says about a batch of perturbations; NumPy arrays.

    Attributes
    ----------
    confirmed
        Found, inside the bounds, and the margin there is negative.
    norm
        Norm of `delta`, summed in float64; inf where nothing was found.
    margin
        Of the label at `x + delta`, against the target where there is one.
    """

    confirmed: Bool[np.ndarray, " n"]
    norm: Float[np.ndarray, " n"]
    margin: Float[np.ndarray, " n"]


@takes_network
def verify(
    apply: Apply,
    params: PyTree,
    inputs: ArrayLike,
    labels: Labels,
    perturbation: Perturbation,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    targets: Labels | None = None,
) -> Verification:
    """Evaluate the network in float64, on the CPU, at the very points that were found.

    The points `x + delta` are rounded as the dtype of the inputs says and only then widened, as
    are the parameters, the arrays that the network captures, and all that it computes from them. A
    network that casts to a narrower dtype itself still does.

    Parameters
    ----------
    apply, params, inputs, labels, bounds, targets
        As of `solve`, with concrete values.
    perturbation
        What `solve` returned for them.
    ord
        Order of the norm: at least 1, or inf.

    Returns
    -------
    A `Verification`. A solver allows for rounding, so that few found points should fail: those
    whose margin in the dtype of the network is nothing but rounding.

    Raises
    ------
    ValueError
        If `delta` or `found` do not have the shape that the inputs ask for, for an `ord` below 1,
        and for bounds that do not broadcast or are out of order.
    TypeError
        If labels or targets are no integers.
    """
    dual_order(ord)
    ord = as_number(ord)
    xs, deltas = np.asarray(inputs), np.asarray(perturbation.delta)
    if deltas.shape != xs.shape:
        raise ValueError(f"delta must have the shape of the inputs {xs.shape}, got {deltas.shape}.")
    found = np.asarray(perturbation.found)
    if found.shape != xs.shape[:1]:
        raise ValueError(f"found must have shape {xs.shape[:1]}, got {found.shape}.")
    points = (xs + deltas).astype(xs.dtype)

    network = in_float64(apply, params, jax.ShapeDtypeStruct(xs.shape[1:], xs.dtype))
    classes = np.asarray(as_labels(labels))
    others = None if targets is None else np.asarray(as_labels(targets, "targets"))
    examples = (points, classes, others)
    with jax.enable_x64(True), jax.default_device(jax.devices("cpu")[0]):
        wide = jax.tree.map(_on_cpu, params)
        box = None
        if bounds is not None:
            like = jax.ShapeDtypeStruct(xs.shape[1:], xs.dtype)
            box = [np.asarray(bound) for bound in broadcast_bounds(bounds, like)]

        @jax.jit
        def margins(params, examples):
            one = lambda e: margin(network(params, e[0]), e[1], e[2])
            return in_chunks(one, examples, CHUNK if len(xs) > CHUNK else None)

        heights = np.asarray(margins(wide, examples)) if len(xs) else np.zeros(0)

    inside = np.ones(len(xs), bool)
    if box is not None:
        inside = ((points >= box[0]) & (points <= box[1])).reshape(len(xs), -1).all(1)
    norms = np.array([_norm(delta, ord) for delta in deltas.astype(np.float64)], np.float64)
    return Verification(found & inside & (heights < 0), np.where(found, norms, np.inf), heights)


def _on_cpu(leaf: ArrayLike) -> ArrayLike:
    """A parameter without the device that it is on; random keys, too, which NumPy does not know."""
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        return jax.random.wrap_key_data(
            jnp.asarray(np.asarray(jax.random.key_data(leaf))), impl=jax.random.key_impl(leaf)
        )
    return np.asarray(leaf)


def _norm(delta: np.ndarray, ord: Order) -> float:
    largest = np.abs(delta).max(initial=0)
    return largest * np.linalg.norm(delta.ravel() / largest, float(ord)) if largest > 0 else 0.0
