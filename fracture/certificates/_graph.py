"""A network as a list of affine, elementwise and bilinear steps, read off its jaxpr."""

import os
import site
import sysconfig
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import ShapedArray
from jaxtyping import Array

from ._rewrite import REWRITES, softmax
from ._scalar import (
    ELEMENTWISE,
    VARIABLE,
    Expr,
    evaluate,
    factored,
    is_affine,
    is_finite,
    is_indicator,
    magnitude,
)

# Affine primitives in which each entry of an operand goes into one entry of the value.
ONE_TO_ONE = {
    "add",
    "add_any",
    "concatenate",
    "convert_element_type",
    "copy",
    "div",
    "dynamic_update_slice",
    "expand_dims",
    "mul",
    "neg",
    "pad",
    "reduce_sum",
    "reshape",
    "rev",
    "scatter",
    "scatter-add",
    "scatter-sub",
    "scatter-mul",
    "select_n",
    "slice",
    "split",
    "squeeze",
    "stack",
    "sub",
    "transpose",
}
AFFINE = ONE_TO_ONE | {
    "broadcast_in_dim",
    "conv_general_dilated",
    "cumsum",
    "dot_general",
    "dynamic_slice",
    "gather",
    "reduce_window_sum",
}
CALLS = {
    "jit",
    "pjit",
    "closed_call",
    "core_call",
    "custom_jvp_call",
    "custom_vjp_call",
    "custom_vjp_call_jaxpr",
    "checkpoint",
    "remat",
    "remat2",
}
# Matrix products in full precision: with TF32 nothing that is computed is a bound.
PRECISE = {"dot_general", "conv_general_dilated"}
BILINEAR = {"mul"} | PRECISE
_SMALL = 1024  # entries of constants that are compared by their values


class Node(NamedTuple):
    """One step of a network; local to one trace, so it may hold functions and arrays."""

    kind: Literal["input", "affine", "scalar", "product"]
    parents: tuple[int, ...]
    apply: Callable[..., Array]  # the value, of the values of the parents
    shape: tuple[int, ...]
    dtype: Any
    # Of the sizes of the parents' values: the sum of the sizes of all terms, constants included.
    magnitude: Callable[..., Array] = jnp.abs
    terms: int = 1  # how many of them an entry is the sum of
    spread: int = 1  # how many entries one of a parent goes into, at most
    steps: int = 1  # that it is made of
    sums: int = 0  # matrix products and the like among these
    expr: Expr = VARIABLE  # of an elementwise step

    @property
    def size(self) -> int:
        """How many numbers it has."""
        return int(np.prod(self.shape))

    @property
    def like(self) -> jax.ShapeDtypeStruct:
        """Its shape and dtype."""
        return jax.ShapeDtypeStruct(self.shape, self.dtype)

    @property
    def roundings(self) -> int:
        """How many an entry of its value has, or one of what is pulled back through it, at most."""
        return self.terms + max(self.spread, self.size) + 8


class _Value(NamedTuple):
    """What a variable of the jaxpr stands for: an elementwise expression of a node."""

    root: int
    expr: Expr


def read_network(function: Callable[[Array], Array], x: Array) -> list[Node]:
    """The steps of a network from the input, the first, to the outputs, the last.

    Parameters
    ----------
    function
        Of one array; may close over traced ones.
    x
        Shape and dtype of its argument.

    Returns
    -------
    The steps in an order in which each follows its parents.

    Raises
    ------
    NotImplementedError
        For a primitive that has no bounds, naming it and where it stands.
    """
    closed = jax.make_jaxpr(function)(x)
    walk = _Walk(x)
    (out,) = walk.run(closed.jaxpr, closed.consts, [_Value(0, VARIABLE)])
    if not isinstance(out, _Value):
        out = walk.constant(out)
    last = walk.settle(out)
    if last != len(walk.nodes) - 1:  # as for the identity: the outputs come last
        walk.affine((last,), lambda v: v, lambda v: v, 1)
    return merged(walk.nodes)


