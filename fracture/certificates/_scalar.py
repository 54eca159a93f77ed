"""Elementwise functions as expressions of one variable, enclosed on intervals with two derivatives.

However an activation was written, as `max(x, 0)`, as a `select` of two cases or as a sum of
exponentials, its equations become one expression of the value that it is applied to. On a cell
[a, b] interval arithmetic bounds its values, slopes and curvature, and so its distance from its
chord; where pieces meet is found symbolically, so that cells do not contain kinks.
"""

import functools
import math
import operator
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

MOST_FORMS = 8  # linear pieces that are followed through an expression

Interval: TypeAlias = tuple[Array, Array]
Enclosure: TypeAlias = tuple[Interval, Interval, Interval]  # of value, slope and curvature
Form: TypeAlias = tuple[Any, Any]  # slope and intercept


class Expr(NamedTuple):
    """An elementwise expression: a primitive and its operands, expressions or constants.

    The variable is the expression without a primitive. Compared by identity.
    """

    primitive: Any = None
    operands: tuple[Any, ...] = ()
    params: Mapping[str, Any] = MappingProxyType({})


VARIABLE = Expr()

LINEAR = {"add", "add_any", "sub", "neg", "copy", "convert_element_type"}
ELEMENTWISE = LINEAR | {
    "mul",
    "div",
    "max",
    "min",
    "clamp",
    "abs",
    "sign",
    "select_n",
    "square",
    "integer_pow",
    "pow",
    "exp",
    "exp2",
    "expm1",
    "log",
    "log1p",
    "tanh",
    "logistic",
    "erf",
    "erfc",
    "sqrt",
    "rsqrt",
    "sin",
    "cos",
    "gt",
    "ge",
    "lt",
    "le",
    "eq",
    "ne",
    "and",
    "or",
    "not",
    "is_finite",
}


def evaluate(expr: Expr, x: Array) -> Array:
    """The expression at `x`."""
    known: dict[int, Array] = {}

    def visit(node):
        if not isinstance(node, Expr):
            return node
        if node.primitive is None:
            return x
        if id(node) not in known:
            operands = [visit(each) for each in node.operands]
            known[id(node)] = node.primitive.bind(*operands, **node.params)
        return known[id(node)]

    return visit(expr)


def magnitude(expr: Expr, size: Array) -> Array:
    """The sum of the sizes of all terms of an affine expression, of the size of its variable."""

    def visit(node):
        if not isinstance(node, Expr):
            return node if jnp.result_type(node) == jnp.bool_ else jnp.abs(node)
        if node.primitive is None:
            return size
        operands = [visit(each) for each in node.operands]
        if node.primitive.name == "neg":
            return operands[0]
        if node.primitive.name == "sub":
            return jnp.add(*operands)
        return node.primitive.bind(*operands, **node.params)

    return visit(expr)


def is_affine(expr: Any) -> bool:
    """Whether an expression is affine for its form alone."""
    if not isinstance(expr, Expr) or expr.primitive is None:
        return True
    name = expr.primitive.name
    inner = [each for each in expr.operands if isinstance(each, Expr)]
    scales = name == "mul" and len(inner) == 1
    scales |= name == "div" and len(inner) == 1 and inner[0] is expr.operands[0]
    scales |= name == "select_n" and not isinstance(expr.operands[0], Expr)
    return (name in LINEAR or scales) and all(map(is_affine, inner))


def factored(expr: Expr) -> tuple[Expr, Expr]:
    """An expression as a function of an affine one, which is the variable where there is none.

    Of ReLU(x + b), ReLU and x + b. Masks stay, which may be infinite.
    """
    inner: dict[int, Expr] = {}
    made: dict[int, Expr] = {}

    def visit(node):
        if not isinstance(node, Expr):
            return node
        if is_affine(node) and _has_no_masks(node):
            inner[id(node)] = node
            return VARIABLE
        if id(node) not in made:
            made[id(node)] = node._replace(operands=tuple(map(visit, node.operands)))
        return made[id(node)]

    outer = visit(expr)
    return (outer, *inner.values()) if len(inner) == 1 else (expr, VARIABLE)


