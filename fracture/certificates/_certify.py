"""A radius that no perturbation undercuts."""

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PyTree

from .._problem import Problem, pose
from .._typing import Bounds, LogitsFn, Order
from ..logits import as_logits
from ..norms import halfspace_step, loop_init, norm, positive, dual_order
from ..perturbation import Perturbation
from ._bounds import Known, Linear, best_linear, fixed, relax, substitute
from ._domain import Domain, least
from ._graph import read_network

TOLERANCE = 1e-5  # of the radius that a method can certify at all, relative
EXACT = 1e-4  # a bracket that is as narrow is a point


class CertificateStatus(IntEnum):
    """What is known about one input."""

    CERTIFIED = 0  # no perturbation within `radius` changes the answer
    EXACT = 1  # and one that is hardly longer does: `radius` is the smallest
    MISCLASSIFIED = 2  # x itself gets another answer: 0
    NOTHING = 3  # nothing could be certified: 0
    NOT_FINITE = 4  # no valid problem: NaN, infinity, or a label out of range


class Certificate(NamedTuple):
    """What is certified for one input; `vmap` adds an axis to each field.

    Attributes
    ----------
    radius
        No perturbation of a smaller norm, and none within the bounds if there are any, changes the
        answer of the network, computed in real numbers with the weights as they are; 0 where
        nothing is certified.
    margins
        Shape (K,): lower bounds of the label's logit minus each other one, on the ball of that
        radius within the bounds; inf for the label itself, and for all but the target if there is
        one.
    closest
        The class whose margin is smallest: the one for which less could be certified.
    status
        A `CertificateStatus`.
    num_bounds
        How many radii were tried.
    """

    radius: Float[Array, ""]
    margins: Float[Array, " k"]
    closest: Int[Array, ""]
    status: Int[Array, ""]
    num_bounds: Int[Array, ""]


class Budget(NamedTuple):
    """What a method spends."""

    substituted: bool  # bounds of hidden layers by substitution, or by intervals
    steps: int  # of the choices for the outputs
    hidden_steps: int  # of those for the hidden layers
    rounds: int  # radii tried


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
}


def certify(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    target: ArrayLike | None = None,
    method: str = "offset",
    effort: str = "medium",
    found: Perturbation | None = None,
) -> Certificate:
    """A radius within which the network's answer is proven not to change."""
    problem = pose(logits_fn, x, label, ord, bounds, target)
    budget = METHODS[method][effort]
    known, room = prepare(problem)
    wanted = _wanted(problem)
    dtype = problem.center.dtype
    most = jnp.full((), jnp.inf, dtype) if found is None else found.norm.astype(dtype)

    grad_sizes = _steepness(problem)
    first = _first_radius(problem, grad_sizes, wanted)
    at = len(known.nodes) - 1
    seeds = seeds_of(problem)

    def domain(radius):
        return Domain(known.center[0], radius, problem.ord, room)

    def evaluate(radius, state):
        here = domain(radius)
        choices, hidden = state or (None, None)
        relaxed, hidden = relax(
            known,
            here,
            substituted=budget.substituted,
            hidden=hidden,
            steps=budget.hidden_steps,
        )
        if budget.steps:
            x, steps = known.center[0], budget.steps
            one = lambda seed, given: best_linear(
                known.nodes, relaxed, at, seed, x, here, given, steps
            )
            rows, choices = jax.vmap(one)(seeds, choices)
        else:
            one = lambda seed: substitute(known.nodes, relaxed, at, seed, known.center[0])
            rows = jax.vmap(one)(seeds)
        distances = jax.vmap(lambda row: distance(here, row))(rows)
        margins = jax.vmap(lambda row: row.constant + least(here, row.slope))(rows)
        reached = jnp.min(jnp.where(wanted, distances, jnp.inf))
        state = (choices, hidden) if budget.steps else None
        return reached, jnp.where(wanted, margins, jnp.inf), state

    first = jnp.minimum(first / 2 if budget.steps else first, most)
    # No steps were made: the first radius begins with the closest lines.
    shapes = jax.eval_shape(lambda r: evaluate(r, None), first)[2]
    state = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    margin = problem.start.margin
    radius, margins, count = search(evaluate, margin, first, most, state, budget.rounds)
    return conclude(problem, radius, margins, count, found)


def distance(domain: Domain, row: Linear) -> Array:
    """How far the nearest point is at which the bound is not positive; 0 where it is not at x."""
    _, length = halfspace_step(row.constant, row.slope, room=domain.room, ord=domain.ord)
    safe = 1 - 4 * (row.slope.size + 8) * jnp.finfo(length.dtype).eps
    return jnp.where(row.constant > 0, length * safe, 0)


class _Tried(NamedTuple):
    """The search between two of its radii."""

    count: Array
    low: Array  # certified
    high: Array  # the smallest radius that was tried in vain
    radius: Array  # to try next
    left: Array  # the last radius whose smallest margin was positive, and that margin
    right: Array  # the last one whose was not
    state: PyTree
    margins: Array  # of the largest certified radius that was tried


