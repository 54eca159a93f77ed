"""Robust accuracy by three attacks: the smallest perturbation found, and PGD and FGSM at radii."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import xarray as xr
from jaxtyping import Array, Float

from ..._typing import Bounds, LogitsFn
from ...perturbation import Perturbation, fgsm, pgd, robust_accuracy
from ...vocabulary import Quantity, quantity

ATTACKS = ("smallest", "PGD", "FGSM")
BY_ATTACK = dict(
    zip(ATTACKS, ("robust_accuracy", "robust_accuracy_pgd", "robust_accuracy_fgsm"), strict=True)
)


def within_radii(
    logits_fn: LogitsFn,
    x: Array,
    label: Array,
    radii: Float[Array, " radius"],
    *,
    bounds: Bounds,
    pgd_steps: int,
) -> tuple[Perturbation, Perturbation]:
    """What PGD and FGSM find within each radius, with a leading axis of radii."""

    def at_each(solver, **how):
        one = lambda radius: solver(logits_fn, x, label, radius=radius, bounds=bounds, **how)
        return jax.lax.map(one, radii)  # one after the other: a pass of a photograph is large

    return at_each(pgd, steps=pgd_steps), at_each(fgsm)


def robust_accuracies(
    smallest: Perturbation,
    at_radii: Sequence[Perturbation],
    radii: Float[Array, " radius"],
) -> Float[Array, "attack radius"]:
    """Share of a batch that withstands each of `ATTACKS` at each radius.

    Of `within_radii`, one result for each radius and then each input.
    """
    return jnp.stack(
        [
            robust_accuracy(smallest, radii),
            *(jax.vmap(robust_accuracy)(found, radii) for found in at_radii),
        ]
    )


def by_attack(accuracy: xr.DataArray) -> dict[str, xr.DataArray]:
    """The robust accuracy by each attack, under a name of its own."""
    return {
        name: accuracy.sel(attack=attack, drop=True).assign_attrs(_accuracy_by(attack).attrs())
        for attack, name in BY_ATTACK.items()
    }


def _accuracy_by(attack: str) -> Quantity:
    """What the robust accuracy by one attack is called."""
    if attack == ATTACKS[0]:
        return quantity("robust_accuracy")
    said = f"share of inputs that are classified right and withstand {attack} within the radius ε"
    return quantity("robust_accuracy", symbol=f"A_ε, {attack}", meaning=said)
