"""Shor's relaxation of a chain of layers, in the dual: quadratic bounds instead of linear ones.

Where `substitute` bounds what follows a layer by a linear function of its values x, here it is a
quadratic one, <c, x> − ½ (x − x̂)ᵀQ(x − x̂), x̂ being the value at the input. Two steps lead to the
layer before:

- Q is made diagonal. If A = diag(μ) − Q has no negative eigenvalue, then for every vector y
  ½ (x − x̂ + y)ᵀA(x − x̂ + y) ≥ 0, so −½ (x − x̂)ᵀQ(x − x̂) is at least
  −½ Σ μ_i (x_i − x̂_i)² − <Ay, x − x̂> − ½ yᵀAy.
- x = f(z) entry by entry, and c f(z) − ½ μ (f(z) − x̂)² ≥ g z − ½ λ (z − ẑ)² + offset, where the
  offset is a minimum over an interval in closed form, whatever g and λ are.

With z = Wx' + b the layer before has Q' = Wᵀ diag(λ) W. At the input the diagonal is paid for by
the ball. Any (g, λ, μ, y) give a bound, and those of the linear bounds are among them. Weights of
the coupling of x with its own z are left out: they gained nothing.

References
----------
Raghunathan, Steinhardt, Liang (2018), "Semidefinite relaxations for certifying robustness to
adversarial examples", arXiv:1811.01057. Dathathri et al. (2020), arXiv:2010.11645. Chiu et al.
(2025), "SDP-CROWN", arXiv:2506.06665, has one weight for a layer.
"""

import functools
from collections.abc import Sequence
from math import isinf
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ..norms import dual_order, norm, positive
from ._ascend import Ascent, resume
from ._bounds import _THROUGH, Choice, Known, Linear, Relaxation, closest, improved
from ._domain import Domain, spread
from ._graph import Node
from ._pieces import ULPS, Pieces, rises

WIDEST = 2048  # neurons of a layer: matrices of that size are squared in every step
BLOCK = 4096  # terms that are summed at once
SQUARINGS = 6  # to the power of 64: what is not the largest eigenvalue is gone
_LENGTHS = {"slope": 0.03, "shift": 0.01, "push": 0.03}
_FAR_STEP = 0.3  # of logarithms
_FAR = 4.0  # logarithm of the share of a neuron that does not move: its μ costs nothing


class Link(NamedTuple):
    """From the values of one elementwise step, or the input, to what the next one is of."""

    source: int  # the step whose values come in
    inner: int  # the affine step that is the matrix times these, plus a constant
    place: int  # the elementwise step of that
    matrix: Float[Array, "n m"]
    size: Float[Array, "n m"]  # the sum of the sizes of the terms of its entries
    terms: int  # how many roundings an entry of what `inner` computes may have
    roundings: int  # how many an entry of the matrix may have


class Split(NamedTuple):
    """How Q is made diagonal where a step's values come out: μ and y."""

    log_share: Float[Array, " m"]  # of μ, up to a common factor
    log_excess: Float[Array, ""]  # of the factor over the least possible one, less 1
    push: Float[
        Array, " m"
    ]  # A y, in units of the size of c; at the input, in units of its entries


class Multipliers(NamedTuple):
    """By step. Of a `Choice` the weight is an array, a scalar for each entry.

    `balls` are weights λ that are paid for by the radius of the ball that is known, as in
    `substitute`.
    """

    choices: dict[int, Choice]
    balls: dict[int, Array]
    splits: dict[int, Split]


def chain(known: Known) -> list[Link] | None:
    """The layers of a network in which each depends on the one before alone; None for others.

    Layers that are too wide for their eigenvalues count as others.
    """
    nodes = known.nodes
    places = [at for at, node in enumerate(nodes) if node.kind == "scalar"]
    path = [0, *places]
    ends = [*(nodes[at].parents[0] for at in places), len(nodes) - 1]
    alone = (_rests_on(nodes, end, start) for start, end in zip(path, ends, strict=True))
    if not places or not all(alone):
        return None
    if max(nodes[at].size for at in places) > WIDEST:
        return None
    return [_link(known, source, at) for source, at in zip(path[:-1], places, strict=True)]


def _rests_on(nodes: Sequence[Node], at: int, source: int) -> bool:
    """Whether a step is another one, or an affine function of it alone: affine steps are merged."""
    return at == source or (nodes[at].kind == "affine" and set(nodes[at].parents) == {source})


