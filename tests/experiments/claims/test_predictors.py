"""What is measured of networks beside an affine one, and verdicts on made-up results."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from measured import measured

from fracture import experiments
from fracture.experiments.claims import _recipes, predictors


@pytest.fixture(scope="module")
def found():
    return measured("predictors")


def test_every_network_has_a_recipe_of_its_own_and_keeps_to_its_bounds(found):
    dataset = found.dataset.isel(data=0)
    low, high = np.array(list(_recipes.RECIPE.values())).T
    assert ((dataset["recipe"] >= low) & (dataset["recipe"] <= high)).all()
    assert (dataset["recipe"].isel(seed=0) != dataset["recipe"].isel(seed=1)).all()
    learned = dataset.sel(seed=dataset["accuracy"] > 0.2)
    assert learned.sizes["seed"] >= 2
    # A difference of two logits changes at most √2 times as fast as they do.
    assert (learned["gradient"] <= 2**0.5 * learned["lipschitz"]).all()
    assert (learned["certified"] / 2**0.5 <= learned["radius"]).all()
    assert ((learned["rho_net"] > 0) & (learned["rho_net"] <= 1)).all()
    assert ((learned["effective_rank"] >= 1) & (learned["effective_rank"] <= 9)).all()


@pytest.mark.fast
def test_ingredients_and_random_labels_are_drawn_as_they_are_meant():
    recipes = jax.vmap(_recipes.draw_recipe)(jax.random.split(jax.random.key(0), 4000))
    low, high = np.array(list(_recipes.RECIPE.values())).T
    middle = np.where(low > 0, np.sqrt(low * high), high / 2)
    np.testing.assert_allclose(np.median(recipes, axis=0), middle, rtol=0.1)
    labels = jnp.zeros(20000, jnp.int32)
    drawn = _recipes.random_labels(jax.random.key(1), labels, jnp.float32(0.5))
    shares = np.bincount(drawn, minlength=10) / 20000
    np.testing.assert_allclose(shares, [0.55, *[0.05] * 9], atol=0.015)


@pytest.mark.fast
def test_the_lipschitz_bound_is_the_product_of_largest_singular_values():
    kernels = [
        np.random.default_rng(n).normal(size=shape) for n, shape in enumerate([(3, 5), (5, 2)])
    ]
    want = np.prod([np.linalg.svd(kernel)[1][0] for kernel in kernels])
    params = {"a": {"kernel": kernels[0], "bias": np.ones(5)}, "b": kernels[1]}
    params = jax.tree.map(jnp.asarray, params)
    np.testing.assert_allclose(predictors._lipschitz(params), want, rtol=1e-6)


def made(weights, noise=0.1, places=("digits", "clusters"), seeds=200):
    """Networks whose log radius is a weighted sum of log predictors, of accuracy, and noise."""
    rng = np.random.default_rng(0)
    arrays = {name: rng.normal(size=(len(places), seeds)) for name in predictors.PREDICTORS}
    accuracy = rng.uniform(0.6, 1, size=(len(places), seeds))
    log_radius = sum(weight * arrays[name] for name, weight in weights.items())
    log_radius = log_radius + 3 * accuracy + noise * rng.normal(size=accuracy.shape)
    arrays |= {"radius": log_radius, "ratio": log_radius}
    variables = {name: (("data", "seed"), np.exp(array)) for name, array in arrays.items()}
    variables["accuracy"] = (("data", "seed"), accuracy)
    coords = {"data": list(places), "seed": np.arange(seeds)}
    return xr.Dataset(variables, coords, {"axes": ["data"], "seeds": [seeds] * len(places)})


def holds(weights, **options):
    return [v.holds for v in predictors.judge(made(weights, **options)).verdicts]


def test_verdicts_on_measurements_that_are_made_up():
    assert holds({"rho_net": 1.0}) == [True, True, True]
    assert holds({"lipschitz": -1.0, "rho_net": 0.1}) == [False, False, None]
    assert holds({"linearised": 1.0}, noise=0.01)[2] is False
    assert holds({"rho_net": 1.0}, seeds=5) == [None, None, None]


@pytest.mark.fast
def test_networks_that_learned_little_do_not_count():
    dataset = made({"rho_net": 1.0})
    spoiled = dataset.copy(deep=True)
    spoiled["accuracy"][:, ::2] = 0.3
    spoiled["radius"][:, ::2] = 1.0
    kept = dataset.isel(seed=slice(1, None, 2)).assign_attrs(dataset.attrs | {"seeds": [100] * 2})
    got, want = predictors.judge(spoiled), predictors.judge(kept)
    np.testing.assert_array_equal(got.summary["partial"], want.summary["partial"])
    assert [v.evidence for v in got.verdicts] == [v.evidence for v in want.verdicts]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"data": ("words",)}, "data must be of digits, clusters, spiked"),
        ({"dim": 50, "data": ("digits",)}, "dim must be a square"),
        ({"dim": 16}, "dim must be at least 20"),
        ({"hidden": 0}, "hidden"),
        ({"solver": "none"}, "solver"),
    ],
)
@pytest.mark.fast
def test_what_cannot_be_measured_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        experiments.reproduce("predictors", settings=wrong)
