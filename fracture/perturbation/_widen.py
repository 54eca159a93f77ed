"""The program of a network in double precision: its constants and loops, too."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal
from jaxtyping import Array, PyTree

# Where the program that a primitive calls stands among its parameters.
_CALLS = {
    "jit": "jaxpr",
    "pjit": "jaxpr",
    "remat2": "jaxpr",
    "checkpoint": "jaxpr",
    "closed_call": "call_jaxpr",
    "core_call": "call_jaxpr",
    "custom_jvp_call": "call_jaxpr",
    "custom_vjp_call": "call_jaxpr",
    "custom_vjp_call_jaxpr": "fun_jaxpr",
}


def in_float64(function: Callable[..., Array], *like: PyTree) -> Callable[..., Array]:
    """`function` with everything that is float32 in float64, for arguments of the kind of `like`.

    The function is traced in its own precision, and the program then evaluated in double: unlike
    arguments that are merely cast, this reaches the arrays that the function captures, and random
    draws stay the same. Casts to a narrower dtype than the operand's stay, too, as does single
    precision inside the few operations that come with programs of their own, such as scatter.

    Parameters
    ----------
    function
        A function of arrays that can be traced.
    *like
        Arguments, or their shapes and dtypes.

    Returns
    -------
    A function of the same arguments, whose results are float64 where they were floats.
    """
    closed, shape = jax.make_jaxpr(function, return_shape=True)(*like)
    structure = jax.tree.structure(shape)

    def wide(*args: PyTree) -> Array:
        outputs = _evaluate(closed.jaxpr, closed.consts, jax.tree.leaves(args))
        return jax.tree.unflatten(structure, outputs)

    return wide


def _evaluate(jaxpr: Jaxpr, consts: list[Any], args: list[Any]) -> list[Array]:
    values: dict[Any, Array] = {}
    read = lambda v: _widen(v.val) if isinstance(v, Literal) else values[v]
    values.update(zip(jaxpr.constvars, map(_widen, consts), strict=True))
    values.update(zip(jaxpr.invars, map(_widen, args), strict=True))
    for eqn in jaxpr.eqns:
        outputs = _apply(eqn, [read(v) for v in eqn.invars])
        values.update(zip(eqn.outvars, map(_widen, outputs), strict=True))
    return [read(v) for v in jaxpr.outvars]


def _apply(eqn: JaxprEqn, args: list[Array]) -> list[Array]:
    name, params = eqn.primitive.name, eqn.params
    if name in _CALLS:
        return _call(params[_CALLS[name]], args)
    if name == "cond":
        branches = [lambda *args, b=branch: _call(b, args) for branch in params["branches"]]
        return jax.lax.switch(args[0], branches, *args[1:])
    if name == "while":
        first = params["cond_nconsts"]
        second = first + params["body_nconsts"]
        test = lambda carry: _call(params["cond_jaxpr"], [*args[:first], *carry])[0]
        body = lambda carry: _call(params["body_jaxpr"], [*args[first:second], *carry])
        return jax.lax.while_loop(test, body, args[second:])
    if name == "scan":
        first = params["num_consts"]
        second = first + params["num_carry"]

        def step(carry: list[Array], xs: list[Array]) -> tuple[list[Array], list[Array]]:
            outputs = _call(params["jaxpr"], [*args[:first], *carry, *xs])
            return outputs[: len(carry)], outputs[len(carry) :]

        options = {key: params[key] for key in ("length", "reverse")}
        carry, ys = jax.lax.scan(step, args[first:second], args[second:], **options)
        return [*carry, *ys]
    if name == "convert_element_type" and not _narrows(eqn):
        params = dict(params, new_dtype=_wide(params["new_dtype"]))
    elif name == "bitcast_convert_type" or any(map(_is_program, params.values())):
        own: list[Any] = [variable.aval for variable in eqn.invars]
        args = [a.astype(v.dtype) if _floats(a) else a for a, v in zip(args, own, strict=True)]
    elif params.get("preferred_element_type") is not None:
        params = dict(params, preferred_element_type=_wide(params["preferred_element_type"]))
    outputs = eqn.primitive.bind(*args, **params)
    return list(outputs) if eqn.primitive.multiple_results else [outputs]


def _call(program: ClosedJaxpr | Jaxpr, args: Any) -> list[Array]:
    if isinstance(program, ClosedJaxpr):
        return _evaluate(program.jaxpr, program.consts, list(args))
    return _evaluate(program, [], list(args))


def _narrows(eqn: JaxprEqn) -> bool:
    """Whether a cast goes from floats to floats of fewer bits."""
    old: Any = eqn.invars[0].aval
    new = eqn.params["new_dtype"]
    floats = _floats(old) and jnp.issubdtype(new, jnp.floating)
    return floats and new.itemsize < old.dtype.itemsize


def _is_program(param: Any) -> bool:
    return isinstance(param, ClosedJaxpr | Jaxpr)


def _floats(x: Any) -> bool:
    return jnp.issubdtype(x.dtype, jnp.floating)


def _wide(dtype: Any) -> Any:
    return jnp.dtype(jnp.float64) if jnp.issubdtype(dtype, jnp.floating) else dtype


def _widen(x: Any) -> Array:
    """Floats as float64; the rest, keys among them, as it is."""
    x = jnp.asarray(x)
    return x.astype(jnp.float64) if _floats(x) else x