def merged(nodes: Sequence[Node]) -> list[Node]:
    """The same network with affine steps that only one other affine step rests on made part of it.

    A dense layer is one step then, its bias and reshapes included: fewer are cheaper to bound.
    Steps that nothing rests on are left out.
    """
    followers: list[list[int]] = [[] for _ in nodes]
    alive = {0, len(nodes) - 1}
    for at in reversed(range(len(nodes))):
        if at in alive:
            alive.update(nodes[at].parents)
            for parent in nodes[at].parents:
                followers[parent].append(at)
    owner = list(range(len(nodes)))
    for at in reversed(range(len(nodes))):
        above = {owner[each] for each in followers[at]}
        if nodes[at].kind == "affine" and len(above) == 1:
            (only,) = above
            owner[at] = only if nodes[only].kind == "affine" else at
    kept = [at for at in sorted(alive) if owner[at] == at]
    parts = {at: [part for part in range(at + 1) if owner[part] == at] for at in kept}
    place = {at: new for new, at in enumerate(kept)}
    return [_joined(nodes, parts[at], place) for at in kept]


def _joined(nodes: Sequence[Node], parts: list[int], place: Mapping[int, int]) -> Node:
    """Steps as one, the last of them; `place` says where its parents stand among what is kept."""
    last = nodes[parts[-1]]
    given = sorted({p for part in parts for p in nodes[part].parents if p not in parts})
    if len(parts) == 1:
        return last._replace(parents=tuple(place[p] for p in last.parents))

    def run(function, *inputs):
        found = dict(zip(given, inputs, strict=True))
        for part in parts:
            found[part] = function(nodes[part])(*(found[p] for p in nodes[part].parents))
        return found[parts[-1]]

    terms: dict[int, int] = {}
    spread: dict[int, int] = {}
    for part in parts:
        within = [p for p in nodes[part].parents if p in parts]
        terms[part] = nodes[part].terms + max((terms[p] + 8 for p in within), default=0)
        spread[part] = nodes[part].spread + max((spread[p] for p in within), default=0)
    return last._replace(
        parents=tuple(place[p] for p in given),
        apply=partial(run, lambda node: node.apply),
        magnitude=partial(run, lambda node: node.magnitude),
        terms=terms[parts[-1]],
        spread=spread[parts[-1]] + len(parts),
        steps=len(parts),
        sums=sum(nodes[part].sums for part in parts),
    )


def values(nodes: Sequence[Node], x: Array) -> list[Array]:
    """The value of every step at one input."""
    found: list[Array] = []
    for node in nodes:
        inputs = [found[parent] for parent in node.parents]
        found.append(node.apply(*inputs) if node.parents else x)
    return found


