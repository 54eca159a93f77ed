"""Several mixing layers against decompositions in NumPy and against the law of the pivot."""

import jax
import numpy as np
import pytest
import scipy.stats
import xarray as xr
from measured import measured

from fracture import experiments, theory
from fracture.experiments.claims import mixing_layers


@pytest.fixture(scope="module")
def found():
    return measured("mixing_layers")


def test_radii_follow_the_law_of_the_pivot(found):
    radii = found.dataset["radius"].sel(widening=1)
    for dim in (4, 8):
        for layers in (1, 2):
            law = theory.pivot(layers)
            one = radii.sel(dim=dim, layers=layers).values
            assert scipy.stats.kstest(one, lambda r, law=law: np.asarray(law.cdf(r))).pvalue > 0.01
        # The logarithm of |N(0, 1)| has the mean -(γ + log 2) / 2 and the variance π² / 8.
        for layers in (3, 4):
            logs = np.log(radii.sel(dim=dim, layers=layers).values)
            away = logs.mean() + layers * (np.euler_gamma + np.log(2)) / 2
            assert abs(away) < 4 * (layers * np.pi**2 / 8 / logs.size) ** 0.5


def test_radii_of_wide_matrices_follow_a_product_of_chi(found):
    """χ of n − d + 1 entries, drawn by NumPy, or as SciPy has it."""
    radii, rng = found.dataset["radius"].sel(widening=3), np.random.default_rng(0)
    for dim in (4, 8):
        law = scipy.stats.chi(2 * dim + 1)
        one = radii.sel(dim=dim, layers=1).values
        assert scipy.stats.kstest(one, law.cdf).pvalue > 0.01
        drawn = np.log(law.rvs((2**15, 4), rng)).cumsum(axis=1)
        for layers in (2, 3, 4):
            logs = np.log(radii.sel(dim=dim, layers=layers).values)
            assert scipy.stats.ks_2samp(logs, drawn[:, layers - 1]).pvalue > 0.01


@pytest.mark.parametrize("widening", [1, 2])
def test_layers_are_those_of_one_product(widening):
    """Of the same matrices: the radius of the linear network of least norm, and the twin's."""
    key, dim = jax.random.key(3), 6
    measure = jax.jit(mixing_layers.measure, static_argnames=("options", "dim", "widening"))
    got = measure(key, (), mixing_layers.Options(), dim=dim, widening=widening)
    mixing = np.eye(dim)
    for at, one in enumerate(jax.random.split(key, 4)):
        mixing = np.asarray(jax.random.normal(one, (widening * dim, len(mixing)))) @ mixing
        network = np.linalg.pinv(mixing)[-1]  # of x = A z it gives the last entry of z
        np.testing.assert_allclose(got.radius[at], 1 / np.linalg.norm(network), rtol=1e-6)
        np.testing.assert_allclose(got.r_half[at], np.linalg.norm(mixing[:, -1]), rtol=1e-9)


def test_verdicts_of_what_is_known(found):
    verdicts = mixing_layers.judge(found.dataset).verdicts
    assert all(verdict.holds is not False for verdict in verdicts[::2])
    dataset = found.dataset.copy()
    powers = xr.DataArray([1.0, 0.0], dims="widening") * dataset["layers"] / 2
    known = xr.DataArray(np.linspace(0.9, 1.1, 1024), dims="seed") * dataset["dim"] ** -powers
    half = (2 * dataset["radius"] / known).transpose(*dataset["radius"].dims)
    attrs = {name: dataset[name].attrs for name in dataset.data_vars}
    dataset = dataset.assign(radius=2 * dataset["radius"], r_half=half)
    for name in dataset.data_vars:
        dataset[name].attrs = attrs[name]
    verdicts = mixing_layers.judge(dataset).verdicts
    assert [verdict.holds for verdict in verdicts] == [False, True] * 8
    kept = dataset.assign(r_half=(half * dataset["dim"] ** 0.5).assign_attrs(attrs["r_half"]))
    verdicts = mixing_layers.judge(kept).verdicts
    assert [verdict.holds for verdict in verdicts] == [False] * 16


def test_dimensions_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="at least 2"):
        experiments.reproduce("mixing_layers", settings={"dim": (1, 2)})
    with pytest.raises(ValueError, match="widening must be"):
        experiments.reproduce("mixing_layers", settings={"widening": (1, 0)})
