"""The functional seam: from an NNX module to pure functions of its parameters."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from flax import nnx
from jaxtyping import Array

from .._typing import Apply, Key, TrainApply

BATCH = "batch"
"""The axis that batch normalisation takes its means over: `nnx.BatchNorm(axis_name=BATCH)`."""


class Network(NamedTuple):
    """A network as pure functions; map over inputs, parameters or keys with `jax.vmap`.

    Attributes
    ----------
    init
        `init(key) -> params`: nested dicts of arrays.
    apply
        `apply(params, x) -> logits[K]` for one input.
    features
        `features(params, x)`: what each layer returns, by name, from the input to
        `"logits"`.
    stages
        `stages(params)`: the layers as functions; applied in turn they are `apply`.
    train_apply
        `train_apply(params, xs) -> (logits[n, K], statistics)` for a batch, with the
        statistics of this batch; for `fracture.training.fit`. None where training needs
        nothing but `apply`.
    """

    init: Callable[[Key], Any]
    apply: Apply
    features: Callable[[Any, Array], dict[str, Array]]
    stages: Callable[[Any], list[Callable[[Array], Array]]]
    train_apply: TrainApply | None = None


def functional(factory: Callable[[nnx.Rngs], nnx.Module]) -> Network:
    """Turn a factory of NNX modules into a `Network`.

    Batch normalisation has two modes. `apply`, `features` and `stages` take one input, and use the
    means and variances stored in `params`, as constants: no gradient flows into them. Training
    uses those of its batch, to which `train_apply` moves the stored ones; hand it to
    `fracture.training.fit`.

    Parameters
    ----------
    factory
        `factory(rngs) -> module`. The module takes one input and returns its logits; its method
        `features(x)`, where it has one, returns a dict of arrays by depth, and `stages()` a dict
        of functions that are applied in turn. It must hold nothing but parameters (`nnx.Param`)
        and batch statistics (`nnx.BatchStat`): no dropout. As it takes one input,
        `nnx.BatchNorm` needs `axis_name="batch"` to see the others.

    Returns
    -------
    Network
        `features` and `stages` raise `AttributeError` when the module has no such method.

    Raises
    ------
    ValueError
        If the module has other variables.
    """
    abstract = nnx.eval_shape(lambda: factory(nnx.Rngs(0)))
    kept = (nnx.Param, nnx.BatchStat)
    _, state, *others = nnx.split(abstract, kept, ...)
    if jax.tree.leaves(others):
        rest = [nnx.to_pure_dict(other) for other in others]
        raise ValueError(f"the module must hold parameters and statistics only, got also {rest}.")
    structure: Any = jax.tree.structure(nnx.to_pure_dict(state))
    variable = lambda node: isinstance(node, nnx.Variable)
    statistic = lambda node: isinstance(node, nnx.BatchStat)
    is_statistic = nnx.to_pure_dict(jax.tree.map(statistic, state, is_leaf=variable))
    abstract.eval()
    evaluation = nnx.graphdef(abstract)
    abstract.train()
    training = nnx.graphdef(abstract)

    def module(params, graph=evaluation):
        if jax.tree.structure(params) != structure:
            raise ValueError(
                f"params must have the structure {structure}, got {jax.tree.structure(params)}."
            )
        constant = lambda leaf, stop: jax.lax.stop_gradient(leaf) if stop else leaf
        return nnx.merge(graph, nnx.State(jax.tree.map(constant, params, is_statistic)))

    def train_apply(params, xs):
        def one(x):
            trained = module(params, training)
            return trained(x), nnx.to_pure_dict(nnx.state(trained, kept))

        # Means over the batch are the same for each of its members: the statistics have no axis.
        logits, moved = jax.vmap(one, out_axes=(0, None), axis_name=BATCH)(xs)
        select = lambda old, new, keep: new.astype(old.dtype) if keep else None
        return logits, jax.tree.map(select, params, moved, is_statistic)

    return Network(
        init=lambda key: nnx.to_pure_dict(nnx.state(factory(nnx.Rngs(key)), kept)),
        apply=lambda params, x: module(params)(x),
        features=lambda params, x: module(params).features(x),
        stages=lambda params: list(module(params).stages().values()),
        train_apply=train_apply if any(jax.tree.leaves(is_statistic)) else None,
    )
