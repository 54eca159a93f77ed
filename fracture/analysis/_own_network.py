"""A user's network as functions of one input and of its weights."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Literal, jaxpr_as_fun

from ..adapters import Adapted


def own_network(network: Any, x: jax.Array) -> dict[str, Any]:
    """Arguments `apply`, `params` and `stages` for a network, traced at one input `x`.

    Arrays that a function captures become parameters: as constants they would be a part of the
    program, which takes several times as long to compile and is stored with all of them.

    Parameters
    ----------
    network
        A function of one input, what an adapter returned, or a list of functions applied in turn.
    x
        One input; the result takes others of its shape and dtype.

    Raises
    ------
    ValueError
        Where it is none of these, fails on `x`, or cannot be differentiated.
    """
    if isinstance(network, Adapted):
        found = {"apply": network.apply, "params": network.params, "stages": None}
        _opened(network, x, "the network")  # tried
    elif callable(network):
        apply, params = _opened(network, x, "the network")
        found = {"apply": apply, "params": params, "stages": None}
    elif isinstance(network, Sequence) and network and all(map(callable, network)):
        functions, params, h = [], [], x
        for number, stage in enumerate(network, 1):
            function, weights = _opened(stage, h, f"stage {number} of the network")
            functions.append(function)
            params.append(weights)
            h = jax.eval_shape(function, weights, h)
        found = _composed(functions, params)
    else:
        raise ValueError(
            "the network must be a function of one input, a list of functions applied in turn, or "
            f"what an adapter returned; got {type(network).__name__}."
        )
    _require_gradient(found["apply"], found["params"], x)
    return found


def failure(what: str, shape: tuple[int, ...], error: Exception) -> ValueError:
    """What to raise where a network of the user's raised `error` on an input of this shape."""
    return ValueError(
        f"{what} fails on one input of shape {shape} ({_brief(error)}). It must map ONE input to "
        "its logits; one that takes batches only is wrapped in fracture.adapters.from_batched."
    )


def _brief(error: Exception) -> str:
    """Type and first line: JAX explains its errors at length."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return ": ".join([type(error).__name__, *lines[:1]])


def _opened(function: Callable[..., Any], x: Any, what: str) -> tuple[Callable[..., Any], Any]:
    """`f(arrays, x)` and the arrays that `function(x)` captures."""
    try:
        closed, shape = jax.make_jaxpr(function, return_shape=True)(x)
    except Exception as error:  # the network is the user's: whatever it raises belongs to them
        raise failure(what, jnp.shape(x), error) from error
    tree = jax.tree.structure(shape)
    closed = jax.make_jaxpr(_inlined(closed))(*jax.tree.leaves(x))

    def apply(arrays, x):
        leaves = jaxpr_as_fun(ClosedJaxpr(closed.jaxpr, arrays))(*jax.tree.leaves(x))
        return jax.tree.unflatten(tree, leaves)

    return apply, [jnp.asarray(array) for array in closed.consts]


def _inlined(closed: ClosedJaxpr) -> Callable[..., list[Any]]:
    """The program as a function in which what `jax.jit` compiles is inline.

    Within it, captured arrays are constants of an inner program, which no trace takes out.
    """

    def evaluate(*args):
        jaxpr = closed.jaxpr
        inputs = zip([*jaxpr.constvars, *jaxpr.invars], [*closed.consts, *args], strict=True)
        values = dict(inputs)
        read = lambda v: v.val if isinstance(v, Literal) else values[v]
        for eqn in jaxpr.eqns:
            if eqn.primitive.name in ("jit", "pjit"):
                outputs = _inlined(eqn.params["jaxpr"])(*map(read, eqn.invars))
            else:  # as it is, with a derivative of its own if it has one
                needs = [v for v in eqn.invars if not isinstance(v, Literal)]
                alone = jaxpr.replace(
                    constvars=[], invars=needs, outvars=eqn.outvars, eqns=[eqn], effects=eqn.effects
                )
                outputs = jaxpr_as_fun(ClosedJaxpr(alone, []))(*map(read, needs))
            values.update(zip(eqn.outvars, outputs, strict=True))
        return list(map(read, jaxpr.outvars))

    return evaluate


def _composed(functions: Sequence[Callable[..., Any]], params: Any) -> dict[str, Any]:
    def stages(params):
        return [
            lambda h, f=function, weights=weights: f(weights, h)
            for function, weights in zip(functions, params, strict=True)
        ]

    def apply(params, x):
        for stage in stages(params):
            x = stage(x)
        return x

    return {"apply": apply, "params": params, "stages": stages}


def _require_gradient(apply: Callable[..., Any], params: Any, x: jax.Array) -> None:
    outputs = jax.eval_shape(apply, params, x)
    if not jnp.issubdtype(getattr(outputs, "dtype", jnp.int32), jnp.floating):
        return  # said where logits are checked
    try:
        jax.eval_shape(jax.grad(lambda z: apply(params, z).sum()), x)
    except Exception as error:
        raise ValueError(
            f"the network cannot be differentiated, as every search of its boundary needs "
            f"({_brief(error)})."
        ) from error