def _link(known: Known, source: int, place: int) -> Link:
    nodes, inner = known.nodes, known.nodes[place].parents[0]
    node, same = nodes[inner], inner == source

    def rows(function, at):
        run = lambda v: v if same else function(*(v for _ in node.parents))
        return jax.vmap(lambda v: jax.vjp(run, at)[1](v)[0].ravel())(eye)

    shape, dtype = nodes[source].shape, nodes[source].dtype
    eye = jnp.eye(node.size, dtype=dtype).reshape(-1, *node.shape)
    matrix = rows(node.apply, jnp.zeros(shape, dtype))
    # At 1, where the size of an entry is the entry.
    size = rows(node.magnitude, jnp.ones(shape, dtype))
    if same:
        return Link(source, inner, place, matrix, size, terms=0, roundings=0)
    # Rows of one matrix are itself; of a product of several they are sums.
    roundings = 2 * node.steps + (node.terms + node.spread if node.sums > 1 else 0)
    return Link(source, inner, place, matrix, size, node.terms + 8, roundings)


def begin(known: Known, links: Sequence[Link], relaxed: Relaxation, seed: Array) -> Multipliers:
    """The closest lines, and weights such as ascents of trained networks end with."""
    choices = closest(known.nodes, relaxed, len(known.nodes) - 1, seed)
    dtype = known.center[0].dtype
    made: dict[int, Choice] = {}
    balls: dict[int, Array] = {}
    splits: dict[int, Split] = {}
    for link in links:
        slope = choices[link.place].slope
        made[link.place] = Choice(slope, jnp.full_like(slope, -2.3), jnp.zeros_like(slope))
        balls[link.place] = jnp.full((), -4.5, dtype)
        size = known.nodes[link.source].size
        share, push = jnp.zeros(size, dtype), jnp.zeros(size, dtype)
        if link.source > 0:
            pieces = relaxed.pieces[link.source]
            still = pieces.high - pieces.low <= 4 * ULPS * jnp.finfo(dtype).eps * pieces.size
            share = jnp.where(still.ravel(), _FAR, share)
        excess = jnp.full((), -3 if link.source else -2.4, dtype)
        splits[link.source] = Split(share, excess, push)
    return Multipliers(made, balls, splits)


def _round(domain: Domain) -> bool:
    return domain.ord == 2 and domain.room is None


def bound(
    known: Known,
    links: Sequence[Link],
    relaxed: Relaxation,
    domain: Domain,
    seed: Array,
    multipliers: Multipliers,
) -> Linear:
    """A lower bound of <seed, outputs>, for any multipliers.

    Parameters
    ----------
    known, links
        From `fixed` and `chain`.
    relaxed, domain
        From `relax`, on the same domain.
    seed
        Coefficients of the outputs.
    multipliers
        Any.

    Returns
    -------
    Linear in the displacement: a bound for all radii up to that of the domain.
    """
    nodes, dtype = known.nodes, known.center[0].dtype
    eps = jnp.finfo(dtype).eps
    c, at = seed, len(nodes) - 1
    constant = jnp.zeros((), dtype)
    quadratic: _Quadratic | None = None
    for link in reversed(links):
        c, added = _back(nodes, relaxed, at, link.place, c)
        constant += added
        pieces, center = relaxed.pieces[link.place], known.center[link.inner]
        choice, ball = multipliers.choices[link.place], relaxed.balls[link.place]
        useful = (ball.radius > 0) & (ball.radius < jnp.inf)
        radius = jnp.where(useful, ball.radius, 1)
        unit = norm(c) / radius
        own = jnp.exp(choice.log_weight) * unit
        paid = jnp.where(useful, jnp.exp(multipliers.balls[link.place]) * unit, 0)
        values = known.center[link.place]
        if quadratic is None:
            mu = jnp.zeros_like(c)
        else:
            # A bound in x − x̂: its coefficients are of x, too.
            split = multipliers.splits[link.place]
            c, mu, added = _split(c, quadratic, split, values, pieces)
            constant += added
        weight = own + mu * pieces.steepness**2
        g = c * choice.slope + choice.shift
        rest = least_of_pieces(pieces, c, mu, values, g, weight + paid, center)
        constant += jnp.sum(rest) - eps * g.size * jnp.sum(jnp.abs(rest)) - paid * radius**2 / 2
        quadratic, lost = _pulled(link, relaxed, pieces, weight, center, radius, useful)
        constant -= lost
        c, at = g, link.inner
    c, added = _back(nodes, relaxed, at, 0, c)
    split = multipliers.splits[0]
    return _at_input(known, domain, c, constant + added, quadratic, split)