def is_finite(constant: Any) -> bool:
    """Whether a constant is, as far as is known: traced ones pass for it."""
    return isinstance(constant, jax.core.Tracer) or bool(np.isfinite(constant).all())


def _has_no_masks(expr: Any) -> bool:
    """Whether an affine expression makes numbers of numbers, which traced constants pass for."""
    if not isinstance(expr, Expr):
        return is_finite(expr)
    if expr.primitive is None:
        return True
    return expr.primitive.name != "select_n" and all(map(_has_no_masks, expr.operands))


def is_indicator(expr: Any) -> bool:
    """Whether an expression is a condition as a number, 0 or 1."""
    if not isinstance(expr, Expr) or expr.primitive is None:
        return False
    if expr.primitive.name != "convert_element_type":
        return False
    (inner,) = expr.operands
    return isinstance(inner, Expr) and inner.primitive.name in {*_COMPARE, *_LOGIC, "not"}


def kinks(expr: Expr) -> tuple[list[Any], list[Form] | None]:
    """Where linear pieces of an expression meet, and these pieces.

    Returns
    -------
    places
        Arrays or numbers: every place where the expression may have a kink is among them, as far
        as it follows from linear pieces.
    forms
        Slopes and intercepts, one of which holds at each point; None where it is not piecewise
        linear.
    """
    places: list[Any] = []
    known: dict[int, list[Form] | None] = {}

    def meet(p, q):
        for a, b in p:
            for c, d in q:
                if _plain(a, c):
                    if a != c:
                        places.append((d - b) / float(a - c))
                    continue
                slope = a - c
                places.append(jnp.where(slope == 0, 0, (d - b) / jnp.where(slope == 0, 1, slope)))

    def both(combine, p, q):
        made = [combine(f, g) for f in p for g in q]
        return made if len(made) <= MOST_FORMS else None

    def visit(node):
        if not isinstance(node, Expr):
            return [(0, node)]
        if node.primitive is None:
            return [(1, 0)]
        if id(node) not in known:
            known[id(node)] = forms_of(node)
        return known[id(node)]

    def forms_of(node):
        name = node.primitive.name
        inner = [visit(each) for each in node.operands]
        if any(each is None for each in inner):
            return None
        if name in ("add", "add_any"):
            return both(lambda f, g: (f[0] + g[0], f[1] + g[1]), *inner)
        if name == "sub":
            return both(lambda f, g: (f[0] - g[0], f[1] - g[1]), *inner)
        if name == "neg":
            return [(-a, -b) for a, b in inner[0]]
        if is_indicator(node):
            return [(0, 0), (0, 1)]
        if name in ("copy", "convert_element_type"):
            return inner[0]
        if name == "mul":
            constant = [at for at, each in enumerate(node.operands) if not isinstance(each, Expr)]
            if not constant:
                return None
            scale = node.operands[constant[0]]
            return [(a * scale, b * scale) for a, b in inner[1 - constant[0]]]
        if name == "div" and not isinstance(node.operands[1], Expr):
            return [(a / node.operands[1], b / node.operands[1]) for a, b in inner[0]]
        if name in ("max", "min"):
            meet(*inner)
            return _few(inner[0] + inner[1])
        if name == "clamp":
            least, value, most = inner
            meet(value, least)
            meet(value, most)
            return _few(least + value + most)
        if name in ("abs", "sign"):
            meet(inner[0], [(0, 0)])
            if name == "sign":
                return None
            return _few(inner[0] + [(-a, -b) for a, b in inner[0]])
        if name in ("gt", "ge", "lt", "le", "eq", "ne"):
            meet(*inner)
            return [(0, 0)]
        if name in ("and", "or", "not"):
            return [(0, 0)]
        if name == "select_n":
            return _few(functools.reduce(operator.iadd, inner[1:], []))
        return None

    forms = visit(expr)
    return places, forms


def _plain(*values: Any) -> bool:
    return all(isinstance(value, int | float | np.number) for value in values)


