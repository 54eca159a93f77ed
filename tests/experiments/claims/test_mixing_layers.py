"""Several mixing layers against decompositions in NumPy and against the law of the pivot."""

import jax
import numpy as np
import pytest
import scipy.stats

from fracture import data, experiments, theory
from fracture.experiments.claims import mixing_layers


@pytest.fixture(scope="module")
def found():
    return experiments.reproduce("mixing_layers", settings={"dim": (4, 8)}, seeds=1024)


@pytest.mark.fast
def test_radii_follow_the_law_of_the_pivot(found):
    radii = found.dataset["radius"]
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


def test_layers_are_those_of_one_product():
    key = jax.random.key(3)
    got = mixing_layers.measure(key, (), mixing_layers.Options(), dim=6)
    mixing = np.eye(6)
    for at, factor in enumerate(data.mixed_hypercube(key, 6, 1, layers=4).factors):
        mixing = np.asarray(factor) @ mixing
        pivot = abs(np.linalg.qr(mixing)[1][-1, -1])
        np.testing.assert_allclose(got.radius[at], pivot, rtol=1e-6)
        np.testing.assert_allclose(got.r_half[at], np.linalg.norm(mixing[:, -1]), rtol=1e-9)


def test_verdicts_of_what_is_known(found):
    verdicts = mixing_layers.judge(found.dataset).verdicts
    assert all(verdict.holds is not False for verdict in verdicts[::2])
    dataset = found.dataset.copy()
    known = np.linspace(0.9, 1.1, 1024)[:, None] * dataset["dim"].values[:, None, None] ** (
        -dataset["layers"].values / 2
    )
    dataset["ratio_pair"] = dataset["ratio_pair"].copy(data=known)
    dataset["radius"] = 2 * dataset["radius"]
    dataset["radius"].attrs = found.dataset["radius"].attrs
    law, exponent = mixing_layers.judge(dataset).verdicts[:2]
    assert [law.holds, exponent.holds] == [False, True]


def test_dimensions_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="at least 2"):
        experiments.reproduce("mixing_layers", settings={"dim": (1, 2)})
