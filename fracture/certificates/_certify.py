"""A radius that no perturbation undercuts."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PyTree

from .._problem import Problem, pose
from .._typing import Bounds, LogitsFn, Order
from ..logits import as_logits
from ..norms import dual_order, halfspace_step, norm, positive
from ..perturbation import Perturbation
from ._bounds import Known, Linear, Relaxation, best_linear, fixed, lowest, relax, substitute
from ._branch import EFFORTS as BRANCH_EFFORTS, branch
from ._domain import Domain
from ._graph import read_network
from ._result import Certificate, conclude, wanted
from ._search import search
from ._shor import Link, best_quadratic, chain


class Budget(NamedTuple):
    """What a method spends."""

    substituted: bool  # bounds of hidden layers by substitution, or by intervals
    steps: int  # of the choices for the outputs
    hidden_steps: int  # of those for the hidden layers
    rounds: int  # radii tried
    quadratic_steps: int = 0  # of the multipliers of Shor's relaxation
    branched: bool = False  # whether small networks are taken apart


METHODS: dict[str, dict[str, Budget]] = {
    "interval": {effort: Budget(False, 0, 0, 24) for effort in ("low", "medium", "high")},
    "crown": {effort: Budget(True, 0, 0, 24) for effort in ("low", "medium", "high")},
    "offset": {
        "low": Budget(True, 6, 0, 6),
        "medium": Budget(True, 10, 0, 8),
        "high": Budget(True, 20, 0, 12),
    },
    "alpha": {
        "low": Budget(True, 10, 2, 8),
        "medium": Budget(True, 10, 5, 8),
        "high": Budget(True, 20, 10, 12),
    },
    "shor": {
        "low": Budget(True, 6, 0, 6, 6),
        "medium": Budget(True, 10, 0, 8, 10),
        "high": Budget(True, 20, 5, 10, 20),
    },
    "branch": {effort: Budget(True, 6, 0, 6, 0, True) for effort in ("low", "medium", "high")},
    "best": {
        "low": Budget(True, 6, 0, 6),
        "medium": Budget(True, 10, 0, 8),
        "high": Budget(True, 20, 5, 10, 20, True),
    },
}
QUADRATIC_CLASSES = 2  # the nearest ones, for which Shor's relaxation is tried
BRANCHED = 256  # most activations of a network that is taken apart
EFFORTS = ("low", "medium", "high")


def certify(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    target: ArrayLike | None = None,
    method: str = "best",
    effort: str = "medium",
    found: Perturbation | None = None,
) -> Certificate:
    """A radius within which no perturbation changes the answer: a lower bound of the smallest one.

    The network is read as affine, elementwise and bilinear steps. On a ball around `x` each class
    difference is bounded below by a linear function of the input: of whatever radius the ball is,
    the smaller of it and of the distance at which that function vanishes is certified. Several
    radii are tried, and the largest that is certified is returned.

    It speaks of the network in real numbers, with the weights as they are; what its own arithmetic
    rounds is taken off. That costs little in float64, and up to about a percent in float32.

    Parameters
    ----------
    logits_fn
        `logits_fn(z) -> logits[K]` for one input, of primitives that there are bounds for: dense
        and convolutional layers, pooling, normalisation, attention, whatever is elementwise; in
        float32 or float64. One output f stands for the logits (f/2, -f/2).
    x
        One input, of any shape.
    label
        The class that `x` should get; may be traced.
    ord
        Norm of perturbations: 1, 2 or inf.
    bounds
        `(lower, upper)` that perturbed inputs respect, which makes fewer of them; None for none. An
        input outside of them is certified as if there were none.
    target
        Class that is to be kept from winning over the label, in place of any other; may be traced.
    method
        `"interval"`: hidden layers by interval arithmetic, the cheapest. `"crown"`: by substitution
        of the closest lines around each activation. `"offset"`: the lines for the outputs are
        improved by gradient ascent, and in l1 and l2 activations are known to lie in balls too.
        `"alpha"`: the lines for hidden layers as well. `"shor"`: in l2, the quadratic relaxation of
        networks that are chains. `"branch"`: up to the perturbation that is given as `found`, a
        network of at most 256 activations is taken apart at their kinks, until the radius is exact
        or the effort is spent. `"best"`: what an effort is best spent on.
    effort
        `"low"`, `"medium"` or `"high"`.
    found
        A perturbation of the same input, norm and bounds, such as `minimal` finds: nothing larger
        is tried, and where the two meet, the certificate is exact.

    Returns
    -------
    A `Certificate`.

    Raises
    ------
    NotImplementedError
        For a primitive that there are no bounds for, naming it and where it stands.
    TypeError
        If `x` or the logits are not float32 or float64.
    ValueError
        For an unknown method or effort, and as `minimal` does.

    References
    ----------
    Zhang et al. (2018), arXiv:1811.00866 (CROWN). Xu et al. (2021), arXiv:2011.13824 (α-CROWN).
    Chiu et al. (2025), arXiv:2506.06665 (balls around hidden layers, SDP-CROWN).

    Examples
    --------
    Of a linear network the certified radius is the distance to the boundary, up to rounding:

    >>> import jax.numpy as jnp
    >>> from fracture.certificates import certify
    >>> network = lambda x: jnp.stack([3 * x[0] + 4 * x[1], 0 * x[0]])
    >>> print(f"{certify(network, jnp.array([1.0, 0.5]), 0).radius:.4f}")
    1.0000
    """
    budget = budget_of(method, effort)
    problem = pose(logits_fn, x, label, ord, bounds, target)
    known, room = prepare(problem)
    links = chain(known) if budget.quadratic_steps and problem.ord == 2 else None

    @jax.jit  # traced once, wherever it is called from
    def evaluate(radius, state):
        domain = Domain(known.center[0], radius, problem.ord, room)
        linear, quadratic = state or (None, None)
        rows, relaxed, linear = outputs(known, domain, seeds_of(problem), budget, linear)
        if links is not None:
            rows, quadratic = _improved(
                problem, known, links, relaxed, domain, rows, quadratic, budget
            )
        state = linear, quadratic
        distances = jax.vmap(lambda row: distance(domain, row))(rows)
        least = lambda values: jnp.min(jnp.where(wanted(problem), values, jnp.inf))
        nearest, smallest = least(distances), least(margins_on(domain, rows))
        within = domain._replace(radius=jnp.minimum(nearest, radius))
        return nearest, smallest, margins_on(within, rows), state

    first = _first_radius(problem)
    most = jnp.full_like(first, jnp.inf) if found is None else found.norm.astype(first.dtype)
    # Choices go on from radius to radius: from small ones they get farther.
    first = jnp.minimum(first / 2 if budget.steps else first, most)
    # No steps were made: the first radius begins with the closest lines.
    shapes = jax.eval_shape(lambda radius: evaluate(radius, None), first)[-1]
    state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    result = search(evaluate, problem.start.margin, first, most, state, budget.rounds)
    closest = jnp.argmin(jnp.where(wanted(problem), result[1], jnp.inf))
    if budget.branched and found is not None and _small(known):
        result = _apart(problem, known, room, found, effort, *result)
    return conclude(problem, *result, closest, found)


def _small(known: Known) -> bool:
    return sum(node.size for node in known.nodes if node.kind == "scalar") <= BRANCHED


def _apart(problem, known, room, found, effort, radius, margins, count):
    """What branch and bound certifies, up to the perturbation that is known."""
    most = jnp.where(found.norm < jnp.inf, found.norm, 0).astype(radius.dtype)
    branched = branch(
        problem, known, room, seeds_of(problem), wanted(problem), most, BRANCH_EFFORTS[effort]
    )
    # Of a larger ball, which was not bounded as a whole, it is known that none is negative, of the
    # classes that were asked about.
    unknown = seeds_of(problem).any(axis=1) & ~wanted(problem)
    margins = jnp.where(branched.radius > radius, jnp.where(unknown, -jnp.inf, 0), margins)
    return jnp.maximum(radius, branched.radius), margins, count + branched.num_parts


def budget_of(method: str, effort: str) -> Budget:
    """What a method spends at an effort; `ValueError` for those that there are not."""
    if method not in METHODS:
        raise ValueError(f"method must be one of {tuple(METHODS)}, got {method!r}.")
    if effort not in EFFORTS:
        raise ValueError(f"effort must be one of {EFFORTS}, got {effort!r}.")
    return METHODS[method][effort]


def outputs(
    known: Known, domain: Domain, seeds: Float[Array, "n k"], budget: Budget, state: PyTree
) -> tuple[Linear, Relaxation, PyTree]:
    """Linear lower bounds of functions of the logits, what they rest on, and where choices go on.

    Parameters
    ----------
    known
        From `fixed`.
    domain
        Where the input moves.
    seeds
        Coefficients of the logits.
    budget
        What is spent.
    state
        From another domain; None to begin.
    """
    nodes, x, at = known.nodes, known.center[0], len(known.nodes) - 1
    choices, hidden = state or (None, None)
    relaxed, hidden = relax(
        known, domain, substituted=budget.substituted, hidden=hidden, steps=budget.hidden_steps
    )
    if not budget.steps:
        rows = jax.vmap(lambda seed: substitute(nodes, relaxed, at, seed, x))(seeds)
        return rows, relaxed, None
    one = lambda seed, given: best_linear(nodes, relaxed, at, seed, x, domain, given, budget.steps)
    rows, choices = jax.vmap(one)(seeds, choices)
    return rows, relaxed, (choices, hidden)


def margins_on(domain: Domain, rows: Linear) -> Array:
    """The least values of linear bounds on a domain."""
    return jax.vmap(lambda row: lowest(domain, row))(rows)


def _improved(
    problem: Problem,
    known: Known,
    links: Sequence[Link],
    relaxed: Relaxation,
    domain: Domain,
    rows: Linear,
    state: PyTree,
    budget: Budget,
) -> tuple[Linear, PyTree]:
    """The bounds of the classes that are nearest, by Shor's relaxation where that is better."""
    seeds = seeds_of(problem)
    distances = jax.vmap(lambda row: distance(domain, row))(rows)
    count = min(QUADRATIC_CLASSES, problem.num_classes - 1)
    nearest = jax.lax.top_k(-jnp.where(wanted(problem), distances, jnp.inf), count)[1]
    pick = lambda tree: jax.tree.map(lambda leaf: leaf[nearest], tree)
    put = lambda tree, new: jax.tree.map(lambda leaf, own: leaf.at[nearest].set(own), tree, new)
    one = lambda seed, row, before: best_quadratic(
        known, links, relaxed, domain, seed, row, before, budget.quadratic_steps
    )
    if state is None:  # of which only the shapes are asked
        made, state = jax.vmap(lambda seed, row: one(seed, row, None))(seeds, rows)
        return made, state
    made, after = jax.vmap(one)(seeds[nearest], pick(rows), pick(state))
    return put(rows, made), put(state, after)