def _few(forms: list[Form]) -> list[Form] | None:
    return forms if len(forms) <= MOST_FORMS else None


class Jet(NamedTuple):
    """What is known of an expression on a cell [a, b]."""

    value: Interval
    slope: Interval  # infinite where it may jump
    curve: Interval  # of the second derivative; infinite where it may have a kink
    ends: tuple[Array, Array]  # the values at a and b


class Truth(NamedTuple):
    """What is known of a condition on a cell."""

    always: Array  # inside the cell, its ends left out
    never: Array
    ends: tuple[Array, Array]
    unsure: tuple[Any, Any] = (False, False)  # whether rounding may have changed it there


def enclose(expr: Expr, a: Array, b: Array) -> Jet:
    """Values, slopes and curvature of an expression on the cell [a, b], entry by entry."""
    zero, one = jnp.zeros_like(a), jnp.ones_like(a)
    known: dict[int, Jet | Truth] = {}

    def visit(node):
        if not isinstance(node, Expr):
            return enclose_constant(node, a)
        if node.primitive is None:
            return Jet((a, b), (one, one), (zero, zero), (a, b))
        if id(node) not in known:
            operands = [visit(each) for each in node.operands]
            known[id(node)] = _apply(node, operands)
        return known[id(node)]

    return visit(expr)


def rounding(expr: Expr, a: Array, b: Array) -> Array:
    """How far the computed expression can be from the exact one, on the cell [a, b].

    Forward error analysis: what an operand is off by is passed on like a derivative, and each
    operation adds some ulps of its value. Where terms cancel, that is far more than ulps of what is
    left.
    """
    eps, tiny = jnp.finfo(a.dtype).eps, jnp.finfo(a.dtype).tiny
    zero = jnp.zeros_like(a)
    known: dict[int, Jet | Truth] = {}

    def visit(node):
        if not isinstance(node, Expr) or node.primitive is None:
            jet = enclose(node, a, b) if isinstance(node, Expr) else enclose_constant(node, a)
            return jet._replace(slope=(zero, zero)) if isinstance(jet, Jet) else jet
        if id(node) not in known:
            operands = [visit(each) for each in node.operands]
            made = _apply(node, operands)
            if isinstance(made, Truth):
                made = made._replace(unsure=_unsure(operands))
            else:
                error = jnp.maximum(jnp.abs(made.slope[0]), jnp.abs(made.slope[1]))
                if isinstance(operands[0], Truth):  # of the case, or the other case
                    no, yes = operands[1:] or [_number(v, a) for v in (0.0, 1.0)]
                    error = jnp.maximum(no.slope[1], yes.slope[1])
                    error = jnp.where(operands[0].always, yes.slope[1], error)
                    error = jnp.where(operands[0].never, no.slope[1], error)
                    apart = _at_ends(lambda p, q: jnp.abs(p - q), no, yes)
                    missed = [
                        jnp.where(unsure, each, 0)
                        for unsure, each in zip(operands[0].unsure, apart, strict=True)
                    ]
                    error = error + jnp.maximum(*missed)
                if node.primitive.name == "sign":  # right, or wrong by 2
                    error = jnp.where(operands[0].slope[1] > 0, error, 0)
                size = jnp.maximum(jnp.abs(made.value[0]), jnp.abs(made.value[1]))
                error = error + _ulps(node, size) * eps * size + tiny
                made = made._replace(slope=(-error, error), curve=(zero, zero))
            known[id(node)] = made
        return known[id(node)]

    slope = visit(expr).slope[1]
    return jnp.where(jnp.isnan(slope), jnp.inf, slope)


def _unsure(operands: list[Any]) -> Interval:
    """Whether what a condition is of is off by as much as it would take to change it, at the ends.

    Errors stand in place of slopes.
    """
    if isinstance(operands[0], Truth):
        each = [known.unsure for known in operands]
        return tuple(functools.reduce(operator.or_, sides) for sides in zip(*each, strict=True))
    error = sum(known.slope[1] for known in operands)
    first, second = _at_ends(lambda f, g: jnp.abs(f - g) <= error, *operands)
    return first & (error > 0), second & (error > 0)


