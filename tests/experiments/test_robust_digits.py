"""The claim about robust accuracy: what it concludes of made-up curves with known answers."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from fracture import experiments
from fracture.experiments.claims import robust_digits
from fracture.experiments.claims.robust_digits import ATTACKS, COORDINATES, STRENGTHS, Cell, Options
from fracture.vocabulary import variables

DIMS, SEEDS, EXAMPLES = (49, 196, 784), 12, 20
JUDGE = experiments.claim("robust_digits").judge


def curves(exponent=-0.2, excess=0.0, noise=0.01, seeds=SEEDS):
    """Robust accuracies that fall like a power of d, with more of them left by PGD."""
    rng, axes = np.random.default_rng(0), {"dim": DIMS, "seed": range(seeds), **COORDINATES}
    accuracy = 0.5 * (np.array(DIMS)[:, None, None, None] / DIMS[0]) ** exponent
    accuracy = accuracy * np.exp(noise * rng.normal(size=(len(DIMS), seeds, 1, 1)))
    accuracy = accuracy * np.ones((3, 1)) * np.linspace(1.5, 0.1, len(STRENGTHS))
    accuracy[:, :, 1] += excess
    radius = np.ones((len(DIMS), seeds, EXAMPLES))
    half = 2.0 * np.array(COORDINATES["references"])[:, None] ** -0.1 * np.ones(EXAMPLES)
    made = {
        "robust_accuracy": accuracy,
        "radius": radius,
        "correct": radius > 0,
        "found": radius > 0,
        "r_opt": half * np.ones((len(DIMS), seeds, 1, 1)),
        "rho_net": 0.3 * radius,
        "accuracy": np.ones((len(DIMS), seeds)),
    }
    of = variables(Cell)
    dataset = xr.Dataset(
        {
            name: (("dim", "seed", *of[name].dims), values, of[name].quantity.attrs())
            for name, values in made.items()
        },
        {name: list(values) for name, values in axes.items()},
    )
    return dataset.assign_attrs(axes=["dim"], seeds=[seeds] * len(DIMS), claim="robust_digits")


@pytest.mark.fast
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ["holds", "holds"]),
        ({"exponent": 0.2}, ["does not hold", "holds"]),
        ({"exponent": 0.0, "noise": 0.1}, ["undecided", "holds"]),
        ({"excess": 0.04}, ["holds", "holds"]),
        ({"excess": 0.06}, ["holds", "does not hold"]),
        ({"excess": -0.06}, ["holds", "does not hold"]),  # the smallest were not the smallest
        ({"seeds": 3}, ["undecided", "undecided"]),
    ],
)
def test_verdicts_of_curves_that_are_known(changes, words):
    found = JUDGE(curves(**changes))
    assert [verdict.word for verdict in found.verdicts] == words
    if found.verdicts[0].evidence:
        change = 0.4 * (16.0 ** changes.get("exponent", -0.2) - 1)
        got = found.verdicts[0].evidence[0].value
        np.testing.assert_allclose(got, change, atol=changes.get("noise", 0.01))
    assert [fit.quantity for fit in found.fits] == ["ratio"]
    by_references = found.summary["ratio_by_references"]
    np.testing.assert_allclose(by_references[0, -1] / by_references[0, 0], 8**0.1)
    np.testing.assert_allclose(found.summary["ratio"], by_references[:, -1])


@pytest.mark.parametrize(
    ("levels", "word"),
    [
        ((0.9, 0.0, 0.0), "holds"),  # one resolution with a logarithm
        ((0.0, 0.0, 0.0), "does not hold"),
        ((0.5, 0.0, 0.5), "does not hold"),
        ((0.0, 0.0, 0.9), "does not hold"),
    ],
)
@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1]])
def test_robust_accuracies_of_zero_count(levels, word, order):
    dataset = curves()
    of = xr.DataArray(np.array(levels), dims="dim")
    dataset["robust_accuracy"] = (0 * dataset["robust_accuracy"] + of).assign_attrs(
        dataset["robust_accuracy"].attrs
    )
    fall = JUDGE(dataset.isel(dim=order)).verdicts[0]
    assert fall.word == word
    np.testing.assert_allclose(fall.evidence[0][1:4], levels[-1] - levels[0])


def test_what_is_measured_is_what_attacks_one_by_one_give():
    """A network of the cell, again: every robust accuracy is counted by hand."""
    options = Options(examples=6, steps=30, pgd_steps=5)
    given = robust_digits.shared(options, dim=16)
    got = jax.jit(lambda key: robust_digits.measure(key, given, options, dim=16))(jax.random.key(3))
    assert got.robust_accuracy.shape == (len(ATTACKS), len(STRENGTHS))
    assert (jnp.diff(got.robust_accuracy[0]) <= 0).all()
    radii = np.median(given.r_opt[-1]) * np.array(STRENGTHS)
    survive = np.asarray(got.radius)[:, None] > radii
    np.testing.assert_allclose(got.robust_accuracy[0], survive.mean(axis=0), rtol=1e-6)
    # No attack within a radius leaves fewer than there are beyond it, but for the last digits.
    assert (got.robust_accuracy[2] >= got.robust_accuracy[0] - 1e-6).all()
    assert got.correct.sum() == (np.asarray(got.radius) > 0).sum()
