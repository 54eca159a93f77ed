"""A radius that no perturbation undercuts."""

from enum import IntEnum
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from .._problem import Problem, pose
from .._typing import Bounds, LogitsFn, Order
from ..logits import as_logits
from ..norms import halfspace_step, loop_init, norm, positive, dual_order
from ..perturbation import Perturbation
from ._ascend import ascend
from ._bounds import Choice, Known, Linear, Relaxation, closest, fixed, relax, substitute
from ._domain import Domain, least
from ._graph import read_network

TOLERANCE = 1e-5  # of the radius that a method can certify at all, relative
EXACT = 1e-4  # a bracket that is as narrow is a point
_FIRST_WEIGHT = -1.0  # logarithm of the first weight of a ball, in its natural units


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


METHODS = {
    "interval": {effort: Budget(False, 0, 0, 24) for effort in ("low", "medium", "high")},
    "crown": {effort: Budget(True, 0, 0, 24) for effort in ("low", "medium", "high")},
    "offset": {
        "low": Budget(True, 10, 0, 8),
        "medium": Budget(True, 20, 0, 8),
        "high": Budget(True, 60, 0, 12),
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

    def start(radius):
        relaxed = relax(known, domain(radius), substituted=budget.substituted)
        return jax.vmap(lambda seed: _weighted(closest(known.nodes, relaxed, at, seed), ord))(seeds)

    def evaluate(radius, choices):
        here = domain(radius)
        relaxed = relax(known, here, substituted=budget.substituted)
        rows, choices = jax.vmap(
            lambda seed, choice: outputs(known, relaxed, here, seed, choice, budget.steps)
        )(seeds, choices)
        distances = jax.vmap(lambda row: distance(here, row))(rows)
        margins = jax.vmap(lambda row: row.constant + least(here, row.slope))(rows)
        reached = jnp.min(jnp.where(wanted, distances, jnp.inf))
        return reached, choices, jnp.where(wanted, margins, jnp.inf)

    state = start(jnp.minimum(first, most)) if budget.steps else None
    radius, margins, count = search(evaluate, jnp.minimum(first, most), most, state, budget.rounds)
    return conclude(problem, radius, margins, count, found)


def outputs(known, relaxed, domain, seed, choice, steps) -> tuple[Linear, dict[int, Choice] | None]:
    """The best linear lower bound of <seed, outputs> that was found."""
    nodes, x, at = known.nodes, known.center[0], len(known.nodes) - 1
    plain = substitute(nodes, relaxed, at, seed, x)
    if not steps:
        return plain, choice

    def row(choice):
        return substitute(nodes, relaxed, at, seed, x, choice)

    def value(choice):
        linear = row(choice)
        return linear.constant + least(domain, linear.slope)

    choice = ascend(value, choice, steps)
    other = row(choice)
    better = value(choice) > plain.constant + least(domain, plain.slope)
    return jax.tree.map(lambda p, q: jnp.where(better, q, p), plain, other), choice


def _weighted(choices: dict[int, Choice], ord: Order) -> dict[int, Choice]:
    """With weights of balls, where balls are of use: in l∞ the box says more."""
    weight = -jnp.inf if ord == jnp.inf else _FIRST_WEIGHT
    return {
        place: choice._replace(log_weight=jnp.full_like(choice.log_weight, weight))
        for place, choice in choices.items()
    }


def distance(domain: Domain, row: Linear) -> Array:
    """How far the nearest point is at which the bound is not positive; 0 where it is not at x."""
    _, length = halfspace_step(row.constant, row.slope, room=domain.room, ord=domain.ord)
    safe = 1 - 4 * (row.slope.size + 8) * jnp.finfo(length.dtype).eps
    return jnp.where(row.constant > 0, length * safe, 0)


def search(evaluate, first, most, state, rounds) -> tuple[Array, Array, Array]:
    """The largest radius that is certified: where r and the distance found within r agree.

    Whatever radius is tried, the smaller of the two is certified. The distance falls with the
    radius, so the two meet once; the secant through the last two leads there.

    Parameters
    ----------
    evaluate
        `evaluate(radius, state) -> distance, state, margins`.
    first, most
        The first radius to try, and the largest.
    state
        Handed from one to the next.
    rounds
        How many are tried at most.
    """

    def going(carry):
        count, low, high, *_ = carry
        return (count < rounds) & (low < most) & ~(high <= low * (1 + TOLERANCE))

    def step(carry):
        count, low, high, radius, at_low, at_high, state, _, best = carry
        reached, state, margins = evaluate(radius, state)
        reached = jnp.where(reached >= 0, reached, 0)  # NaN certifies nothing
        inside = reached >= radius
        low = jnp.maximum(low, jnp.minimum(reached, radius))
        high = jnp.where(inside, high, jnp.minimum(high, radius))
        at_low = jnp.where(inside, jnp.stack([radius, reached]), at_low)
        at_high = jnp.where(inside, at_high, jnp.stack([radius, reached]))
        best = jnp.where(inside, margins, best)
        # Where the line through both meets the diagonal.
        rise = at_low[1] - at_high[1] + at_high[0] - at_low[0]
        share = (at_low[1] - at_low[0]) / positive(rise)
        secant = at_low[0] + share * (at_high[0] - at_low[0])
        middle = jnp.where(low > 0, (low + high) / 2, high / 8)
        both = (at_low[0] > 0) & (at_high[0] < jnp.inf)
        # Just below, so that it is likely to be certified.
        following = jnp.where(both, secant, jnp.where(inside, reached, middle))
        following = following * (1 - TOLERANCE / 2)
        within = (following > low) & (following < high)
        following = jnp.where(within, following, middle)
        following = jnp.where(high < jnp.inf, following, jnp.minimum(reached, 4 * radius))
        return count + 1, low, high, jnp.minimum(following, most), at_low, at_high, state, radius, best

    dtype = first.dtype
    zero, inf = jnp.zeros((), dtype), jnp.full((), jnp.inf, dtype)
    _, state_, margins = jax.eval_shape(evaluate, first, state)
    carry = (
        jnp.zeros((), jnp.int32),
        zero,
        inf,
        first,
        jnp.zeros(2, dtype),
        jnp.full(2, jnp.inf, dtype),
        state,
        zero,
        jnp.full(margins.shape, -jnp.inf, margins.dtype),
    )
    count, low, *_, best = jax.lax.while_loop(going, step, loop_init(carry, first + most))
    return low, best, count


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
