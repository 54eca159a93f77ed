"""A start nearby, where the margin has no finite gradient at the input itself."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..._problem import Problem
from ...norms import positive

ATTEMPTS = 4  # the input itself and points nearby


def step_off(problem: Problem) -> Problem:
    """The problem, to be started close to x where the gradient of the margin at x is not finite.

    At a prototype, the derivative of the distance from it is 0/0; so is that of a deviation that
    vanishes. Then the search starts from a point at a distance of about the root of an ulp, in a
    direction without a pattern, the first of a few at which the gradient is finite. It starts from
    x where none is, and everywhere else. Displacements are from x all the same.

    One gradient, and under `vmap` one more for all lanes with each attempt of one of them.

    Parameters
    ----------
    problem
        From `pose`.

    Returns
    -------
    The problem, with another `base` and `center` where those at x have no gradient.
    """
    largest = positive(jnp.max(jnp.abs(problem.center)))
    reach = float(jnp.finfo(problem.x.dtype).eps) ** 0.5 * largest

    def place(k: Array) -> tuple[Array, Array]:
        delta, point = problem.land(problem.center + reach * problem.scattered(k))
        base = jnp.where(k == 0, problem.base, point)
        moved = problem.origin + delta.astype(problem.center.dtype)
        return base, jnp.where(k == 0, problem.center, moved)

    def going(carry: tuple[Array, Array]) -> Array:
        k, regular = carry
        return (k < ATTEMPTS) & ~regular

    def attempt(carry: tuple[Array, Array]) -> tuple[Array, Array]:
        k, _ = carry
        reading, grad = problem.read_and_grad(place(k)[0])
        regular = jnp.all(jnp.isfinite(grad)) & jnp.isfinite(reading.margin)
        return k + 1, regular

    init = problem.init((jnp.int32(0), ~problem.posed))
    k, regular = jax.lax.while_loop(going, attempt, init)
    base, center = place(jnp.where(regular, jnp.maximum(k - 1, 0), 0))
    return problem._replace(base=base, center=center)
