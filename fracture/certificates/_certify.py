"""A radius that no perturbation undercuts."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array

from .._problem import Problem, pose
from .._typing import Bounds, LogitsFn, Order
from ..logits import as_logits
from ..norms import dual_order, norm, positive
from ..perturbation import Perturbation, minimal
from ._bounds import Known
from ._branch import EFFORTS as BRANCH_EFFORTS, Branched, branch
from ._domain import Domain
from ._methods import budget_of
from ._outputs import boundary, margins_on, outputs, prepare, seeds_of, unbegun
from ._quadratic import by_classes
from ._result import Certificate, conclude, wanted
from ._search import search
from ._shor import chain

BRANCHED = 256  # most activations of a network that is taken apart
FARTHER = 4.0  # than the certified radius, where no perturbation is known


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
        networks that are chains. `"branch"`: a network of at most 256 activations is taken apart at
        their kinks, until the radius is exact or the effort is spent. `"best"`: what an effort is
        best spent on.
    effort
        `"low"`, `"medium"` or `"high"`.
    found
        A perturbation of the same input, norm and bounds, such as `minimal` finds: nothing larger
        is tried, and where the two meet, or a shorter one that a network that is taken apart shows
        on the way is met, the certificate is exact. Where a network is taken apart
        and none is given, `minimal` finds one, at low effort.

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
    return certified(
        logits_fn,
        x,
        label,
        ord=ord,
        bounds=bounds,
        target=target,
        method=method,
        effort=effort,
        found=found,
    )[0]


def certified(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    *,
    method: str,
    effort: str,
    found: Perturbation | None,
    **asked: Any,
) -> tuple[Certificate, Array | None]:
    """What `certify` says, and a perturbation that branch and bound met, which may be shorter.

    A vector, 0 where it met none; None where a network was not taken apart.
    """
    budget = budget_of(method, effort)
    problem = pose(logits_fn, x, label, **asked)
    known, room = prepare(problem)
    apart = budget.branched and _small(known)
    if apart and found is None:
        found = minimal(logits_fn, x, label, **asked, effort="low")
    links = chain(known) if budget.quadratic_steps and problem.ord == 2 else None
    # Choices go on from radius to radius: from small ones they get farther.
    first = _guess(problem) / (2 if budget.steps else 1)
    most = jnp.full_like(first, jnp.inf) if found is None else found.norm.astype(first.dtype)
    first = jnp.minimum(first, most)
    if links is None:
        radius, margins, count = _by_search(problem, known, room, budget, first, most)
    else:
        radius, margins, count = by_classes(problem, known, room, links, budget, first, most)
    shortest = jnp.full_like(first, jnp.inf)
    if found is not None:
        shortest = jnp.where(found.found, most, jnp.inf)
    met = None
    if apart:
        # Where none is known, what is asked about is far beyond what is certified already.
        asked_about = jnp.where(most < jnp.inf, most, FARTHER * radius)
        branched = _apart(problem, known, room, asked_about, effort)
        # Of a larger ball, which was not bounded as a whole, it is known that no margin is
        # negative, of the classes that were asked about.
        told = wanted(problem) | ~seeds_of(problem).any(axis=1)
        margins = jnp.where(branched.radius > radius, jnp.where(told, 0, -jnp.inf), margins)
        radius = jnp.maximum(radius, branched.radius)
        count = count + branched.num_parts
        met, shortest = branched.delta, jnp.minimum(shortest, branched.norm)
    closest = jnp.argmin(jnp.where(wanted(problem), margins, jnp.inf))
    return conclude(problem, radius, margins, count, closest, shortest), met


def _by_search(problem, known, room, budget, first, most):
    """The largest radius that linear bounds certify, and the margins there."""
    seeds = seeds_of(problem)

    within = lambda radius: Domain(known.center[0], radius, problem.ord, room)

    @jax.jit  # traced once, wherever it is called from
    def evaluate(radius, choices):
        domain = within(radius)
        rows, _, choices = outputs(known, domain, seeds, budget, choices)
        distances = jax.vmap(lambda row: boundary(domain, row)[1])(rows)
        least = lambda values: jnp.min(jnp.where(wanted(problem), values, jnp.inf))
        nearest, smallest = least(distances), least(margins_on(domain, rows))
        margins = margins_on(within(jnp.minimum(nearest, radius)), rows)
        # Where a margin within the radius is NaN, nothing is certified.
        nearest = jnp.where(jnp.isnan(least(margins)), 0, nearest)
        return nearest, smallest, margins, choices

    # No steps were made: the first radius begins with the closest lines.
    shapes = jax.eval_shape(lambda: outputs(known, within(first), seeds, unbegun(budget), None)[-1])
    choices = jax.tree.map(jnp.zeros_like, shapes)
    return search(evaluate, problem.start.margin, first, most, choices, budget.rounds)


def _small(known: Known) -> bool:
    return 0 < sum(node.size for node in known.nodes if node.kind == "scalar") <= BRANCHED


def _apart(problem, known, room, most, effort) -> Branched:
    """What branch and bound certifies, up to a radius."""
    asked = seeds_of(problem), wanted(problem)
    return branch(problem, known, room, *asked, most, BRANCH_EFFORTS[effort])


def _steepness(problem: Problem) -> tuple[Array, Array]:
    """Margins over every other class at x, and the dual norms of their gradients."""
    seeds = seeds_of(problem)
    logits, pullback = jax.vjp(lambda z: as_logits(problem.logits_fn(z)), problem.x)
    grads = jax.vmap(lambda seed: pullback(seed.astype(logits.dtype))[0])(seeds)
    sizes = jax.vmap(lambda g: norm(g.astype(problem.center.dtype), dual_order(problem.ord)))(grads)
    return (seeds @ logits.astype(seeds.dtype)), sizes


def _guess(problem: Problem) -> Array:
    """Where the boundary would be if the network were affine."""
    margins, sizes = _steepness(problem)
    guess = jnp.where(wanted(problem) & (sizes > 0), margins / positive(sizes), jnp.inf)
    nearest = jnp.min(guess)
    fallback = positive(norm(problem.center, problem.ord))
    return jnp.where((nearest > 0) & (nearest < jnp.inf), nearest, fallback)