class _Walk:
    """One pass over the equations; collects the steps."""

    def __init__(self, x: Array):
        self.nodes = [Node("input", (), lambda: x, x.shape, x.dtype)]
        self.settled: dict[tuple[int, int], int] = {}
        self.kept: list[Any] = []  # expressions are told apart by identity: none may be freed
        self.numbers: dict[int, bool] = {}  # of nodes: whether they are finite for sure
        self.within: list[Any] = []  # the calls that the equations stand in
        self.origin: dict[int, tuple[str, Any, list[Any]]] = {}  # equations of nodes
        # What equations made, with what they were made of: equal ones make one value.
        self.made: dict[Any, tuple[list[Any], list[Any]]] = {}

    def run(self, jaxpr: Any, consts: Sequence[Any], inputs: Sequence[Any]) -> list[Any]:
        """The outputs of a jaxpr of values and constants."""
        env = dict(zip(jaxpr.constvars, consts, strict=True))
        env.update(zip(jaxpr.invars, inputs, strict=True))
        read = lambda v: v.val if hasattr(v, "val") else env[v]
        for eqn in jaxpr.eqns:
            operands = [read(v) for v in eqn.invars]
            key = _same(eqn, operands)
            if key not in self.made:
                self.made[key] = operands, self.step(eqn, operands)
            env.update(zip(eqn.outvars, self.made[key][1], strict=True))
        return [read(v) for v in jaxpr.outvars]

    def step(self, eqn: Any, inputs: list[Any]) -> list[Any]:
        """The outputs of one equation."""
        name, params = eqn.primitive.name, dict(eqn.params)
        bounded = [each for each in inputs if isinstance(each, _Value)]
        if name in CALLS:
            inner = next(
                params[key] for key in ("jaxpr", "call_jaxpr", "fun_jaxpr") if key in params
            )
            inner, consts = getattr(inner, "jaxpr", inner), getattr(inner, "consts", ())
            self.within.append(eqn)
            outputs = self.run(inner, consts, inputs)
            self.within.pop()
            return outputs
        if not bounded:
            given = eqn.primitive.get_bind_params(params)  # with functions, or parameters alone
            subfuns, params = given if isinstance(given, tuple) else ((), given)
            out = eqn.primitive.bind(*subfuns, *inputs, **params)
            return list(out) if eqn.primitive.multiple_results else [out]
        if name == "scan":
            return self.unroll(params, inputs)
        if name == "stop_gradient":  # not so for its derivative, which is 0
            return inputs
        if name in PRECISE:
            params["precision"] = jax.lax.Precision.HIGHEST
        if name == "convert_element_type":
            self.check_precision(eqn)
        aval = eqn.outvars[0].aval
        made = self.elementwise(eqn.primitive, params, inputs, aval)
        if made is None:
            made = self.special(name, params, inputs)
        if made is None:
            made = self.linear(eqn.primitive, params, inputs, eqn.outvars)
        if made is None:
            roots = {each.root for each in inputs if isinstance(each, _Value)}
            several = name in ELEMENTWISE and len(roots) > 1
            hint = (
                " There are if all operands are elementwise functions of one value."
                if several
                else ""
            )
            raise NotImplementedError(
                f"there are no bounds for the primitive {name!r} of values of shapes "
                f"{[v.aval.shape for v in eqn.invars]}, {_place([*self.within, eqn])}.{hint}"
            )
        return made if isinstance(made, list) else [made]

    def unroll(self, params: dict[str, Any], inputs: list[Any]) -> list[Any]:
        """A loop of fixed length, one step after the other."""
        num_consts, num_carry = params["num_consts"], params["num_carry"]
        consts, carry = inputs[:num_consts], inputs[num_consts : num_consts + num_carry]
        rows = inputs[num_consts + num_carry :]
        inner, stacked = params["jaxpr"], []
        for at in range(params["length"]):
            place = params["length"] - 1 - at if params["reverse"] else at
            here = [self.trace(lambda v, place=place: v[place], row) for row in rows]
            out = self.run(inner.jaxpr, inner.consts, [*consts, *carry, *here])
            carry = out[:num_carry]
            stacked.append(out[num_carry:])
        if params["reverse"]:
            stacked.reverse()
        columns = list(zip(*stacked, strict=True))
        return [*carry, *(self.trace(lambda *v: jnp.stack(v), *column) for column in columns)]

    def trace(self, function: Callable[..., Array], *inputs: Any) -> Any:
        """The value of a JAX function of values and constants."""
        shapes = [
            self.nodes[v.root].like if isinstance(v, _Value) else jnp.asarray(v) for v in inputs
        ]
        closed = jax.make_jaxpr(function)(*shapes)
        (out,) = self.run(closed.jaxpr, closed.consts, inputs)
        return out

    def elementwise(self, primitive: Any, params: dict, inputs: list[Any], aval: Any) -> Any:
        """The expression, where all that is bounded is of one node, and of its shape."""
        roots = {each.root for each in inputs if isinstance(each, _Value)}
        if primitive.name not in ELEMENTWISE or len(roots) != 1:
            return None
        (root,) = roots
        if self.nodes[root].shape != aval.shape:
            return None
        exprs = [each.expr if isinstance(each, _Value) else each for each in inputs]
        if primitive.name == "pow" and isinstance(exprs[1], Expr):
            return None
        if primitive.name == "select_n" and len(exprs) != 3:
            return None
        if _asks_for_numbers(primitive.name, exprs) and not (
            self.is_number(root) and _is_number(exprs[0])
        ):
            return None
        simple = _simplified(primitive.name, exprs, aval)
        if simple is None:
            simple = Expr(primitive, tuple(exprs), params)
        self.kept.append(simple)
        return _Value(root, simple) if isinstance(simple, Expr) else simple

    def is_number(self, at: int) -> bool:
        """Whether the value of a step is finite for sure, as long as it is not huge."""
        if at not in self.numbers:
            node = self.nodes[at]
            sure = _is_number(node.expr) and all(map(self.is_number, node.parents))
            self.numbers[at] = sure
        return self.numbers[at]

    def special(self, name: str, params: dict, inputs: list[Any]) -> Any:
        """Products, and what is written in terms of other primitives."""
        two = len(inputs) == 2 and all(isinstance(each, _Value) for each in inputs)
        if two and name in BILINEAR:
            primitive = getattr(jax.lax, f"{name}_p")
            terms = _terms(name, params, [self.shape(each) for each in inputs])
            return self.product(partial(primitive.bind, **params), inputs, terms)
        if two and name == "div":
            logits = self.normalised(inputs)
            if logits is not None:
                return self.trace(partial(softmax, axes=logits[1]), logits[0])
        # Affine as long as one operand is constant.
        if name in REWRITES and (two or name not in ("div", "mul")):
            return self.trace(partial(REWRITES[name], **params), *inputs)
        return None

    def normalised(self, inputs: list[Any]) -> tuple[_Value, tuple[int, ...]] | None:
        """Of exponentials over their sum: what is exponentiated, and the axes of the sum."""
        above, below = inputs
        if above.expr.primitive is None or above.expr.primitive.name != "exp":
            return None
        at = below.root
        if below.expr is not VARIABLE:
            return None
        spread = []
        while at in self.origin and self.origin[at][0] in ("broadcast_in_dim", "reshape"):
            spread.append(self.nodes[at].apply)
            at = self.origin[at][2][0].root
        if at not in self.origin or self.origin[at][0] != "reduce_sum":
            return None
        _, params, (summed,) = self.origin[at]
        same = self.settled.get((above.root, id(above.expr))) == summed.root
        if not same or summed.expr is not VARIABLE:
            return None
        axes = tuple(int(a) for a in params["axes"])
        # Each has to be divided by its own sum, as numbers in place of the sums tell.
        with jax.ensure_compile_time_eval():
            numbers = jnp.arange(self.nodes[at].size).reshape(self.nodes[at].shape)
            shape = self.nodes[above.root].shape
            own = jnp.broadcast_to(jnp.expand_dims(numbers, axes), shape)
            for apply in reversed(spread):
                numbers = apply(numbers)
            if not np.array_equal(np.broadcast_to(numbers, shape), own):
                return None
        logits = _Value(above.root, above.expr.operands[0])
        if logits.expr is VARIABLE and self.origin.get(logits.root, ("",))[0] == "sub":
            # What all have in common, as the greatest of them, changes nothing.
            _, _, (shifted, *common) = self.origin[logits.root]
            same = common and all(self.shape(common[0])[axis] == 1 for axis in axes)
            if same and self.shape(shifted) == self.shape(logits):
                return shifted, axes
        return logits, axes

    def linear(self, primitive: Any, params: dict, inputs: list[Any], outvars: Any) -> Any:
        """An affine step, where the primitive is affine in its bounded operands."""
        name = primitive.name
        many = sum(isinstance(each, _Value) for each in inputs)
        if name not in AFFINE or (many > 1 and name in BILINEAR):
            return None
        if name in ("div", "scatter-mul") and isinstance(inputs[-1], _Value):
            return None
        if name == "scatter" and params.get("update_jaxpr") is not None:  # of any function
            return None
        if any(isinstance(each, _Value) for each in _indices(name, inputs)):
            return None
        places = [at for at, each in enumerate(inputs) if isinstance(each, _Value)]
        parents = tuple(self.settle(inputs[at]) for at in places)
        constants = [None if at in places else each for at, each in enumerate(inputs)]

        def apply(*given, size=False, which=0):
            filled: list[Any] = list(constants)
            for at, value in zip(places, given, strict=True):
                filled[at] = value
            if size:
                filled = [_size(each) for each in filled]
                if name == "neg":
                    return filled[0]
                if name == "sub":
                    return jnp.add(*filled)
                if name == "scatter-sub":
                    filled[2] = -filled[2]
            out = primitive.bind(*filled, **params)
            return out[which] if primitive.multiple_results else out

        made = []
        terms = _terms(name, params, [self.shape(each) for each in inputs])
        # Operands of elementwise primitives may be repeated along an axis.
        shapes = {self.nodes[p].shape for p in parents} | {outvars[0].aval.shape}
        one_to_one = name in ONE_TO_ONE and (name not in ELEMENTWISE or len(shapes) == 1)
        for which in range(len(outvars)):
            one, size = partial(apply, which=which), partial(apply, size=True, which=which)
            at = self.affine(parents, one, size, terms, one_to_one)
            self.origin[at] = name, params, [_Value(p, VARIABLE) for p in parents]
            made.append(_Value(at, VARIABLE))
        return made

    def product(
        self, bilinear: Callable[[Array, Array], Array], inputs: list[Any], terms: int
    ) -> _Value:
        """A step that is linear in each of two values."""
        parents = tuple(map(self.settle, inputs))
        out = jax.eval_shape(bilinear, *(self.nodes[p].like for p in parents))
        size = lambda a, b: bilinear(jnp.abs(a), jnp.abs(b))
        return self.add(Node("product", parents, bilinear, out.shape, out.dtype, size, terms))

    def shape(self, value: Any) -> tuple[int, ...]:
        """Of a value, or of a constant."""
        return self.nodes[value.root].shape if isinstance(value, _Value) else np.shape(value)

    def affine(
        self,
        parents: tuple[int, ...],
        apply: Any,
        magnitude: Any,
        terms: int,
        one_to_one: bool = True,
    ) -> int:
        """Add an affine step; returns its place."""
        out = jax.eval_shape(apply, *(self.nodes[p].like for p in parents))
        node = Node("affine", parents, apply, out.shape, out.dtype, magnitude, terms)
        spread = 1 if one_to_one else node.size
        return self.add(node._replace(spread=spread, sums=int(terms > 4))).root

    def constant(self, value: Any) -> _Value:
        """Outputs that do not depend on the input, as a step all the same."""
        zero = lambda v, scale: jnp.zeros_like(value) * scale + jnp.sum(0 * v)
        apply = lambda v: value + zero(v, 1).astype(jnp.result_type(value))
        return _Value(self.affine((0,), apply, lambda v: jnp.abs(apply(v)), 1), VARIABLE)

    def settle(self, value: _Value) -> int:
        """The node of a value, added where it is an expression of another."""
        if value.expr is VARIABLE:
            return value.root
        key = value.root, id(value.expr)
        if key not in self.settled:
            if is_affine(value.expr):
                size = partial(magnitude, value.expr)
                at = self.affine((value.root,), partial(evaluate, value.expr), size, 4)
            else:
                # Of what is affine, so that kinks are where they are whatever biases are added.
                expr, inner = factored(value.expr)
                at = self.settle(_Value(value.root, inner))
                apply, like = partial(evaluate, expr), self.nodes[at].like
                made = Node("scalar", (at,), apply, like.shape, like.dtype, terms=8, expr=expr)
                at = self.add(made).root
            self.settled[key] = at
        return self.settled[key]

    def add(self, node: Node) -> _Value:
        """Append a step."""
        self.nodes.append(node)
        return _Value(len(self.nodes) - 1, VARIABLE)

    def check_precision(self, eqn: Any) -> None:
        """Raise where a value is rounded to a narrower dtype."""
        given, made = eqn.invars[0].aval.dtype, eqn.outvars[0].aval.dtype
        wide = jnp.issubdtype(made, jnp.floating) and made.itemsize >= given.itemsize
        if jnp.issubdtype(given, jnp.floating) and not wide:
            raise NotImplementedError(
                f"there are no bounds for values that are converted from {given} to {made}, "
                f"{_place([*self.within, eqn])}."
            )