class _Quadratic(NamedTuple):
    """½ ‖root x‖² is taken off, up to what the root may be wrong by.

    That is at most ½ (Σ rough/p) Σ p x², whatever p > 0 is.
    """

    root: Float[Array, "n m"]
    rough: Float[Array, " m"]


def _pulled(link, relaxed, pieces, weight, center, radius, useful):
    """½ Σ λ (z − ẑ)² in terms of the values before, and what is lost in rounding."""
    eps = jnp.finfo(weight.dtype).eps
    weight = weight.ravel()
    root = jnp.sqrt(weight)[:, None] * link.matrix
    size = jnp.sqrt(weight)[:, None] * link.size
    # ẑ is W x̂ + b up to so much.
    missed = eps / 2 * link.terms * relaxed.sizes[link.inner].ravel()
    ends = jnp.maximum(pieces.points[-1] - center, center - pieces.points[0]).ravel()
    far = jnp.sqrt(jnp.sum(ends**2))
    far = jnp.where(useful, jnp.minimum(far, radius), far) * (1 + 1e-3)
    lost = jnp.sqrt(jnp.sum((weight * missed) ** 2)) * far + jnp.sum(weight * missed**2)
    return _Quadratic(root, jnp.sum(size**2, axis=0) * (2 * link.roundings + 8) * eps), lost * (
        1 + 1e-3
    )


def _split(c, quadratic, split, values, pieces):
    """Coefficients of x, μ, and a constant, from <c, x> − ½ (x − x̂)ᵀQ(x − x̂)."""
    shape, flat = c.shape, c.ravel()
    excess, share = jnp.exp(split.log_excess), jnp.exp(split.log_share)
    wanted = split.push * norm(c) * jnp.sqrt(1 / c.size).astype(c.dtype)
    mu, moved, cost, wrong = _dominated(quadratic, share, excess, wanted)
    ends = jnp.maximum(pieces.high - values, values - pieces.low).ravel()
    eps = jnp.finfo(c.dtype).eps
    lost = jnp.sum(wrong * ends) + eps * (c.size + 8) * jnp.sum(jnp.abs(moved * values.ravel()))
    lost += eps * jnp.sum((jnp.abs(flat) + jnp.abs(moved)) * ends)
    given = jnp.sum(moved * values.ravel()) - cost - lost * (1 + 1e-3)
    return (flat - moved).reshape(shape), mu.reshape(shape), given