def search(
    evaluate: Callable[[Array, PyTree], tuple[Array, Array, PyTree]],
    margin: Array,
    first: Array,
    most: Array,
    state: PyTree,
    rounds: int,
) -> tuple[Array, Array, Array]:
    """The largest radius that is certified.

    Whatever radius is tried, the smaller of it and of the distance to the boundary of what was
    found there is certified. The smallest margin falls as the radius grows, ever faster: the chord
    through two of its values leads to a smaller radius than the one where it vanishes, and, with
    Illinois' halving, there in a few steps.

    Parameters
    ----------
    evaluate
        `evaluate(radius, state) -> distance, margins, state`.
    margin
        The smallest one at radius 0.
    first, most
        The first radius to try, and the largest.
    state
        Handed from one to the next.
    rounds
        How many are tried at most.

    Returns
    -------
    radius, margins, count
        The radius, the margins at the largest radius that was tried and certified, and how many
        were tried.
    """

    def going(at):
        return (at.count < rounds) & (at.low < most) & ~(at.high <= at.low * (1 + TOLERANCE))

    def step(at):
        distance, margins, state = evaluate(at.radius, at.state)
        distance = jnp.where(distance >= 0, distance, 0)  # NaN certifies nothing
        inside = distance >= at.radius
        low = jnp.maximum(at.low, jnp.minimum(distance, at.radius))
        high = jnp.where(inside, at.high, jnp.minimum(at.high, at.radius))
        here = jnp.stack([at.radius, jnp.min(margins)])
        # A side that stays for the second time counts for less.
        weak = jnp.array([1, 0.5], here.dtype)
        left = jnp.where(inside, here, jnp.where(at.right[0] < jnp.inf, at.left * weak, at.left))
        right = jnp.where(inside, jnp.where(at.left[0] > 0, at.right * weak, at.right), here)
        chord = left[0] + (right[0] - left[0]) * left[1] / (left[1] - right[1])
        # Just below, so that what is tried last is certified.
        chord = chord * (1 - TOLERANCE / 2)
        good = (chord > low) & (chord < high)
        middle = jnp.where(low > 0, (low + high) / 2, high / 8)
        grown = jnp.minimum(jnp.maximum(distance, 1.25 * at.radius), 4 * at.radius)
        following = jnp.where(high < jnp.inf, jnp.where(good, chord, middle), grown)
        best = jnp.where(inside & (at.radius >= at.low), margins, at.margins)
        following = jnp.minimum(following, most)
        return _Tried(at.count + 1, low, high, following, left, right, state, best)

    dtype = first.dtype
    zero, inf = jnp.zeros((), dtype), jnp.full((), jnp.inf, dtype)
    _, margins, _ = jax.eval_shape(evaluate, first, state)
    start = _Tried(
        count=jnp.zeros((), jnp.int32),
        low=zero,
        high=inf,
        radius=first,
        left=jnp.stack([zero, margin.astype(dtype)]),
        right=jnp.stack([inf, -inf]),
        state=state,
        margins=jnp.full(margins.shape, -jnp.inf, margins.dtype),
    )
    last = jax.lax.while_loop(going, step, loop_init(start, first + most + margin))
    return last.low, last.margins, last.count


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


def _wanted(problem: Problem) -> Array:
    """The classes that are asked about."""
    classes = jnp.arange(problem.num_classes, dtype=jnp.int32)
    return jnp.where(problem.target < 0, classes != problem.label, classes == problem.target)


def _steepness(problem: Problem) -> tuple[Array, Array]:
    """Margins over every other class at x, and the dual norms of their gradients."""
    seeds = seeds_of(problem)
    logits, pullback = jax.vjp(lambda z: as_logits(problem.logits_fn(z)), problem.x)
    grads = jax.vmap(lambda seed: pullback(seed.astype(logits.dtype))[0])(seeds)
    sizes = jax.vmap(lambda g: norm(g.astype(problem.center.dtype), dual_order(problem.ord)))(grads)
    return (seeds @ logits.astype(seeds.dtype)), sizes


def _first_radius(problem: Problem, steepness: tuple[Array, Array], wanted: Array) -> Array:
    """Where the boundary would be if the network were affine."""
    margins, sizes = steepness
    guess = jnp.where(wanted & (sizes > 0), margins / positive(sizes), jnp.inf)
    nearest = jnp.min(guess)
    fallback = jnp.where(norm(problem.center, problem.ord) > 0, norm(problem.center, problem.ord), 1)
    return jnp.where((nearest > 0) & (nearest < jnp.inf), nearest, fallback)


def conclude(problem, radius, margins, count, found) -> Certificate:
    """The certificate, with what it means."""
    wrong = problem.posed & (problem.start.margin <= 0)
    radius = jnp.where(problem.posed & ~wrong, radius, 0)
    status = jnp.where(radius > 0, CertificateStatus.CERTIFIED, CertificateStatus.NOTHING)
    if found is not None:
        met = found.found & (found.norm <= radius * (1 + EXACT)) & (radius > 0)
        status = jnp.where(met, CertificateStatus.EXACT, status)
    status = jnp.where(wrong, CertificateStatus.MISCLASSIFIED, status)
    status = jnp.where(problem.posed, status, CertificateStatus.NOT_FINITE)
    return Certificate(
        radius=radius,
        margins=margins,
        closest=jnp.argmin(margins).astype(jnp.int32),
        status=status.astype(jnp.int32),
        num_bounds=count,
    )
