"""Haiku."""

import inspect
from collections.abc import Mapping
from typing import Any

from ._adapted import Adapted, by_layer, check_unchanged, one_input

ADVICE = (
    "Give the option that switches this off, for example from_haiku(transformed, params, state, "
    "is_training=False)."
)


def from_haiku(
    transformed: Any,
    params: Mapping[str, Any],
    state: Mapping[str, Any] | None = None,
    **options: Any,
) -> Adapted:
    """A function transformed by Haiku and its parameters.

    Haiku has no evaluation mode of its own: if the function has an argument for it, give it here.

    Parameters
    ----------
    transformed
        Of `hk.transform` or `hk.transform_with_state`; the function returns the logits of one
        input. One that takes batches only is wrapped: `from_batched(from_haiku(...))`.
    params, state
        What `transformed.init` or training returned; a state only with `transform_with_state`.
    **options
        Passed to the function, for example `is_training=False`.

    Returns
    -------
    Adapted
        `params` is `{"params": params, "state": state}`. `features` are recorded by
        `hk.intercept_methods`. `module` is None.

    Raises
    ------
    TypeError
        If `transformed` is not of `hk.transform` or `hk.transform_with_state`.
    ValueError
        If a state is missing or one too many; while tracing, if a call changes it or draws random
        numbers.
    """
    import haiku as hk

    stateful = isinstance(transformed, hk.TransformedWithState)
    if not stateful and not isinstance(transformed, hk.Transformed):
        raise TypeError(
            "from_haiku wants what hk.transform or hk.transform_with_state returned, got "
            f"{type(transformed).__name__}."
        )
    if stateful != (state is not None):
        raise ValueError(
            "of hk.transform_with_state, the state is missing: from_haiku(transformed, params, "
            "state); transformed.init returns both."
            if stateful
            else "a state was given, but hk.transform has none: from_haiku(transformed, params)."
        )
    # hk.without_apply_rng leaves the argument out.
    rng = (None,) if "rng" in inspect.signature(transformed.apply).parameters else ()

    def apply(params, x):
        arrays = (params["params"], params["state"]) if stateful else (params["params"],)
        try:
            outputs = transformed.apply(*arrays, *rng, x, **options)
        except ValueError as error:
            if type(error).__name__ != "MissingRNGError":  # not exported
                raise
            raise ValueError(
                f"the network draws random numbers: it is in training mode. {ADVICE}"
            ) from error
        if not stateful:
            return outputs
        logits, new = outputs
        check_unchanged(dict(params["state"]), dict(new), ADVICE)
        return logits

    def features(params, x):
        recorded = []

        def record(call, args, kwargs, context):
            output = call(*args, **kwargs)
            if context.method_name == "__call__":
                recorded.append((context.module.module_name, output))
            return output

        with hk.intercept_methods(record):
            logits = apply(params, x)
        return by_layer(recorded, logits)

    held = {"params": params, "state": {} if state is None else state}
    return Adapted(one_input(apply), held, features, module=None)