def _dominated(quadratic: _Quadratic, share, excess, wanted, unit=None):
    """μ in proportion to the shares with A = diag(μ) − Q positive; A y near what is wanted.

    Returns μ, A y, at least ½ yᵀAy, and how far A y may be from what it should be. The y need not
    be right: gradients are those of A y and of the largest eigenvalue.
    """
    root, eps = quadratic.root, jnp.finfo(wanted.dtype).eps
    n, m = root.shape
    scaled = root / jnp.sqrt(share)
    powers = _powers(jax.lax.stop_gradient(_gram(scaled)))
    near = jnp.sum((_top(powers) @ scaled) ** 2)
    # Of the Gram matrix: an entry to as many roundings of ‖a_i‖ ‖a_j‖ as its sums are long.
    length = min(m, BLOCK) + -(-m // BLOCK) + 16
    error = eps / 2 * length * jnp.sum(scaled**2) * (1 + (n * m + 8) * eps)
    # In value the bound, with the derivative of what it bounds.
    largest = near + jax.lax.stop_gradient(_largest(powers) - near)
    least = largest + error + _vanishing(powers.matrices[0])
    factor = least + excess * (least if unit is None else unit)
    fixed, mu, final = jax.lax.stop_gradient((root, factor * share, factor))

    def solved(v):
        """Near A⁻¹ v by Woodbury's identity, in fixed numbers."""
        return v / mu + fixed.T @ _summed(powers, final, fixed @ (v / mu)) / mu

    def applied(y):
        return factor * share * y - root.T @ (root @ y)

    y = jax.lax.stop_gradient(solved(wanted))
    y = y - solved(applied(y) - wanted)  # a step that also has the derivatives of A⁻¹
    moved = applied(y)
    sizes = factor * share * jnp.abs(y) + jnp.abs(root).T @ (jnp.abs(root) @ jnp.abs(y))
    wrong = eps * (n + m + 16) * sizes
    cost = jnp.sum(y * moved) / 2 + jnp.sum(jnp.abs(y) * wrong)
    # The factor, times the share, is at least what is needed: it is rounded up.
    mu = (factor + jnp.sum(quadratic.rough / share)) * share * (1 + 16 * eps)
    return mu, moved, cost, wrong


class _Powers(NamedTuple):
    """Of a symmetric matrix G: all that is asked of its spectrum comes of matrix products."""

    matrices: list[Float[Array, "n n"]]  # the powers 1, 2, 4, … of G, each over its own norm
    norms: list[Float[Array, ""]]  # Frobenius norms: of G, and of the squares of the matrices


def _powers(gram: Float[Array, "n n"]) -> _Powers:
    """Six squarings."""
    matrices, norms = [], []
    small = _vanishing(gram)
    for _ in range(SQUARINGS + 1):
        norms.append(jnp.maximum(jnp.sqrt(jnp.sum(gram**2)), small))
        matrices.append(gram / norms[-1])
        gram = jnp.dot(matrices[-1], matrices[-1], precision=jax.lax.Precision.HIGHEST)
    return _Powers(matrices, norms)


def _vanishing(gram: Array) -> float:
    """Four times what the norm of a matrix may be if the squares of its entries vanish."""
    return 4 * len(gram) * float(jnp.finfo(gram.dtype).tiny) ** 0.5


def _largest(powers: _Powers) -> Array:
    """At least the largest eigenvalue of G, in absolute value: that of G² is its square."""
    n, eps = len(powers.matrices[0]), jnp.finfo(powers.norms[0].dtype).eps
    whole = 1 + (n**2 + 16) * eps  # at least the norm of a matrix that was divided by its own
    most = jnp.full((), whole, powers.norms[0].dtype)
    for size in powers.norms[:0:-1]:
        most = jnp.sqrt(size * most + eps / 2 * (n + 16) * whole**2) * (1 + 8 * eps)
    return powers.norms[0] * most


def _top(powers: _Powers) -> Array:
    """A unit vector close to that of the largest eigenvalue, of which the last power consists."""
    last = powers.matrices[-1]
    v = last[jnp.argmax(jnp.diagonal(last))]
    v = powers.matrices[-1] @ v
    return v / positive(norm(v))


def _summed(powers: _Powers, factor: Array, v: Array) -> Array:
    """(1 − G/factor)⁻¹ v: the geometric series up to a power of 127, as a product of sums."""
    share = 1 / factor
    for matrix, size in zip(powers.matrices, powers.norms, strict=True):
        share = size * share
        v = v + share * (matrix @ v)
        share = share**2
    return v


def _gram(a: Array) -> Array:
    """A Aᵀ, summed in blocks: rounding grows with the length of a sum."""
    blocks = jnp.split(a, list(range(BLOCK, a.shape[1], BLOCK)), axis=1)
    exactly = jax.lax.Precision.HIGHEST
    return functools.reduce(jnp.add, (jnp.dot(b, b.T, precision=exactly) for b in blocks))


def _back(nodes, relaxed, start, stop, c):
    """A linear function of one step as one of an earlier, of which it is an affine function."""
    eps, node = jnp.finfo(c.dtype).eps, nodes[start]
    constant = jnp.zeros((), c.dtype)
    if start != stop:
        # Pulled back, an entry is a sum over those of the step, at most; a constant that went
        # through another sum on its way is one too.
        roundings = max(node.spread, node.size) + (node.terms if node.sums > 1 else 0) + 16
        constant -= eps / 2 * roundings * jnp.sum(jnp.abs(c) * relaxed.sizes[start])
        moved, added = _THROUGH["affine"](node, relaxed, start, c)
        constant, c = constant + added, sum(moved)
    rounding = eps / 2 * (nodes[stop].size + 16) * jnp.sum(jnp.abs(c) * relaxed.sizes[stop])
    return c, constant - rounding


def _at_input(known, domain, c, constant, quadratic, split) -> Linear:
    """The diagonal is paid for by the ball, or by the box."""
    x, eps = known.center[0], jnp.finfo(c.dtype).eps
    constant += jnp.sum(c * x)
    slope = c.ravel()
    excess = jnp.exp(split.log_excess)
    # In a ball all of c is minimised with the quadratic, and one μ for all is best.
    one = jnp.ones_like(slope)
    share, push = (one, one) if _round(domain) else (jnp.exp(split.log_share), split.push)
    low, high = spread(domain)
    most = jnp.maximum(-low, high)
    unit = norm(slope) / positive(norm(most) if isinf(domain.ord) else domain.radius)
    mu, moved, cost, wrong = _dominated(quadratic, share, excess, push * slope, unit)
    wrong = (wrong + eps * (jnp.abs(slope) + jnp.abs(moved))) * (1 + 1e-3)
    dual = dual_order(domain.ord)
    constant -= cost + jnp.minimum(jnp.sum(wrong * most), norm(wrong, dual) * domain.radius)
    rest = slope - moved
    ball = jnp.inf if isinf(domain.ord) else jnp.max(mu) * domain.radius**2
    paid = jnp.minimum(ball, jnp.sum(mu * most**2)) / 2 * (1 + (x.size + 16) * eps)
    if domain.room is not None:
        return Linear(rest, constant - paid)
    # Convex in the radius, and so below its chord; only the size of a slope matters here.
    size = norm(rest, dual) + paid / positive(domain.radius)
    size = size * (1 + (x.size + 16) * eps)
    length = norm(slope, dual)
    # A slope that vanishes cannot pay.
    constant -= jnp.where(length > 0, 0, size * domain.radius)
    return Linear(slope * (size / positive(length)), constant)


def _lengths(multipliers: Multipliers) -> PyTree:
    """Of first steps: logarithms go far, what is in units of coefficients does not."""
    of = lambda path, _: _LENGTHS.get(getattr(path[-1], "name", ""), _FAR_STEP)
    return jax.tree_util.tree_map_with_path(of, multipliers)


def least_of_pieces(
    pieces: Pieces,
    scale: Array,
    bend: Array,
    value: Array,
    slope: Array,
    weight: Array,
    center: Array,
) -> Array:
    """The least of scale·f(z) − bend (f(z) − value)²/2 − slope·z + weight (z − center)²/2.

    Entry by entry on the interval; neither bend nor weight is negative.
    """
    start, stop = pieces.points[:-1], pieces.points[1:]
    rise = rises(pieces)
    # On a piece f is rise·(z − center) + e.
    e = pieces.values[:-1] + rise * (center - start) - value
    curve = weight - bend * rise**2
    tilt = (scale - bend * e) * rise - slope
    bowl = curve > 0
    inside = jnp.clip(center - tilt / jnp.where(bowl, curve, 1), start, stop)

    def at(z):
        f = pieces.values[:-1] + rise * (z - start)
        return scale * f - bend * (f - value) ** 2 / 2 - slope * z + weight * (z - center) ** 2 / 2

    ends = jnp.minimum(at(start), at(stop))
    found = jnp.where(bowl, jnp.minimum(ends, at(jnp.where(bowl, inside, start))), ends)
    error = jnp.where(scale >= 0, scale * pieces.below, -scale * pieces.above)
    wide = jnp.maximum(pieces.below, pieces.above)
    far = jnp.max(jnp.abs(pieces.values - value), axis=0)
    error = error + bend * wide * (far + wide)
    edge = jnp.maximum(jnp.abs(pieces.points[0]), jnp.abs(pieces.points[-1]))
    reach = jnp.maximum(jnp.abs(pieces.points[0] - center), jnp.abs(pieces.points[-1] - center))
    sizes = jnp.abs(scale) * pieces.size + jnp.abs(slope) * edge
    sizes += 4 * (bend * far * (far + pieces.size) + weight * reach**2)
    return jnp.min(found - error, axis=0) - ULPS * jnp.finfo(sizes.dtype).eps * sizes


def best_quadratic(
    known: Known,
    links: Sequence[Link],
    relaxed: Relaxation,
    domain: Domain,
    seed: Array,
    plain: Linear,
    before: Ascent | None,
    steps: int,
) -> tuple[Linear, Ascent]:
    """The better of another linear bound and of this one, ascended.

    Parameters
    ----------
    known, links, relaxed, domain, seed
        As of `bound`.
    plain
        A bound of the same.
    before
        The ascent of multipliers to go on from, perhaps on another domain; none, or one without
        steps, to begin.
    steps
        Of ascent.

    Returns
    -------
    linear, ascent
        The bound, and from where to go on.
    """
    row = functools.partial(bound, known, links, relaxed, domain, seed)
    ascent = resume(before, begin(known, links, relaxed, seed))
    return improved(row, domain, ascent, steps, plain, _lengths(ascent.here))
