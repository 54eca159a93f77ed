"""What a gradient attack descends: a soft margin, the margin or the cross-entropy."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..._problem import Problem, Reading
from ...logits import as_logits, compared
from ...norms import at_least_float32, positive

LOSSES = ("soft_margin", "margin", "cross_entropy")
WARM = 0.25  # first temperature, in units of the margin at x


def check_loss(loss: str) -> None:
    """Raise a ValueError unless `loss` is the name of a loss.

    Parameters
    ----------
    loss
        As of `loss_and_grad`.
    """
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {LOSSES}, got {loss!r}.")


def loss_and_grad(
    problem: Problem, point: Array, loss: str, share: Array | float
) -> tuple[Reading, Array, Array]:
    """The reading at a point, a value to compare points by, and a gradient, in one pass.

    All losses fall towards the boundary. `"soft_margin"` is f_y - T log sum_j exp(f_j / T), where T
    is `WARM` times the margin at x times the square of `share`, which falls from 1 to 0 in a run:
    which class is nearest need not be settled far from the boundary, and is in the end; at any
    scale of the logits. As a value, the margin stands for it. `"cross_entropy"` is the
    log-probability of the label, or minus that of the target: its gradient is not normal to a
    boundary between two of more classes, and underflows for confident networks.

    Parameters
    ----------
    problem
        From `pose`.
    point
        Where to evaluate, as landed on; shape `(d,)`.
    loss
        One of `LOSSES`.
    share
        Of the first temperature, from 1 at the start of a run to 0 at its end.

    Returns
    -------
    reading, value, grad
        A `Reading`, a scalar, and the gradient in the working dtype, shape `(d,)`.
    """
    dtype = problem.center.dtype

    def function(point: Array) -> tuple[Array, tuple[Reading, Array]]:
        logits = as_logits(problem.logits_fn(point))
        reading = problem.judge(logits, point)
        wide = at_least_float32(logits)
        if loss == "margin" or (loss == "soft_margin" and problem.targeted):
            value = reading.margin
        elif loss == "soft_margin":
            height = jnp.maximum(problem.start.margin, problem.start.slack)
            least = positive(problem.start.slack)  # rounding alone
            temperature = jnp.maximum(WARM * share**2 * height, least).astype(wide.dtype)
            own, rival = compared(wide, problem.label, problem.target)
            # The largest of the others, where it is finite, for the sum not to overflow.
            shift = jax.lax.stop_gradient(jnp.where(jnp.isfinite(rival), rival, 0))
            others = jnp.arange(wide.size, dtype=jnp.int32) != problem.label
            powers = jnp.exp(jnp.where(others, wide - shift, -jnp.inf) / temperature)
            value = (own - shift - temperature * jnp.log(jnp.sum(powers))).astype(dtype)
        else:
            logs = jax.nn.log_softmax(wide).astype(dtype)
            value = -logs[problem.target] if problem.targeted else logs[problem.label]
        return value, (reading, value if loss == "cross_entropy" else reading.margin)

    (_, (reading, value)), grad = jax.value_and_grad(function, has_aux=True)(point)
    return reading, value, grad.astype(dtype)