def _ulps(node: Expr, size: Array) -> Any:
    """How many ulps an operation of XLA can be off by, more than measured in float32."""
    name = node.primitive.name
    if name in ("exp2", "pow"):  # exponentials of rounded products
        return 64
    if name == "erfc":  # its tail is one of a rounded square
        return jnp.where(size < 0.01, 64, 8)
    return 4 + abs(node.params["y"]) if name == "integer_pow" else 4


def enclose_constant(value: Any, a: Array) -> Jet | Truth:
    """A number, or a truth, as what is known of it on every cell."""
    full = jnp.broadcast_to(value, a.shape)
    if full.dtype == bool:
        return Truth(full, ~full, (full, full))
    return _number(full, a)


def _number(value: Any, a: Array) -> Jet:
    full, zero = jnp.broadcast_to(value, a.shape).astype(a.dtype), jnp.zeros_like(a)
    return Jet((full, full), (zero, zero), (zero, zero), (full, full))


def _apply(node: Expr, operands: list[Any]) -> Any:
    name = node.primitive.name
    jets = [each for each in operands if isinstance(each, Jet)]
    if name in _COMPARE:
        return _compare(name, *operands)
    if name == "not":
        (p,) = operands
        return Truth(p.never, p.always, (~p.ends[0], ~p.ends[1]))
    if name in ("and", "or"):
        p, q = operands
        ends = _at_ends(_LOGIC[name], p, q)
        if name == "and":
            return Truth(p.always & q.always, p.never | q.never, ends)
        return Truth(p.always | q.always, p.never & q.never, ends)
    if name == "select_n":
        return _select(*operands)
    if is_indicator(node):
        (which,) = operands
        like = jnp.zeros_like(which.always, node.params["new_dtype"])
        return _select(which, _number(0.0, like), _number(1.0, like))
    ends = _at_ends(partial(node.primitive.bind, **node.params), *jets)
    value, slope, curve = _RULES[name](node, *jets)
    return Jet(value, slope, curve, ends)


def _at_ends(function: Callable[..., Array], *known: Any) -> Interval:
    """A function of values at both ends of the cell."""
    first, second = (function(*(each.ends[side] for each in known)) for side in (0, 1))
    return first, second


_LOGIC: dict[str, Callable[..., Array]] = {"and": jnp.logical_and, "or": jnp.logical_or}
_COMPARE: dict[str, Callable[..., Array]] = {
    "gt": jnp.greater,
    "ge": jnp.greater_equal,
    "lt": jnp.less,
    "le": jnp.less_equal,
    "eq": jnp.equal,
    "ne": jnp.not_equal,
}


def _compare(name: str, f: Jet, g: Jet) -> Truth:
    ends = _at_ends(_COMPARE[name], f, g)
    # Touching at an end decides nothing: what lies inside the cell does, unless both are constant.
    apart = (f.value[0] < f.value[1]) | (g.value[0] < g.value[1])
    above = (f.value[0] > g.value[1]) | ((f.value[0] >= g.value[1]) & apart)
    below = (f.value[1] < g.value[0]) | ((f.value[1] <= g.value[0]) & apart)
    same = (f.value[0] == g.value[1]) & (f.value[1] == g.value[0])
    if name in ("gt", "ge"):
        return Truth(above | (same & (name == "ge")), below | (same & (name == "gt")), ends)
    if name in ("lt", "le"):
        return Truth(below | (same & (name == "le")), above | (same & (name == "lt")), ends)
    equal, unequal = same, above | below
    return Truth(equal, unequal, ends) if name == "eq" else Truth(unequal, equal, ends)


