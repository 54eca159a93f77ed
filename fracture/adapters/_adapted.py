"""What an adapter returns, and what all of them check while tracing."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, PyTree

from .._typing import Apply


@dataclass(frozen=True, eq=False)  # compared and hashed like a function, which it is
class Adapted:
    """A network of another framework, in evaluation mode, as pure functions.

    Attributes
    ----------
    apply
        `apply(params, x) -> logits[K]` for one input.
    params
        Arrays only: `params["params"]` is what training changes.
    features
        `features(params, x)`: what each layer returns, under the framework's own name for it, and
        `"logits"`; a layer that is called again gets `":1"` behind its name. None where the
        framework cannot tell.
    module
        `module(params)`: the framework's own object with these parameters, for its layers; None
        where it has none.
    """

    apply: Apply
    params: PyTree
    features: Callable[[PyTree, Array], dict[str, Array]] | None
    module: Callable[[PyTree], Any] | None

    def __call__(self, x: ArrayLike) -> Array:
        """The logits of one input: what solvers and measures of one input take."""
        return self.apply(self.params, x)


WRAP = "If it takes batches only, wrap it in from_batched."


def one_input(network: Apply, hint: str = WRAP) -> Apply:
    """`network`, whose output is checked to be logits of one input; the original is `unchecked`."""

    def apply(params, x):
        try:
            outputs = network(params, x)
        except Exception as error:  # of the framework: say what it was asked
            error.add_note(
                f"The network was called in evaluation mode, without random numbers, for one input "
                f"of shape {jnp.shape(x)}. {hint}"
            )
            raise
        if as_array(outputs).ndim > 1:
            raise ValueError(
                f"the network returned shape {outputs.shape} for one input of shape "
                f"{jnp.shape(x)}; wanted its logits, shape (K,). {hint} If the input is a batch, "
                "map over it with jax.vmap."
            )
        return outputs

    apply.unchecked = network  # type: ignore[attr-defined]
    return apply


def as_array(outputs: Any) -> Array:
    """The outputs, if they are one array."""
    if not hasattr(outputs, "shape") or not hasattr(outputs, "dtype"):
        raise TypeError(
            f"the network returned {type(outputs).__name__}; wanted one array, its logits. Adapt a "
            "network that returns the logits alone."
        )
    return outputs


def check_unchanged(before: PyTree, after: PyTree, advice: str) -> None:
    """Raise if the call replaced state: evaluation leaves every array the very same object."""
    new = dict(jax.tree_util.tree_leaves_with_path(after))
    changed = [
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, leaf in jax.tree_util.tree_leaves_with_path(before)
        if path in new and new[path] is not leaf
    ]
    if changed:
        raise ValueError(f"the network is in training mode, for a call changes {changed}. {advice}")


def by_layer(outputs: Iterable[tuple[str, Any]], logits: Any) -> dict[str, Array]:
    """Outputs of layers as one dict of arrays, repeated names numbered, the logits last."""
    named: dict[str, Array] = {}
    for name, output in outputs:
        for leaf in jax.tree.leaves(output):
            count = 0
            while (key := f"{name}:{count}" if count else name) in named:
                count += 1
            named[key] = leaf
    return {**named, "logits": logits}


def calls(captured: Mapping, prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Name and outputs of each module in the nested dicts that Flax captures."""
    for key, value in captured.items():
        name = prefix if key == "__call__" else f"{prefix}/{key}" if prefix else str(key)
        if isinstance(value, Mapping):
            yield from calls(value, name)
        elif name:  # the network itself has none: its output is the logits
            yield name, value
