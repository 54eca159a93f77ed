"""Equinox."""

import inspect
from collections.abc import Iterator
from typing import Any

import jax

from ._adapted import WRAP, Adapted, by_layer, check_unchanged, one_input

ADVICE = (
    "from_equinox switches `inference` of all layers on; remove what overrides it, such as "
    "inference=False in a layer's call."
)
KEY = "If a layer needs a key even so, give one: from_equinox(model, key=jax.random.key(0))."


def from_equinox(model: Any, state: Any = None, **options: Any) -> Adapted:
    """An Equinox model, of which a copy is switched to inference mode.

    Parameters
    ----------
    model
        An `equinox.Module`; `model(x)`, or `model(x, state)`, returns the logits of one input.
    state
        The `equinox.nn.State` of a model with batch statistics; it then returns `(logits, state)`.
    **options
        Passed to the model's call. `key=None` is, where the call has an argument `key` without a
        default; give a key if a layer needs one in inference mode too.

    Returns
    -------
    Adapted
        `params["params"]` is the model's floating-point arrays, with None in place of all else,
        as of `equinox.partition`; `params["state"]` holds its other arrays and the state.
        `features` are those of the layers of an `equinox.nn.Sequential` without a key. Of other
        models they are None, since Equinox captures nothing: take layers from `module(params)`.

    Raises
    ------
    TypeError
        If `model` is no callable `equinox.Module`.
    ValueError
        If the model has state and none is given, or the reverse; while tracing, if a call changes
        it.
    """
    import equinox as eqx

    if not isinstance(model, eqx.Module) or not callable(model):
        raise TypeError(f"from_equinox wants a callable eqx.Module, got {type(model).__name__}.")
    is_index = lambda node: isinstance(node, eqx.nn.StateIndex)
    stateful = any(map(is_index, jax.tree.leaves(model, is_leaf=is_index)))
    if stateful != (state is not None):
        raise ValueError(
            "the model has state: from_equinox(model, state), with both from "
            "eqx.nn.make_with_state or from training."
            if stateful
            else "a state was given, but the model has none: from_equinox(model)."
        )
    key = inspect.signature(model).parameters.get("key")
    if key is not None and key.default is key.empty:
        options = {"key": None, **options}
    trained, rest = eqx.partition(eqx.nn.inference_mode(model), eqx.is_inexact_array)
    others, static = eqx.partition(rest, eqx.is_array)

    def module(params):
        return eqx.combine(params["params"], params["state"][0], static)

    def apply(params, x):
        if not stateful:
            return module(params)(x, **options)
        before = jax.tree.leaves(params["state"][1])
        state = jax.tree.map(lambda leaf: leaf, params["state"][1])  # a call may invalidate it
        outputs = module(params)(x, state, **options)
        if not isinstance(outputs, tuple) or len(outputs) != 2:
            raise TypeError(
                f"a model with state must return (logits, state), got {type(outputs).__name__}."
            )
        check_unchanged(before, jax.tree.leaves(outputs[1]), ADVICE)
        return outputs[0]

    def features(params, x):
        outputs, state = [], params["state"][1]
        for name, layer in _layers(module(params)):
            if stateful:
                x, state = layer(x, state, **options)
            else:
                x = layer(x, **options)
            outputs.append((name, x))
        return by_layer(outputs, x)

    # A key is split among the layers in a way of Equinox's own.
    in_turn = _is_sequential(model) and options.get("key") is None
    hint = WRAP if key is None or options.get("key") is not None else f"{WRAP} {KEY}"
    params = {"params": trained, "state": (others, state)}
    return Adapted(one_input(apply, hint), params, features if in_turn else None, module)


def _is_sequential(model: Any) -> bool:
    """Whether it calls its layers in turn, and does nothing else."""
    from equinox.nn import Sequential

    return isinstance(model, Sequential) and type(model).__call__ is Sequential.__call__


def _layers(model: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Name and call of each layer, those of sequences within it included."""
    for at in range(len(model)):
        name = f"{prefix}layers/{at}"
        if _is_sequential(model[at]):
            yield from _layers(model[at], f"{name}/")
        else:
            yield name, model[at : at + 1]
