"""Linear lower bounds of a network's outputs."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from .._problem import Problem
from ..logits import as_logits
from ..norms import halfspace_step
from ._bounds import Known, Linear, Relaxation, best_linear, fixed, lowest, relax, substitute
from ._domain import Domain
from ._graph import read_network
from ._methods import Budget


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
    if budget.steps is None:
        rows = jax.vmap(lambda seed: substitute(nodes, relaxed, at, seed, x))(seeds)
        return rows, relaxed, None
    one = lambda seed, given: best_linear(nodes, relaxed, at, seed, x, domain, given, budget.steps)
    rows, choices = jax.vmap(one)(seeds, choices)
    return rows, relaxed, (choices, hidden)


def unbegun(budget: Budget) -> Budget:
    """As much, without the steps: the state has the same shapes, and is soon traced."""
    none = lambda steps: None if steps is None else 0
    return budget._replace(
        steps=none(budget.steps), hidden_steps=none(budget.hidden_steps), quadratic_steps=0
    )


def margins_on(domain: Domain, rows: Linear) -> Array:
    """The least values of linear bounds on a domain."""
    return jax.vmap(lambda row: lowest(domain, row))(rows)


def boundary(domain: Domain, row: Linear) -> tuple[Array, Array]:
    """The nearest point at which a linear bound is not positive, and a bound of how far it is.

    0 where the bound is not positive at x, or is no number: what overflowed certifies nothing.
    """
    delta, length = halfspace_step(row.constant, row.slope, room=domain.room, ord=domain.ord)
    safe = 1 - 4 * (row.slope.size + 8) * jnp.finfo(length.dtype).eps
    numbers = (row.constant < jnp.inf) & jnp.all(jnp.isfinite(row.slope))
    return delta, jnp.where((row.constant > 0) & numbers, length * safe, 0)


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
