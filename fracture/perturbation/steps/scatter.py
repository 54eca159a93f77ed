"""Searches from many places, where a pass through the network costs next to nothing."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ..._problem import Problem
from ..._typing import Order
from .ray import cross
from .slide import slide

RAY_STEPS = 10  # evaluations along each ray
SAME = 1e-3  # minima whose norms differ by less, relatively, count as one


class Plan(NamedTuple):
    """What is done in each of several rounds."""

    shares: tuple[float, ...]  # of new directions in the rays after each of them
    num_runs: int  # along the boundary
    target_steps: int  # of each run, along the pairwise boundary of a class
    steps: int  # and on from there, whichever class is nearest
    num_rays: int  # a run, evaluated only: the next one starts where the shortest crosses
    num_kept: int  # minima around which rays are thrown

    @property
    def num_grads(self) -> int:
        """Gradients of all rounds."""
        return len(self.shares) * self.num_runs * (self.target_steps + self.steps)


class Pool(NamedTuple):
    """Different crossings of the boundary, the shortest first."""

    deltas: Array  # (num_kept, d); zero where there are fewer
    norms: Array  # (num_kept,); inf there


def scatter(problem: Problem, targets: Array, scale: Array, plan: Plan) -> Pool:
    """Slide along the boundary from many places, throw rays around the best of it, repeat.

    A run along the boundary ends in the minimum whose basin it starts in, and the boundaries of a
    small network have many. The first runs go from `x` and its surroundings towards the nearest
    classes. The first rays go anywhere, since the gradients around `x` need not point to where
    another class is; later ones closer and closer to what was found, to the other sides of its
    kinks. Directions are always the same, so that answers are reproducible.

    Parameters
    ----------
    problem
        From `pose`.
    targets
        Classes, the nearest first; int32, shape `(c,)`.
    scale
        About the distance to the boundary, where no run arrives there.
    plan
        How much of everything.

    Returns
    -------
    A `Pool` of at most `plan.num_kept` minima.
    """
    num, kept, dtype = plan.num_runs, plan.num_kept, problem.center.dtype
    num_dims = problem.center.size
    shape = len(plan.shares), num, plan.num_rays, num_dims
    rounds = jnp.asarray(directions(shape, problem.ord), dtype)
    away = (jnp.arange(num) >= targets.size).astype(dtype) / 2
    starts = (problem.center - problem.origin)[None] + away[:, None] * scale * rounds[0, :, 0]
    toward = targets[jnp.arange(num) % targets.size]

    def again(carry, throw):
        pool, starts, toward = carry
        directions, share = throw
        run = lambda start, rival: slide(
            problem, start, plan.steps, rival=rival, rival_steps=plan.target_steps
        )
        runs = jax.vmap(run)(starts, toward)
        pool = keep(pool, runs.across.delta, runs.across.norm)
        length = jnp.where(pool.norms[0] < jnp.inf, pool.norms[0], scale)
        around = pool.deltas[jnp.arange(num) % kept][:, None]
        rays = (1 - share) * around + 2 * share * length * directions
        # Runs may end on either side of the boundary: so they are searched like the rays.
        search = lambda delta: cross(problem, delta, RAY_STEPS, RAY_STEPS)
        found = jax.vmap(jax.vmap(search))(jnp.concatenate([runs.near[:, None], rays], 1))
        deltas = found.delta.astype(dtype)
        pool = keep(pool, deltas.reshape(-1, num_dims), found.norm.ravel())
        # The shortest of each bundle, not of all: those would be in one basin.
        shortest = 1 + jnp.argmin(found.norm[:, 1:], 1)
        starts = deltas[jnp.arange(num), shortest]
        return (pool, starts, jnp.full_like(toward, 1) * problem.target), None

    def keep(pool, deltas, norms):
        deltas = jnp.concatenate([pool.deltas, deltas])
        norms = jnp.concatenate([pool.norms, norms])
        norms, order = jax.lax.top_k(-norms, norms.size)
        apart = jnp.append(True, norms[1:] < (1 + SAME) * norms[:-1])  # negative ones
        norms, chosen = jax.lax.top_k(jnp.where(apart, norms, -jnp.inf), kept)
        there = norms > -jnp.inf
        return Pool(jnp.where(there[:, None], deltas[order[chosen]], 0), -norms)

    none = Pool(jnp.zeros((kept, num_dims), dtype), jnp.full(kept, jnp.inf, dtype))
    throws = rounds, jnp.asarray(plan.shares, dtype)
    init = problem.init((none, starts, toward))
    return jax.lax.scan(again, init, throws)[0][0]


def directions(shape: tuple[int, ...], ord: Order) -> np.ndarray:
    """Pseudo-random vectors of norm 1 along the last axis, always the same.

    Parameters
    ----------
    shape
        Of the array.
    ord
        Of the norm.

    Returns
    -------
    float64, of that shape.
    """
    drawn = np.random.default_rng(0).normal(size=shape)
    return drawn / np.linalg.norm(drawn, float(ord), axis=-1, keepdims=True)