def _select(which: Truth, no: Jet, yes: Jet) -> Jet:
    """One of two cases: where the condition may change, they have to agree for no jump."""
    ends = _at_ends(jnp.where, which, yes, no)

    def mix(p, q, unsure):
        return tuple(
            jnp.where(which.always, s, jnp.where(which.never, t, other))
            for s, t, other in zip(p, q, unsure, strict=True)
        )

    inf = jnp.full_like(ends[0], jnp.inf)
    value = mix(yes.value, no.value, _hull(yes.value, no.value))
    value = _hull(value, (jnp.minimum(*ends), jnp.maximum(*ends)))
    slope, curve = (mix(yes[at], no[at], (-inf, inf)) for at in (1, 2))
    # At an end the other case may hold: there both have to have the same value.
    jumps = jnp.zeros(ends[0].shape, bool)
    for p, s, t in zip(which.ends, yes.ends, no.ends, strict=True):
        other = (which.always & ~p) | (which.never & p)
        size = jnp.maximum(jnp.abs(s), jnp.abs(t))
        jumps |= other & ~(jnp.abs(s - t) <= 8 * jnp.finfo(size.dtype).eps * size)
    slope = jnp.where(jumps, -jnp.inf, slope[0]), jnp.where(jumps, jnp.inf, slope[1])
    return Jet(value, slope, curve, ends)


def _hull(p: Interval, q: Interval) -> Interval:
    return jnp.minimum(p[0], q[0]), jnp.maximum(p[1], q[1])


def _plus(*intervals: Interval) -> Interval:
    low, high = intervals[0]
    for p in intervals[1:]:
        low, high = low + p[0], high + p[1]
    return low, high


def _minus(p: Interval) -> Interval:
    return -p[1], -p[0]


def _times(p: Interval, q: Interval) -> Interval:
    # 0 times infinity is 0 here: an infinite slope of what is multiplied by 0 does no harm.
    products = [jnp.where((s == 0) | (t == 0), 0, s * t) for s in p for t in q]
    low = jnp.minimum(jnp.minimum(*products[:2]), jnp.minimum(*products[2:]))
    high = jnp.maximum(jnp.maximum(*products[:2]), jnp.maximum(*products[2:]))
    return low, high


def _squared(p: Interval) -> Interval:
    s, t = p[0] ** 2, p[1] ** 2
    inside = (p[0] < 0) & (p[1] > 0)
    return jnp.where(inside, 0, jnp.minimum(s, t)), jnp.maximum(s, t)


def _scaled(p: Interval, factor: float | int) -> Interval:
    return (p[0] * factor, p[1] * factor) if factor >= 0 else (p[1] * factor, p[0] * factor)


def _shifted(p: Interval, by: float | int) -> Interval:
    return p[0] + by, p[1] + by


def _one_over(p: Interval) -> Interval:
    apart = (p[0] > 0) | (p[1] < 0)
    low, high = 1 / jnp.where(apart, p[1], 1), 1 / jnp.where(apart, p[0], 1)
    return jnp.where(apart, low, -jnp.inf), jnp.where(apart, high, jnp.inf)


def _rising(function: Callable[[Array], Array]) -> Callable[[Interval], Interval]:
    return lambda p: (function(p[0]), function(p[1]))


def _falling(function: Callable[[Array], Array]) -> Callable[[Interval], Interval]:
    return lambda p: (function(p[1]), function(p[0]))


def _chain(g: Interval, dg: Interval, ddg: Interval, f: Jet) -> Enclosure:
    curve = _plus(_times(ddg, _squared(f.slope)), _times(dg, f.curve))
    return g, _times(dg, f.slope), curve


def _sum(f: Jet, g: Jet) -> Enclosure:
    return _plus(f.value, g.value), _plus(f.slope, g.slope), _plus(f.curve, g.curve)


def _product(f: Jet, g: Jet) -> Enclosure:
    value = _times(f.value, g.value)
    slope = _plus(_times(f.slope, g.value), _times(f.value, g.slope))
    cross = _scaled(_times(f.slope, g.slope), 2)
    return value, slope, _plus(_times(f.curve, g.value), cross, _times(f.value, g.curve))


def _quotient(f: Jet, g: Jet) -> Enclosure:
    inverse = _one_over(g.value)
    square = _squared(inverse)
    over = _chain(inverse, _minus(square), _scaled(_times(square, inverse), 2), g)
    return _product(f, Jet(*over, ends=f.ends))


