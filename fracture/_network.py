"""A network at the door of the functions that take `apply` and `params`."""

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload, runtime_checkable

from jaxtyping import PyTree

from ._typing import Apply
from .adapters import Adapted

P = ParamSpec("P")
Result = TypeVar("Result", covariant=True)


@runtime_checkable
class TakesNetwork(Protocol[P, Result]):
    """A function of a network, given as `apply` and `params` or as an `Adapted`, and the rest."""

    @overload
    def __call__(self, network: Adapted, /, *args: P.args, **kwargs: P.kwargs) -> Result: ...
    @overload
    def __call__(
        self, apply: Apply, params: PyTree, /, *args: P.args, **kwargs: P.kwargs
    ) -> Result: ...


def takes_network(
    function: Callable[Concatenate[Apply, PyTree, P], Result],
) -> TakesNetwork[P, Result]:
    """`function(apply, params, …)` that takes an `Adapted` in place of the two as well.

    Raises
    ------
    TypeError
        When called, if the first argument is neither an `Adapted` nor callable.
    """

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if args and isinstance(args[0], Adapted):
            args = (args[0].apply, args[0].params, *args[1:])
        elif args and not callable(args[0]):
            wanted = "wanted a function apply(params, x) -> logits, and its params"
            if any(map(callable, args[1:2])):
                raise TypeError(f"apply and params are swapped: {wanted}.")
            got = type(args[0]).__name__
            raise TypeError(f"{wanted}, or what an adapter returned; got {got}.")
        return function(*args, **kwargs)

    return call
