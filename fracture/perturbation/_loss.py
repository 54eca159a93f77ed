"""What a gradient attack descends: the margin or the cross-entropy."""

import jax
from jaxtyping import Array

from ..norms import at_least_float32
from ._margin import as_logits
from ._problem import Problem, Reading

LOSSES = ("margin", "cross_entropy")


def check_loss(loss: str) -> None:
    """Raise a ValueError unless `loss` is the name of a loss."""
    if loss not in LOSSES:
        raise ValueError(f"loss must be one of {LOSSES}, got {loss!r}.")


def loss_and_grad(problem: Problem, point: Array, loss: str) -> tuple[Reading, Array, Array]:
    """The reading at a point, the loss there and its gradient, in one pass.

    Both losses fall towards the boundary. `"cross_entropy"` is the log-probability of the label,
    or minus that of the target: its gradient is not normal to a boundary between two of more
    classes, and underflows for confident networks.
    """

    def function(point: Array) -> tuple[Array, Reading]:
        logits = as_logits(problem.logits_fn(point))
        reading = problem._replace(logits_fn=lambda _: logits).read(point)
        if loss == "margin":
            return reading.margin, reading
        logs = jax.nn.log_softmax(at_least_float32(logits)).astype(problem.center.dtype)
        return -logs[problem.target] if problem.targeted else logs[problem.label], reading

    (value, reading), grad = jax.value_and_grad(function, has_aux=True)(point)
    return reading, value, grad.astype(problem.center.dtype)
