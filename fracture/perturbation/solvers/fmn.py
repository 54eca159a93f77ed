"""Fast minimum-norm attack (Pintor et al. 2021, arXiv:2102.12827), at any scale."""

from jax.typing import ArrayLike

from ..._checks import check_counts
from ..._problem import pose
from ..._typing import Bounds, LogitsFn, Order
from .._result import Perturbation, finish
from ..steps.ray import cross
from ..steps.shrink import shrink
from ..steps.step_off import step_off


def fmn(
    logits_fn: LogitsFn,
    x: ArrayLike,
    label: ArrayLike,
    *,
    ord: Order = 2,
    bounds: Bounds | None = None,
    target: ArrayLike | None = None,
    steps: int = 100,
    gamma: float = 0.05,
    loss: str = "soft_margin",
) -> Perturbation:
    """Gradient steps, each projected on a ball whose radius adapts to whether it was adversarial.

    As in the paper, but for what was made for images in [0, 1]: while nothing is adversarial the
    ball reaches to the linearised boundary, as there; a step is as long as the ball's largest l2
    radius, annealed by a cosine, instead of 1. The result lies across the boundary, not on it.

    Parameters
    ----------
    logits_fn, x, label, ord, bounds, target
        As of `minimal`.
    steps
        Gradients.
    gamma
        First relative change of the radius in a step; annealed like the steps.
    loss
        `"soft_margin"`, which settles the class by and by and ends as the margin, or `"margin"` as
        in the paper.

    Returns
    -------
    A `Perturbation`.

    Raises
    ------
    TypeError, ValueError
        As of `minimal`; for options out of range.

    References
    ----------
    Pintor, Roli, Brendel, Biggio (2021), "Fast minimum-norm adversarial attacks through adaptive
    norm constraints", arXiv:2102.12827.
    """
    if loss not in ("soft_margin", "margin"):
        raise ValueError(f"loss must be 'soft_margin' or 'margin', got {loss!r}.")
    check_counts(steps=steps)
    if not 0 < gamma < 1:
        raise ValueError(f"wanted 0 < gamma < 1, got {gamma}.")
    problem = step_off(pose(logits_fn, x, label, ord, bounds, target))
    delta, finite = shrink(problem, steps, gamma, loss)
    return finish(problem, cross(problem, delta), steps, finite)