def _same(eqn: Any, operands: list[Any]) -> Any:
    """What equations have in common that make the same values of the same operands."""
    params = tuple(sorted(eqn.params.items()))
    # What is read from a reference is another value later.
    pure = all(isinstance(v.aval, ShapedArray) for v in (*eqn.invars, *eqn.outvars))
    try:
        hash(params)
    except TypeError:
        pure = False
    if eqn.effects or not pure:
        return object()  # unlike any other
    return eqn.primitive, params, tuple(map(_told_apart, operands))


def _told_apart(value: Any) -> Any:
    """The same for the same values: of small constants what they are, as each has its own place."""
    if isinstance(value, _Value):
        return value.root, id(value.expr)
    if isinstance(value, jax.core.Tracer) or np.size(value) > _SMALL:
        return id(value)
    if jnp.issubdtype(getattr(value, "dtype", float), jax.dtypes.extended):  # random keys
        return id(value)
    known = np.asarray(value)
    return str(known.dtype), known.shape, known.tobytes()


_NOT_NEGATIVE = {"abs", "exp", "exp2", "logistic", "square"}


def _simplified(name: str, exprs: list[Any], aval: Any) -> Any:
    """What looks for NaN or infinity, as JAX's functions do; whole powers; a value or nothing."""
    if _asks_for_numbers(name, exprs):
        return np.full(aval.shape, name != "ne")
    if name == "select_n" and isinstance(exprs[0], np.ndarray) and exprs[0].dtype == bool:
        for value in (False, True):
            if (exprs[0] == value).all():
                return exprs[1 + value]
    if name in ("max", "min"):
        for one, other in (exprs, exprs[::-1]):
            if isinstance(one, Expr) and _is(other, -np.inf if name == "max" else np.inf):
                return one
    if name == "pow":
        for whole in range(-4, 9):
            if _is(exprs[1], whole):
                return Expr(jax.lax.integer_pow_p, (exprs[0],), {"y": whole})
    if name == "mul":
        for one, other in (exprs, exprs[::-1]):
            if is_indicator(one) and isinstance(other, Expr):
                zero = np.zeros(aval.shape, aval.dtype)
                return Expr(jax.lax.select_n_p, (one.operands[0], zero, other))
    return None


