"""What a gradient attack descends: the margin, its smooth relative, or the cross-entropy."""

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ..norms import at_least_float32
from ._cut import positive
from ._margin import as_logits
from ._problem import Problem, Reading

LOSSES = ("margin", "soft_margin", "cross_entropy")
SOFTNESS = 0.3  # temperature of the soft margin over the size of the margin


def check_loss(loss: str) -> None:
    """Raise a ValueError unless `loss` is the name of a loss."""
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {LOSSES}, got {loss!r}.")


def loss_and_grad(problem: Problem, point: Array, loss: str) -> tuple[Reading, Array, Array]:
    """The reading at a point, the height by which to compare points and the gradient to descend.

    All losses fall towards the boundary. `"soft_margin"` weighs the classes by a softmax of their
    logits at a temperature of 0.3 times the margin: far from the boundary it sees more than the
    runner-up, on it, it is the margin. `"cross_entropy"` is the log-probability of the label, or
    minus that of the target: its gradient is not normal to a boundary between two of more
    classes, and underflows for confident networks.
    """

    def function(point: Array) -> tuple[Array, tuple[Reading, Array]]:
        logits = as_logits(problem.logits_fn(point))
        reading = problem._replace(logits_fn=lambda _: logits).read(point)
        wide = at_least_float32(logits)
        if loss == "cross_entropy":
            logs = jax.nn.log_softmax(wide).astype(problem.center.dtype)
            value = -logs[problem.target] if problem.targeted else logs[problem.label]
            return value, (reading, value)
        if loss == "margin" or problem.targeted:
            return reading.margin, (reading, reading.margin)
        rival = jnp.arange(wide.size, dtype=jnp.int32) != problem.label
        leads = jnp.where(rival, wide - wide[problem.label], -jnp.inf)
        heat = positive(SOFTNESS * jnp.abs(jax.lax.stop_gradient(jnp.max(leads))))
        soft = -heat * jax.nn.logsumexp(leads / heat)
        return soft.astype(problem.center.dtype), (reading, reading.margin)

    grad, (reading, value) = jax.grad(function, has_aux=True)(point)
    return reading, value, grad.astype(problem.center.dtype)