def _larger(f: Jet, g: Jet) -> Enclosure:
    first, second = f.value[0] >= g.value[1], g.value[0] >= f.value[1]
    inf = jnp.full_like(f.value[0], jnp.inf)
    value = jnp.maximum(f.value[0], g.value[0]), jnp.maximum(f.value[1], g.value[1])

    def pick(p, q, unsure):
        return tuple(
            jnp.where(first, s, jnp.where(second, t, other))
            for s, t, other in zip(p, q, unsure, strict=True)
        )

    slope = pick(f.slope, g.slope, _hull(f.slope, g.slope))
    return value, slope, pick(f.curve, g.curve, (-inf, inf))


def _negated(f: Jet) -> Jet:
    ends = f.ends[0], f.ends[1]
    return Jet(_minus(f.value), _minus(f.slope), _minus(f.curve), ends)


def _absolute(f: Jet) -> Enclosure:
    (low, high), slope, curve = _larger(f, _negated(f))
    return (jnp.maximum(low, 0), high), slope, curve


def _smaller(f: Jet, g: Jet) -> Enclosure:
    value, slope, curve = _larger(_negated(f), _negated(g))
    return _minus(value), _minus(slope), _minus(curve)


def _clamped(least: Jet, f: Jet, most: Jet) -> Enclosure:
    return _smaller(Jet(*_larger(f, least), ends=f.ends), most)


def _sign(f: Jet) -> Enclosure:
    value = jnp.sign(f.value[0]), jnp.sign(f.value[1])
    zero, inf = jnp.zeros_like(value[0]), jnp.full_like(value[0], jnp.inf)
    # Even at an end of the cell, a jump is a jump.
    steady = (value[0] == value[1]) & (value[0] != 0)
    slope = jnp.where(steady, zero, -inf), jnp.where(steady, zero, inf)
    return value, slope, slope


