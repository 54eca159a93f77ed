"""Flax NNX."""

from typing import Any

from ._adapted import Adapted, by_layer, calls, check_unchanged, one_input

ADVICE = (
    "from_nnx switches `deterministic` and `use_running_average` of all modules on; switch off "
    "what else there is, in the module or by an option of its call: from_nnx(module, train=False)."
)


def from_nnx(module: Any, **options: Any) -> Adapted:
    """A Flax NNX module, of which a copy is switched to evaluation mode.

    Parameters
    ----------
    module
        An `nnx.Module`; `module(x)` returns the logits of one input. One that takes batches only
        is wrapped: `from_batched(from_nnx(module))`.
    **options
        Passed to the module's call, for example `train=False`.

    Returns
    -------
    Adapted
        `params` holds pure dicts: `"params"` of every `nnx.Param`, `"state"` of all other
        variables except the state of random numbers. `features` is `nnx.capture`'s.

    Raises
    ------
    TypeError
        If `module` is no `nnx.Module`.
    ValueError
        While tracing, if a call changes variables or draws random numbers.
    """
    from flax import nnx

    if not isinstance(module, nnx.Module):
        raise TypeError(f"from_nnx wants an nnx.Module, got {type(module).__name__}.")
    evaluated = nnx.with_attributes(  # a copy
        module, deterministic=True, use_running_average=True, raise_if_not_found=False
    )
    split: Any = nnx.split(evaluated, nnx.Param, nnx.RngState, ...)
    graph, *states = split
    trained, random, rest = map(nnx.to_pure_dict, states)

    def merged(params):  # variables of its own
        return nnx.merge(graph, *map(nnx.State, (params["params"], params["state"], random)))

    def checked(params, call):
        module = merged(params)
        before = nnx.to_pure_dict(nnx.state(module))
        outputs = call(module)
        check_unchanged(before, nnx.to_pure_dict(nnx.state(module)), ADVICE)
        return outputs

    def features(params, x):
        def call(module):
            capture = nnx.capture(module, nnx.Intermediate, method_outputs=nnx.Intermediate)
            return capture(x, **options)

        logits, captured = checked(params, call)
        return by_layer(calls(nnx.to_pure_dict(captured)), logits)

    return Adapted(
        apply=one_input(lambda params, x: checked(params, lambda module: module(x, **options))),
        params={"params": trained, "state": rest},
        features=features,
        module=merged,
    )