def _asks_for_numbers(name: str, exprs: list[Any]) -> bool:
    """Whether all that is asked is if a value is NaN or infinite."""
    return name == "is_finite" or (name in ("eq", "ne") and exprs[0] is exprs[1])


def _is_number(expr: Any) -> bool:
    """Whether a value is finite wherever what it is a function of is, and not huge.

    Else what it is replaced by where it is not has no bounds: it need not be part of the outputs,
    which would certify nothing then. Constants that are traced are taken to be finite.
    """
    if not isinstance(expr, Expr):
        return is_finite(expr)
    if expr.primitive is None:
        return True
    return _is_total(expr) and all(map(_is_number, expr.operands))


def _is_total(expr: Expr) -> bool:
    """Whether the last step of an expression makes a number of any numbers that it is given."""
    name = expr.primitive.name
    if name == "integer_pow":
        return expr.params["y"] >= 0
    if name == "div":
        return not isinstance(expr.operands[1], Expr)
    if name in ("log1p", "sqrt"):
        return _is_not_negative(expr.operands[0])
    return name not in ("log", "pow", "rsqrt")


def _is_not_negative(expr: Any) -> bool:
    """Whether a value is at least 0 for sure."""
    primitive = expr.primitive if isinstance(expr, Expr) else None
    return primitive is not None and primitive.name in _NOT_NEGATIVE