def _power(f: Jet, n: int) -> Enclosure:
    if n < 0:
        one = jnp.ones_like(f.value[0])
        constant = Jet((one, one), (0 * one, 0 * one), (0 * one, 0 * one), (one, one))
        return _quotient(constant, Jet(*_power(f, -n), ends=f.ends))

    def raised(k):
        if k <= 0:
            one = jnp.ones_like(f.value[0])
            return one, one
        if k % 2:
            return f.value[0] ** k, f.value[1] ** k
        half = _squared((f.value[0], f.value[1]))
        return half[0] ** (k // 2), half[1] ** (k // 2)

    ddg = _scaled(raised(n - 2), n * (n - 1)) if n >= 2 else _scaled(raised(0), 0)
    dg = _scaled(raised(n - 1), n)
    return _chain(raised(n), dg, ddg, f)


def _logistic(f: Jet) -> Enclosure:
    s = _rising(jax.nn.sigmoid)(f.value)
    rate = s[0] * (1 - s[1]), jnp.minimum(s[1] * (1 - s[0]), 0.25)
    return _chain(s, rate, _times(rate, _shifted(_scaled(s, -2), 1)), f)


def _tanh(f: Jet) -> Enclosure:
    t = _rising(jnp.tanh)(f.value)
    rate = _shifted(_minus(_squared(t)), 1)
    return _chain(t, rate, _scaled(_times(t, rate), -2), f)


def _erf(f: Jet) -> Enclosure:
    x = f.value
    rate = _scaled(_rising(jnp.exp)(_minus(_squared(x))), 2 / float(np.sqrt(np.pi)))
    return _chain(_rising(jax.scipy.special.erf)(x), rate, _scaled(_times(x, rate), -2), f)


def _erfc(f: Jet) -> Enclosure:
    _, slope, curve = _erf(f)
    # Not one less the values of erf: of a tail nothing would be left.
    return _falling(jax.scipy.special.erfc)(f.value), _minus(slope), _minus(curve)


def _wave(function: Callable[[Array], Array], f: Jet, slope: Callable, curve: Callable) -> Any:
    """A sine: within half the width of its middle, and within [-1, 1]."""

    def around(g):
        middle = (f.value[0] + f.value[1]) / 2
        width = (f.value[1] - f.value[0]) / 2
        return jnp.maximum(g(middle) - width, -1), jnp.minimum(g(middle) + width, 1)

    return _chain(around(function), around(slope), around(curve), f)


def _exponential(f: Jet, base: float | int = math.e) -> Enclosure:
    rate = float(np.log(base))
    value = _rising(lambda x: jnp.exp(x * rate))(f.value)
    return _chain(value, _scaled(value, rate), _scaled(value, rate**2), f)


def _root(f: Jet) -> Enclosure:
    slope = _falling(lambda x: 0.5 * jax.lax.rsqrt(x))(f.value)
    curve = _rising(lambda x: -0.25 * jax.lax.rsqrt(x) ** 3)(f.value)
    return _chain(_rising(jnp.sqrt)(f.value), slope, curve, f)


def _one_over_root(f: Jet) -> Enclosure:
    slope = _rising(lambda x: -0.5 * jax.lax.rsqrt(x) ** 3)(f.value)
    curve = _falling(lambda x: 0.75 * jax.lax.rsqrt(x) ** 5)(f.value)
    return _chain(_falling(jax.lax.rsqrt)(f.value), slope, curve, f)


def _logarithm(f: Jet, shift: float | int = 0) -> Enclosure:
    inverse = _falling(lambda x: 1 / (x + shift))(f.value)
    value = _rising(jnp.log1p if shift else jnp.log)(f.value)
    return _chain(value, inverse, _minus(_squared(inverse)), f)


def _less_one(f: Jet) -> Enclosure:
    _, slope, curve = _exponential(f)
    return _rising(jnp.expm1)(f.value), slope, curve


def _real_power(node: Expr, f: Jet, exponent: Jet) -> Enclosure:
    p = exponent.value[0]
    known = f.value[0] >= 0  # rises or falls there

    def raised(power, factor):
        ends = factor * f.value[0] ** power, factor * f.value[1] ** power
        low, high = jnp.minimum(*ends), jnp.maximum(*ends)
        return jnp.where(known, low, -jnp.inf), jnp.where(known, high, jnp.inf)

    return _chain(raised(p, 1), raised(p - 1, p), raised(p - 2, p * (p - 1)), f)


def _same(node: Expr, f: Jet) -> Enclosure:
    return f.value, f.slope, f.curve


_RULES: dict[str, Callable[..., Enclosure]] = {
    "add": lambda _, f, g: _sum(f, g),
    "add_any": lambda _, f, g: _sum(f, g),
    "sub": lambda _, f, g: _sum(f, _negated(g)),
    "neg": lambda _, f: _negated(f)[:3],
    "copy": _same,
    "convert_element_type": _same,
    "mul": lambda _, f, g: _product(f, g),
    "div": lambda _, f, g: _quotient(f, g),
    "max": lambda _, f, g: _larger(f, g),
    "min": lambda _, f, g: _smaller(f, g),
    "clamp": lambda _, low, f, high: _clamped(low, f, high),
    "abs": lambda _, f: _absolute(f),
    "sign": lambda _, f: _sign(f),
    "square": lambda _, f: _power(f, 2),
    "integer_pow": lambda node, f: _power(f, node.params["y"]),
    "pow": _real_power,
    "exp": lambda _, f: _exponential(f),
    "exp2": lambda _, f: _exponential(f, 2),
    "expm1": lambda _, f: _less_one(f),
    "log": lambda _, f: _logarithm(f),
    "log1p": lambda _, f: _logarithm(f, 1),
    "tanh": lambda _, f: _tanh(f),
    "logistic": lambda _, f: _logistic(f),
    "erf": lambda _, f: _erf(f),
    "erfc": lambda _, f: _erfc(f),
    "sqrt": lambda _, f: _root(f),
    "rsqrt": lambda _, f: _one_over_root(f),
    "sin": lambda _, f: _wave(jnp.sin, f, jnp.cos, lambda x: -jnp.sin(x)),
    "cos": lambda _, f: _wave(jnp.cos, f, lambda x: -jnp.sin(x), lambda x: -jnp.cos(x)),
}
