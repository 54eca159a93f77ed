"""How much one evaluation of a network is, before it runs."""

from collections.abc import Callable, Iterator
from math import prod
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, Jaxpr
from jaxtyping import Array


def work(function: Callable, x: Array) -> int:
    """Numbers read by all operations of `function(x)`, and multiplications of convolutions.

    Of a product of a matrix and a vector that is about the number of multiplications, too. A loop
    whose length is not known counts once.

    Parameters
    ----------
    function
        Of one array; it is traced only.
    x
        The array.

    Returns
    -------
    An integer.
    """
    return _work(jax.make_jaxpr(function)(x).jaxpr)


def _work(jaxpr: Jaxpr) -> int:
    total = 0
    for equation in jaxpr.eqns:
        inner = sum(map(_work, _inside(equation.params)))
        sizes = [prod(_shape(variable)) for variable in equation.invars]
        if equation.primitive.name == "conv_general_dilated":
            features = equation.params["dimension_numbers"].rhs_spec[0]
            kernel = _shape(equation.invars[1])
            sizes = [prod(_shape(equation.outvars[0])) * prod(kernel) // kernel[features]]
        total += inner * equation.params.get("length", 1) if inner else sum(sizes)
    return total


def _shape(variable: Any) -> tuple[int, ...]:
    return getattr(variable.aval, "shape", ())


def _inside(params: dict[str, Any]) -> Iterator[Jaxpr]:
    """The functions that an operation calls: bodies of loops, branches, compiled functions."""
    for value in params.values():
        for entry in value if isinstance(value, tuple | list) else (value,):
            if isinstance(entry, ClosedJaxpr):
                yield entry.jaxpr
            elif isinstance(entry, Jaxpr):
                yield entry
