"""Upper bounds of how far a step can move, in l2: products of norms, never underestimated."""

from collections.abc import Mapping, Sequence
from math import isinf
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ._domain import Domain
from ._graph import Node
from ._pieces import Pieces

DENSE = 2048  # rows or columns of a matrix whose norm is taken from its eigenvalues


def gains(nodes: Sequence[Node]) -> list[tuple[Array, ...]]:
    """For each affine step and each of its parents, an upper bound of its l2 norm."""
    return [
        tuple(_gain(nodes, node, which) for which in range(len(node.parents)))
        if node.kind == "affine"
        else ()
        for node in nodes
    ]


def _gain(nodes: Sequence[Node], node: Node, which: int) -> Array:
    """Of the linear part of one step in one of its parents.

    The smaller of Schur's bound, √(‖A‖₁ ‖A‖_∞), from sums of the sizes of its entries, and, where
    the matrix is small, of the largest eigenvalue of A Aᵀ.
    """
    zeros = [jnp.zeros(nodes[p].shape, nodes[p].dtype) for p in node.parents]
    own = nodes[node.parents[which]]
    eps = jnp.finfo(own.dtype).eps

    def sizes(v):
        given = [*zeros[:which], v, *zeros[which + 1 :]]
        return node.magnitude(*given) - node.magnitude(*zeros)

    def linear(v):
        return node.apply(*zeros[:which], v, *zeros[which + 1 :])

    one = jnp.ones(own.shape, own.dtype)
    # A constant that was added is taken off again: what is lost there is of its size.
    lost = (
        (node.terms + 8) * eps * jnp.max(node.magnitude(*zeros[:which], one, *zeros[which + 1 :]))
    )
    rows = jnp.max(sizes(one)) + lost
    # At 1, where the size of an entry is the entry.
    transposed = jax.linear_transpose(lambda v: jax.jvp(sizes, (one,), (v,))[1], one)
    columns = jnp.max(transposed(jnp.ones(node.shape, node.dtype))[0])
    schur = jnp.sqrt(rows * columns) * (1 + node.roundings * eps)
    small = min(own.size, node.size)
    if not node.sums or small > DENSE or max(own.size, node.size) > 16 * DENSE:
        return schur
    _, pullback = jax.vjp(linear, zeros[which])
    push = lambda v: jax.jvp(linear, (zeros[which],), (v,))[1]
    if node.size <= own.size:
        eye = jnp.eye(node.size, dtype=own.dtype).reshape(-1, *node.shape)
        matrix = jax.vmap(lambda v: pullback(v)[0].ravel())(eye)
    else:
        eye = jnp.eye(own.size, dtype=own.dtype).reshape(-1, *own.shape)
        matrix = jax.vmap(lambda v: push(v).ravel())(eye)
    gram = jnp.dot(matrix, matrix.T, precision=jax.lax.Precision.HIGHEST)
    largest = jnp.linalg.eigvalsh(gram)[-1]
    # Of the Gram matrix: each entry to n eps ‖a_i‖ ‖a_j‖, eigenvalues to a few n eps of its norm.
    error = (max(own.size, node.size) + 16 * small) * eps * jnp.trace(gram)
    # Entries of a product of several matrices are rounded themselves, measured by their sizes.
    lost = (node.roundings * eps if node.sums > 1 else 0) * schur
    return jnp.minimum(schur, jnp.sqrt(largest + error) + lost)


def reach(
    known: Any, pieces: Mapping[int, Pieces], domain: Domain, reaches: list[Array], at: int
) -> Array:
    """How far the value of a step can be from that at the input, in l2.

    Parameters
    ----------
    known
        From `fixed`.
    pieces
        Of elementwise steps.
    domain
        Where the input moves.
    reaches
        Of the steps before.
    at
        The step.
    """
    node = known.nodes[at]
    if node.kind == "input":
        size = node.size if isinf(domain.ord) else 1
        return domain.radius * (size**0.5 * (1 + 1e-6))
    if node.kind == "affine":
        given = zip(known.gains[at], node.parents, strict=True)
        return sum(gain * reaches[p] for gain, p in given) * (1 + 1e-6)
    if node.kind == "scalar":
        return jnp.max(pieces[at].steepness) * reaches[node.parents[0]]
    return jnp.full((), jnp.inf, domain.x.dtype)