def _is(value: Any, number: int | float) -> bool:
    plain = isinstance(value, float | np.ndarray | np.generic) or (
        isinstance(value, jax.Array) and not isinstance(value, jax.core.Tracer)
    )
    return bool(plain and np.ndim(value) == 0 and float(value) == number)


def _size(value: Any) -> Any:
    return jnp.abs(value) if jnp.issubdtype(jnp.result_type(value), jnp.floating) else value


def _indices(name: str, inputs: list[Any]) -> list[Any]:
    """The operands that say which entries are taken, or where they go."""
    if name.startswith("scatter"):
        return inputs[1:2]
    start = {"select_n": 0, "dynamic_slice": 1, "gather": 1, "dynamic_update_slice": 2}
    stop = 1 if name == "select_n" else None
    return inputs[start[name] : stop] if name in start else []


def _terms(name: str, params: dict, shapes: Sequence[tuple[int, ...]]) -> int:
    """How many terms the sums of a primitive have, at most, of the shapes of its operands."""
    if name == "dot_general":
        contracted = params["dimension_numbers"][0][0]
        return int(np.prod([shapes[0][int(axis)] for axis in contracted], dtype=int)) + 2
    if name == "conv_general_dilated":
        features = params["dimension_numbers"].rhs_spec[0]
        return int(np.prod(shapes[1], dtype=int)) // shapes[1][features] + 2
    if name in ("reduce_sum", "cumsum", "reduce_window_sum"):
        return int(np.prod(shapes[0], dtype=int)) + 1
    if name in ("scatter-add", "scatter-sub", "scatter-mul"):  # all may go to one place
        return int(np.prod(shapes[2], dtype=int)) + 2
    return 3


def _place(eqns: Sequence[Any]) -> str:
    """Where the last of nested equations stands in the user's code, as far as JAX knows."""
    stack = "/".join(filter(None, (str(eqn.source_info.name_stack) for eqn in eqns)))
    inside = f"inside {stack}" if stack else "in the network"
    libraries = (
        sysconfig.get_paths()["purelib"],
        *site.getsitepackages(),
        os.path.dirname(os.path.dirname(__file__)),
    )
    # A function that is compiled, such as jnp.sort, does not know who called it.
    for eqn in reversed(eqns):
        trace = eqn.source_info.traceback
        for frame in trace.frames if trace is not None else ():
            if not frame.file_name.startswith((*libraries, "<")):
                return f"{inside}, at line {frame.line_num} of {os.path.basename(frame.file_name)}"
    return inside
