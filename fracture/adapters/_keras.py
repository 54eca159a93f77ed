"""Keras 3 on its JAX backend."""

from functools import partial
from typing import Any

import jax.numpy as jnp

from ._adapted import Adapted, by_layer, check_unchanged
from ._batched import from_batched, without_axis

ADVICE = "from_keras calls it with training=False; remove what overrides that inside the model."


def from_keras(model: Any) -> Adapted:
    """A Keras model, called with `training=False`.

    Keras takes batches, and the adapter adds the axis: do not wrap it in `from_batched`. Keras
    casts inputs to the model's own dtype. The model should return logits: probabilities of a final
    softmax saturate where the network is sure.

    Parameters
    ----------
    model
        A built `keras.Model` with one input and one output.

    Returns
    -------
    Adapted
        `params["params"]` is the list of values of `model.trainable_variables`, `params["state"]`
        of the other weights. `features` is that of a functional model on `layer.output`, and None
        for a model that is no graph of layers. `module` is None.

    Raises
    ------
    TypeError
        If `model` is no `keras.Model`.
    ValueError
        If Keras runs on another backend, or the model is not built; while tracing, if a call
        changes weights or draws random numbers.
    """
    import keras

    if not isinstance(model, keras.Model):
        raise TypeError(f"from_keras wants a keras.Model, got {type(model).__name__}.")
    if keras.config.backend() != "jax":
        raise ValueError(
            f"Keras runs on {keras.config.backend()}: set the environment variable "
            "KERAS_BACKEND=jax before keras is imported."
        )
    if not model.built:
        raise ValueError(
            "the model is not built: call it on a batch once, or model.build((None, *input_shape))."
        )
    trained = list(model.trainable_weights)
    rest = list(model.non_trainable_weights)
    weights = {id(v) for v in (*trained, *rest)}
    seeds = [v for v in model.variables if id(v) not in weights]  # of random numbers: no weights

    def stateless(network, params, inputs):
        variables = (*trained, *rest, *seeds)
        values = (*params["params"], *params["state"], *(v.value for v in seeds))
        with keras.StatelessScope(state_mapping=zip(variables, values, strict=True)) as scope:
            current = lambda: {v.path: scope.get_current_value(v) for v in variables}
            before = current()
            outputs = network(inputs, training=False)
            check_unchanged(before, current(), ADVICE)
        return outputs

    graph = _graph(model)

    def features(params, x):
        outputs = stateless(graph, params, jnp.expand_dims(x, 0))
        logits = outputs.pop("logits")
        return without_axis(by_layer(outputs.items(), logits))

    copies = lambda variables: [jnp.copy(v.value) for v in variables]  # model.fit deletes its own
    return Adapted(
        apply=from_batched(partial(stateless, model)),
        params={"params": copies(trained), "state": copies(rest)},
        features=None if graph is None else features,
        module=None,
    )


def _graph(model: Any) -> Any:
    """The functional model that returns what each layer returns; None if there is no graph."""
    import keras

    if getattr(model, "inputs", None) is None:  # a subclass with a call of its own
        return None
    # Of a model in the model, `output` is inside of it; as an operation it is where it was called.
    output = keras.Operation.output.fget
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    try:
        outputs = {layer.name: output(layer) for layer in layers}
        return keras.Model(model.inputs, {**outputs, "logits": model.outputs[0]})
    except (AttributeError, ValueError):  # a layer was called in another graph first
        return None
