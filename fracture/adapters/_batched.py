"""Networks that run on batches only."""

from dataclasses import replace
from typing import Any, overload

import jax.numpy as jnp
from jaxtyping import Array

from .._typing import Apply
from ._adapted import Adapted, as_array, one_input


@overload
def from_batched(network: Adapted) -> Adapted: ...
@overload
def from_batched(network: Apply) -> Apply: ...
def from_batched(network):
    """A network that takes batches only, for one input: adds the batch axis and takes it off.

    Under `jax.vmap` the batch is as fast as the network's own: XLA merges the two batch axes.

    Parameters
    ----------
    network
        `apply(params, inputs) -> logits[n, K]`, or what another adapter returned for such a
        network.

    Returns
    -------
    `apply(params, x) -> logits[K]`, or an `Adapted` if one was given. Its features lose the axis,
    too; its module takes batches still.

    Raises
    ------
    ValueError
        While tracing, if the network does not return one row per input.
    """
    if not isinstance(network, Adapted):
        return _one_of(network)
    of_batch: Any = network.features

    def features(params, x):
        return without_axis(of_batch(params, jnp.expand_dims(x, 0)))

    return replace(
        network,
        apply=_one_of(network.apply),
        features=None if of_batch is None else features,
    )


def without_axis(features: dict[str, Array]) -> dict[str, Array]:
    """Features of the only input of a batch; what a layer returns without the axis is kept."""
    return {name: h[0] if jnp.shape(h)[:1] == (1,) else h for name, h in features.items()}


def _one_of(network: Apply) -> Apply:
    network = getattr(network, "unchecked", network)  # of an adapter, checked for one input

    def apply(params, x):
        inputs = jnp.expand_dims(x, 0)
        outputs = as_array(network(params, inputs))
        if outputs.ndim not in (1, 2) or len(outputs) != 1:
            raise ValueError(
                f"the network returned shape {outputs.shape} for a batch of one input, shape "
                f"{inputs.shape}; wanted logits of shape (1, K). One that takes a single input "
                "needs no from_batched."
            )
        return outputs[0]

    return one_input(apply, hint="It was given a batch of this one input.")