def distance(domain: Domain, row: Linear) -> Array:
    """How far the nearest point is at which the bound is not positive; 0 where it is not at x."""
    _, length = halfspace_step(row.constant, row.slope, room=domain.room, ord=domain.ord)
    safe = 1 - 4 * (row.slope.size + 8) * jnp.finfo(length.dtype).eps
    return jnp.where(row.constant > 0, length * safe, 0)


def prepare(problem: Problem) -> tuple[Known, tuple[Array, Array] | None]:
    """The network of a problem, read once, and how far the bounds let the input move."""
    nodes = read_network(lambda z: as_logits(problem.logits_fn(z)), problem.x)
    known = fixed(nodes, problem.x)
    room = problem.room(problem.origin)
    if room is not None:
        # A box that x is outside of is left out: what is certified without it holds within it.
        inside = jnp.all((room[0] <= 0) & (room[1] >= 0))
        room = jnp.where(inside, room[0], -jnp.inf), jnp.where(inside, room[1], jnp.inf)
    return known, room


def seeds_of(problem: Problem) -> Array:
    """Coefficients of the label's logit minus each other one, shape (K, K)."""
    dtype = problem.center.dtype
    own = jax.nn.one_hot(problem.label, problem.num_classes, dtype=dtype)
    return own[None] - jnp.eye(problem.num_classes, dtype=dtype)


def _steepness(problem: Problem) -> tuple[Array, Array]:
    """Margins over every other class at x, and the dual norms of their gradients."""
    seeds = seeds_of(problem)
    logits, pullback = jax.vjp(lambda z: as_logits(problem.logits_fn(z)), problem.x)
    grads = jax.vmap(lambda seed: pullback(seed.astype(logits.dtype))[0])(seeds)
    sizes = jax.vmap(lambda g: norm(g.astype(problem.center.dtype), dual_order(problem.ord)))(grads)
    return (seeds @ logits.astype(seeds.dtype)), sizes


def _first_radius(problem: Problem) -> Array:
    """Where the boundary would be if the network were affine."""
    margins, sizes = _steepness(problem)
    guess = jnp.where(wanted(problem) & (sizes > 0), margins / positive(sizes), jnp.inf)
    nearest = jnp.min(guess)
    fallback = positive(norm(problem.center, problem.ord))
    return jnp.where((nearest > 0) & (nearest < jnp.inf), nearest, fallback)
