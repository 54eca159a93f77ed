"""The functional seam: from an NNX module to pure functions of its parameters."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax import nnx
from jaxtyping import Array

from .._typing import Apply, Key


class Network(NamedTuple):
    """A network as pure functions; map over inputs, parameters or keys with `jax.vmap`."""

    init: Callable[[Key], Any]
    """`init(key) -> params`: nested dicts of arrays."""
    apply: Apply
    """`apply(params, x) -> logits[K]` for one input."""
    features: Callable[[Any, Array], dict[str, Array]]
    """`features(params, x)`: what each layer returns, by name, from the input to `"logits"`."""
    stages: Callable[[Any], list[Callable[[Array], Array]]]
    """`stages(params)`: the layers as functions; applied in turn they are `apply`."""


def functional(factory: Callable[[nnx.Rngs], nnx.Module]) -> Network:
    """Turn a factory of NNX modules into a `Network`.

    Parameters
    ----------
    factory
        `factory(rngs) -> module`. The module takes one input and returns its logits; its method
        `features(x)`, where it has one, returns a dict of arrays by depth, and `stages()` a dict
        of functions that are applied in turn. It must be stateless:
        parameters (`nnx.Param`) only, no batch statistics, no dropout.

    Returns
    -------
    Network
        `features` and `stages` raise `AttributeError` when the module has no such method.

    Raises
    ------
    ValueError
        If the module has variables that are not parameters.
    """
    abstract = nnx.eval_shape(lambda: factory(nnx.Rngs(0)))
    graph, parameters, *others = nnx.split(abstract, nnx.Param, ...)
    if jax.tree.leaves(others):
        rest = [nnx.to_pure_dict(other) for other in others]
        raise ValueError(f"the module must hold parameters only, got also {rest}.")
    structure: Any = jax.tree.structure(nnx.to_pure_dict(parameters))

    def module(params):
        if jax.tree.structure(params) != structure:
            raise ValueError(
                f"params must have the structure {structure}, got {jax.tree.structure(params)}."
            )
        return nnx.merge(graph, nnx.State(params))

    return Network(
        init=lambda key: nnx.to_pure_dict(nnx.state(factory(nnx.Rngs(key)), nnx.Param)),
        apply=lambda params, x: module(params)(x),
        features=lambda params, x: module(params).features(x),
        stages=lambda params: list(module(params).stages().values()),
    )
