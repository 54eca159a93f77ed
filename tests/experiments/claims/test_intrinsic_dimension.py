"""The claim on dimensions without information, in small, against geometry done by hand."""

import jax
import numpy as np
import pytest
import xarray as xr

from fracture import data, experiments
from fracture.experiments.claims import intrinsic_dimension

OPTIONS = intrinsic_dimension.Options(
    intrinsic_dim=3, points=64, width=16, steps=200, learning_rate=1e-2, examples=4
)


@pytest.fixture(scope="module")
def cell():
    return intrinsic_dimension.measure(jax.random.key(1), (), OPTIONS, dim=12)


def test_optimal_radii_are_distances_within_the_content(cell):
    """To where the first coefficient vanishes, in the coordinates of each embedding."""
    key = jax.random.split(jax.random.key(1), 5)[0]
    task = data.linear_subspace(key, 3, 64, intrinsic_dim=3, dtype="float32")
    first = np.abs(task.coefficients[:4, 0])
    knots = np.linalg.pinv(np.asarray(intrinsic_dimension._between_knots(12, 3)))
    scales = {"rotated": 1, "copied": 2, "smooth": 1 / np.linalg.norm(knots[0]), "noisy": 1}
    for at, name in enumerate(intrinsic_dimension.EMBEDDINGS):
        np.testing.assert_allclose(cell.r_opt[at], scales[name] * first, rtol=1e-4)


def test_searches_along_and_across_are_never_shorter_than_the_free_one(cell):
    found = np.asarray(cell.found)
    for within in (cell.radius_on, cell.radius_off):
        assert (np.asarray(within) >= 0.97 * np.asarray(cell.radius))[found].all()


def test_knots_are_kept_and_joined_by_straight_lines():
    got = intrinsic_dimension._between_knots(9, 5) @ np.array([0.0, 2, 4, 0, 1], np.float32)
    np.testing.assert_allclose(got, [0, 1, 2, 3, 4, 2, 0, 0.5, 1], rtol=1e-6)


def test_dimensions_that_cannot_be_copied_into_are_refused():
    with pytest.raises(ValueError, match="multiples of 8 above it, got 8, 20"):
        experiments.reproduce("intrinsic_dimension", settings={"dim": (8, 16, 20)})


def test_slopes_are_open_where_seeds_failed():
    """Exact laws in all embeddings; at the second dimension one of eight seeds has a result."""
    names = intrinsic_dimension.EMBEDDINGS
    coords = {"dim": [16, 64], "seed": range(8), "embedding": list(names), "example": [0]}
    ones = xr.DataArray(np.ones([len(places) for places in coords.values()]), coords)
    of_inputs = ("r_opt", "radius", "radius_on", "radius_off", "gradient_off", "ratio_on")
    variables = dict.fromkeys((*of_inputs, "correct", "found"), ones)
    variables |= {"ratio": ones * ones["dim"] ** -0.5, "accuracy": ones.isel(example=0)}
    whole = xr.Dataset(variables, attrs={"axes": ["dim"], "seeds": [8, 8]})
    some = whole.assign(found=ones.where((ones["dim"] < 64) | (ones["seed"] == 0), 0))
    for dataset, word in ((whole, "holds"), (some, "undecided")):
        found = intrinsic_dimension.judge(dataset).verdicts
        assert [verdict.word for verdict in found] == [word] * 3 * len(names)
