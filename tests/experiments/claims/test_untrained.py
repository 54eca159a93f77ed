"""Untrained networks against the law of one random direction."""

import numpy as np
import pytest
import scipy.stats
from measured import measured

from fracture import experiments
from fracture.experiments.claims import untrained


@pytest.fixture(scope="module")
def found():
    return measured("untrained")


def test_linear_networks_follow_the_law_of_one_direction(found):
    linear = found.dataset.sel(network="linear")
    # What is found is pushed out of the rounding of float32, in which networks are drawn.
    got, want = linear["radius_relative"], linear["rho_net"]
    np.testing.assert_allclose(got, want, rtol=1e-4, atol=20 * np.finfo(np.float32).eps)
    assert (got >= want * (1 - 1e-5)).all()
    for dim in (8, 16):
        law = scipy.stats.beta(0.5, (dim - 1) / 2)
        squares = linear["radius_relative"].sel(dim=dim).values.astype(float) ** 2
        assert scipy.stats.kstest(squares, law.cdf).pvalue > 0.01


def test_the_origin_is_a_boundary_of_every_network(found):
    reached = found.dataset.where(found.dataset["found"])
    assert reached["found"].mean() > 0.95
    # f vanishes there, so a search that is any good ends no later.
    assert (reached["radius_relative"].max() < 1.05).item()


def test_verdicts_of_what_is_known(found):
    dataset = found.dataset
    exact = np.linspace(0.5, 0.6, 256)
    made = dataset["rho_net"].copy(data=np.broadcast_to(exact, dataset["rho_net"].shape))
    made = made / dataset["dim"] ** 0.5
    known = dataset.assign(radius_relative=1.1 * made, rho_net=made, found=dataset["found"] | True)
    for name in known.data_vars:
        known[name].attrs = dataset[name].attrs
    _, shallow, cosine = untrained.judge(known).verdicts
    assert [shallow.holds, cosine.holds] == [True, True]
    flat = untrained.judge(known.assign(radius_relative=made * dataset["dim"] ** 0.5))
    assert [verdict.holds for verdict in flat.verdicts] == [False, False, False]
    few = untrained.judge(known.assign(found=dataset["found"] & (dataset["seed"] % 2 == 0)))
    assert few.verdicts[1].holds is None
    assert "too few seeds gave a result at d = 8, 16" in few.verdicts[1].finding
    half = known["found"].copy()
    half.loc[{"network": "shallow", "dim": 16}] = dataset["seed"] % 2 == 0
    cosine = untrained.judge(known.assign(found=half)).verdicts[2]
    assert cosine.holds is None
    assert cosine.finding.endswith("too few seeds gave a result at network = shallow")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"network": ("cnn",)}, "network must be of linear, shallow"),
        ({"dim": (2, 8)}, "at least 4"),
        ({"solver": "newton"}, "solver must be a function or one of"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        experiments.reproduce("untrained", settings=settings)
