"""An analysis made in Python, as a labelled dataset and from there as tables and a page."""

import jax.numpy as jnp
import numpy as np
import pytest

from fracture import report
from fracture.analysis import Images, analyze, labelled
from fracture.perturbation import affine
from fracture.vocabulary import QUANTITIES


def network(weight, x):
    return jnp.matmul(weight, x.ravel(), precision="highest")


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    weight, inputs = rng.normal(size=(3, 12)), jnp.asarray(rng.normal(size=(6, 3, 4)))
    labels = jnp.argmax(inputs.reshape(6, 12) @ weight.T, axis=1).astype(jnp.int32)
    images = Images(inputs, labels)
    stages = lambda weight: [jnp.ravel, lambda h: jnp.matmul(weight, h, precision="highest")]
    return analyze(network, weight, *images, *images, solver=affine, stages=stages), images


def test_variables_are_the_fields_and_say_what_they_are(problem):
    result, images = problem
    dataset = labelled(result, images)
    for name in set(result._fields) - {"delta", "layers"}:
        np.testing.assert_array_equal(dataset[name], getattr(result, name))
        assert (dataset[name].attrs.get("symbol") is None) == (name not in QUANTITIES)
    np.testing.assert_array_equal(dataset["layer_rho"], result.layers.ratio)
    assert dataset["layer_rho"].attrs == QUANTITIES["layer_rho"].attrs()
    assert dataset["r_opt"].attrs["bound"] == "upper"
    assert dataset["ratio_pair"].attrs["symbol"] == "r_pair/r_opt"
    np.testing.assert_allclose(
        dataset["adversarial_images"] - dataset["images"], result.delta, atol=1e-12
    )
    symbols = [v.attrs["symbol"] for v in dataset.data_vars.values() if "symbol" in v.attrs]
    assert len(symbols) == len(set(symbols))  # one symbol, one meaning


def test_a_page_of_it_in_one_call(problem, tmp_path):
    dataset = labelled(*problem)
    page = report.page({}, tmp_path, analyses={"mine": dataset})
    text = page.read_text()
    assert "6 inputs: 6 found." in text
    assert "half the distance to the nearest reference of another class (an upper bound" in text
    assert (tmp_path / "figures" / "mine-gallery.png").exists()
    assert report.tables({}, analyses={"mine": dataset})
