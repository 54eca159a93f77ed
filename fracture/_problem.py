"""One input and what is asked about it: checked once, then shared by every solver.

The working dtype of the geometry is that of the input, float32 at least. The network is always
evaluated at `x + delta` as stored in the dtype of the input, so what a solver verifies is what the
user gets.

Solvers see the input as a vector, whatever its shape: XLA's reductions on CPUs are vectorised along
one long axis, and ten times slower over the axes of an image.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, PyTree

from ._typing import Bounds, LogitsFn, Order
from .logits import as_logits, class_pair, compared
from .norms import (
    at_least_float32,
    broadcast_bounds,
    check_order,
    halfspace_step,
    loop_init,
    norm,
    project_box,
)

ULPS = 4  # slack of the strict inequality, in units of eps times the largest logit
MASK = 32  # so many times larger than both logits compared, another one is no measure of rounding


class Reading(NamedTuple):
    """What the network says at one point."""

    margin: Array  # of the label, in the working dtype
    slack: Array  # rounding allowance of the margin
    crossed: Array  # margin < -slack, and inside the bounds
    answer: Array  # int32: the class with the largest logit


def judge(
    logits: Array,
    point: Array,
    label: Array,
    target: Array,
    bounds: tuple[Array, Array] | None,
    eps: float,
    least: Array | float = 0,
) -> Reading:
    """What logits at a point say about the label.

    Parameters
    ----------
    logits
        Shape `(K,)`.
    point
        Where they were evaluated, shape `(d,)`, as stored.
    label, target
        int32; a target of -1 stands for any other class.
    bounds
        Of the point: two vectors of its dtype, or None.
    eps
        Of the dtype in which the network computes.
    least
        The slack is no smaller.

    Returns
    -------
    A `Reading`, in the working dtype.
    """
    wide = at_least_float32(logits)
    own, rival = compared(wide, label, target)
    margin = own - rival
    sizes = jax.lax.stop_gradient(jnp.abs(wide))
    pair = jax.lax.stop_gradient(jnp.maximum(jnp.abs(own), jnp.abs(rival)))
    counts = jnp.isfinite(sizes) & (sizes <= MASK * pair)
    slack = ULPS * eps * jnp.max(jnp.where(counts, sizes, 0))
    slack = jnp.maximum(slack, jnp.asarray(least, slack.dtype))
    inside: Array | bool = True
    if bounds is not None:
        inside = jnp.all((point >= bounds[0]) & (point <= bounds[1]))
    dtype = at_least_float32(point).dtype
    return Reading(
        margin=margin.astype(dtype),
        slack=slack.astype(dtype),
        crossed=(margin < -slack) & inside,
        answer=jnp.argmax(wide).astype(jnp.int32),
    )


class Problem(NamedTuple):
    """A checked problem; local to one trace, so it may hold functions."""

    logits_fn: LogitsFn  # of a vector
    x: Array  # a vector, in its own dtype
    base: Array  # where gradients are taken first: x, or close to it
    center: Array  # from where searches go: that in the working dtype, moved into the bounds
    bounds: tuple[Array, Array] | None  # vectors, in the dtype of x
    ord: int | float
    label: Array  # int32
    target: Array  # int32; -1 for any class but the label
    targeted: bool  # whether a target was given
    posed: Array  # bool: indices valid; x, bounds and the margin at x finite
    start: Reading  # at x
    num_classes: int
    eps: float  # of the dtype of the logits
    shape: tuple[int, ...]  # of the input

    @property
    def origin(self) -> Array:
        """`x` in the working dtype: what distances are measured from."""
        return self.x.astype(self.center.dtype)

    def land(self, z: Array) -> tuple[Array, Array]:
        """The displacement from x to about `z`, as stored, and the point x + delta itself."""
        delta = jnp.where(jnp.isfinite(z), z, self.center).astype(self.x.dtype)
        delta = _stored(project_box(delta, self.bounds) - self.x)
        delta = jnp.where(jnp.isfinite(delta), delta, 0)
        if self.bounds is not None:
            # x + (u - x) can round to the number after u: then one ulp less.
            lower, upper = self.bounds
            point = _stored(self.x + delta)
            far = jnp.full_like(delta, jnp.inf)
            delta = jnp.where(point > upper, jnp.nextafter(delta, -far), delta)
            delta = jnp.where(point < lower, jnp.nextafter(delta, far), delta)
        return delta, _stored(self.x + delta)

    def read(self, point: Array, target: Array | None = None) -> Reading:
        """Evaluate the network at a point that was landed on."""
        return self.judge(as_logits(self.logits_fn(point)), point, target)

    def judge(self, logits: Array, point: Array, target: Array | None = None) -> Reading:
        """What the logits at a point that was landed on say."""
        target = self.target if target is None else target
        # Logits may pass near 0 together, but the terms they are sums of stay as large as at x.
        return judge(logits, point, self.label, target, self.bounds, self.eps, self.start.slack)

    def read_and_grad(self, point: Array, target: Array | None = None) -> tuple[Reading, Array]:
        """`read` and the gradient of the margin, in the working dtype."""

        def function(point):
            reading = self.read(point, target)
            return reading.margin, reading

        grad, reading = jax.grad(function, has_aux=True)(point)
        return reading, grad.astype(self.center.dtype)

    def displacement(self, delta: ArrayLike) -> Array:
        """A displacement that the caller gave, as a vector in the working dtype.

        Raises
        ------
        ValueError
            If it does not have the shape of the input.
        """
        if jnp.shape(delta) != self.shape:
            raise ValueError(
                f"delta must have the shape of x, {self.shape}; got {jnp.shape(delta)}."
            )
        return jnp.asarray(delta, self.center.dtype).ravel()

    def room(self, origin: Array) -> tuple[Array, Array] | None:
        """The least and the greatest move from `origin` that the bounds allow."""
        if self.bounds is None:
            return None
        lower, upper = (b.astype(origin.dtype) for b in self.bounds)
        return lower - origin, upper - origin

    def step(self, origin: Array, excess: Array, grad: Array) -> tuple[Array, Array]:
        """Smallest move from `origin` into {excess + <grad, move> <= 0} and the bounds."""
        return halfspace_step(excess, grad, room=self.room(origin), ord=self.ord)

    def size(self, delta: Array) -> Array:
        """Norm of a displacement, in the working dtype."""
        return norm(delta.astype(self.center.dtype), self.ord)

    def scattered(self, k: Array) -> Array:
        """A vector of numbers in [-1, 1) without a pattern, another one for each k.

        It takes less time to compile than random numbers do.
        """
        dtype = self.center.dtype
        phase = jnp.arange(self.x.size, dtype=dtype) * 0.7548776662
        return 2 * jnp.mod(phase + k.astype(dtype) * 0.5698402910, 1) - 1

    def init(self, tree: PyTree) -> PyTree:
        """Initial carry of a loop whose body evaluates the network."""
        varying = self.start.margin + jnp.sum(self.center)
        return loop_init(tree, varying)


def pose(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    ord: Order,
    bounds: Bounds | None,
    target: ArrayLike | None,
) -> Problem:
    """Check the arguments of a solver and evaluate the network at the input.

    Parameters
    ----------
    logits_fn, x, label, ord, bounds, target
        As of `perturbation.minimal`.

    Returns
    -------
    A `Problem`, whose `posed` tells what depends on data.

    Raises
    ------
    TypeError, ValueError
        For an input that is not floating-point or empty, an unknown `ord`, bounds that do not
        broadcast or are out of order, Python indices out of range or equal, outputs that are no
        logits.
    """
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(f"x must be of a floating dtype, got {x.dtype}.")
    if x.size == 0:
        raise ValueError(f"x must not be empty, got shape {x.shape}.")
    ord = check_order(ord)
    logits = jax.eval_shape(lambda z: as_logits(logits_fn(z)), x)
    num_classes = logits.size
    label, other, posed = class_pair(label, target, num_classes)
    shape, box = x.shape, None
    if bounds is not None:
        lower, upper = broadcast_bounds(bounds, x)
        box = lower.ravel(), upper.ravel()
    x = x.ravel()

    def network(z: Array) -> Any:
        # A copy, which costs nothing once compiled: the network may donate what it is given.
        return logits_fn(jnp.array(z.reshape(shape)))

    center = at_least_float32(project_box(x, box))
    eps = float(jnp.finfo(logits.dtype).eps)
    start = judge(as_logits(network(x)), x, label, other, box, eps)
    posed &= jnp.all(jnp.isfinite(x)) & jnp.isfinite(start.margin)
    if box is not None:
        posed &= jnp.all(box[0] <= box[1])
    return Problem(
        logits_fn=network,
        x=x,
        base=x,
        center=center,
        bounds=box,
        ord=ord,
        label=label,
        target=other,
        targeted=target is not None,
        posed=posed,
        start=start,
        num_classes=num_classes,
        eps=eps,
        shape=shape,
    )


def _stored(x: Array) -> Array:
    """`x` rounded as its dtype says, even where XLA would keep more digits of half precision."""
    if x.dtype.itemsize >= 4:
        return x
    info = jnp.finfo(x.dtype)
    return jax.lax.reduce_precision(x, exponent_bits=info.nexp, mantissa_bits=info.nmant)
