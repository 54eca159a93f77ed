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
    assert "radius_certified" not in dataset
    measured = {name for name in result._fields if getattr(result, name) is not None}
    for name in measured - {"delta", "layers"}:
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


def test_brackets_are_in_the_dataset_tables_figures_and_the_page(problem, tmp_path):
    """As `certify=True` gives them; that the numbers are right is tested where they are made."""
    result, images = problem
    radius, status = 0.8 * result.radius.at[0].set(0), jnp.array([3, 0, 0, 0, 0, 1])
    dataset = labelled(result._replace(radius_certified=radius, status_certified=status), images)
    np.testing.assert_allclose(dataset["certified_share"], [0, *[0.8] * 5])
    assert dataset["radius_certified"].attrs["bound"] == "lower"
    tables = report.tables({}, analyses={"mine": dataset})
    heads = [str(column.header).split("\n")[0] for table in tables for column in table.columns]
    at = heads.index("r_nn")
    assert heads[at : at + 6] == ["r_nn", "r_cert", "r_pair", "r_nn/‖x‖", "r_opt", "r_nn/r_opt"]
    made = report.analysis_figures(dataset)
    assert "certified over found is 0.800 at the median" in made["brackets"].alt
    assert "Thin lines" in made["robust-accuracy"].caption
    text = report.page({}, tmp_path, analyses={"mine": dataset}).read_text()
    assert "Where the smallest perturbation lies" in text
    assert "certified radius: no perturbation of a smaller norm" in text
    none = dataset.assign(status=("example", [1] * 6))  # all misclassified
    for drawing in report.analysis_figures(none).values():
        assert drawing.encode("png", "light")


def test_a_page_of_it_in_one_call(problem, tmp_path):
    dataset = labelled(*problem)
    page = report.page({}, tmp_path, analyses={"mine": dataset})
    text = page.read_text()
    assert "6 inputs: 6 found." in text
    assert "half the distance to the nearest reference of another class (an upper bound" in text
    assert (tmp_path / "figures" / "mine-gallery.png").exists()
    assert report.tables({}, analyses={"mine": dataset})
