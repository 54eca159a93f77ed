"""Flax Linen."""

from collections.abc import Callable, Mapping
from typing import Any

from ._adapted import Adapted, by_layer, calls, one_input


def from_linen(module: Any, variables: Mapping[str, Any], **options: Any) -> Adapted:
    """A Flax Linen module and its variables.

    Linen has no evaluation mode of its own: if the module's call has an argument for it, give it
    here as to `module.apply`.

    Parameters
    ----------
    module
        A `flax.linen.Module`; `module.apply(variables, x)` returns the logits of one input. One
        that takes batches only is wrapped: `from_batched(from_linen(module, variables))`.
    variables
        All collections, as `module.init` returned them: `{"params": ..., "batch_stats": ...}`.
    **options
        Passed to `module.apply`: `train=False`, `deterministic=True`, whatever it is called.

    Returns
    -------
    Adapted
        `params` is `variables`; `features` are those of `capture_intermediates`.

    Raises
    ------
    TypeError
        If `module` is no Linen module.
    ValueError
        If `variables` has no collection `"params"`; while tracing, if another one is missing, or
        the call updates one or draws random numbers.
    """
    import flax.linen as nn

    if not isinstance(module, nn.Module):
        raise TypeError(f"from_linen wants a flax.linen.Module, got {type(module).__name__}.")
    if not isinstance(variables, Mapping) or "params" not in variables:
        keys = list(variables) if isinstance(variables, Mapping) else type(variables).__name__
        raise ValueError(
            'variables must hold all collections, {"params": ..., "batch_stats": ...}, as '
            f"module.init returned them; got {keys}."
        )

    def apply(variables, x):
        return _explained(lambda: module.apply(variables, x, **options))

    def features(variables, x):
        capture: dict[str, Any] = {"capture_intermediates": True, "mutable": ["intermediates"]}
        logits, captured = _explained(lambda: module.apply(variables, x, **capture, **options))
        return by_layer(calls(captured["intermediates"]), logits)

    return Adapted(one_input(apply), dict(variables), features, module.bind)


def _explained(call: Callable[[], Any]) -> Any:
    from flax import errors

    try:
        return call()
    except errors.InvalidRngError as error:
        raise ValueError(
            "the module draws random numbers: it is in training mode. Give the option that "
            "switches this off, for example from_linen(module, variables, train=False)."
        ) from error
    except errors.ModifyScopeVariableError as error:
        raise ValueError(
            "the module updates a collection: it is in training mode. Give the option that "
            "switches this off, for example from_linen(module, variables, train=False)."
        ) from error
    except (errors.ScopeCollectionNotFound, errors.ScopeVariableNotFoundError) as error:
        raise ValueError(
            "variables lacks a collection that the module reads: give all that training left, "
            '{"params": ..., "batch_stats": ...}.'
        ) from error
