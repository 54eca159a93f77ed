"""A sweep of one's own is summarised by the same functions as the claims, and all of it."""

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr
from jaxtyping import Array, Bool, Float

from fracture import statistics
from fracture.sweeps import Sweep, read_dataset, run
from fracture.vocabulary import Quantity, quantity, variables

DIMS, DEPTHS, SEEDS, INPUTS = (4, 16, 64), (1, 2), 12, 5
RNG = np.random.default_rng(0)


def measured(**variables):
    """A sweep over dimension and depth: `NAME=(values, dims within a cell, what it is)`."""
    dims = ("dim", "layers", "seed")
    return xr.Dataset(
        {
            name: ((*dims, *within), values, what.attrs())
            for name, (values, within, what) in variables.items()
        },
        {"dim": list(DIMS), "layers": list(DEPTHS)},
        {"axes": ["dim", "layers"], "experiment": "own", "seeds": [SEEDS] * 3},
    )


def draw(*more):
    size = (len(DIMS), len(DEPTHS), SEEDS, *more)
    root = np.array(DIMS, float).reshape(-1, *[1] * (len(size) - 1)) ** -0.5
    return root * np.exp(0.1 * RNG.normal(size=size))


@pytest.mark.fast
def test_every_variable_is_summarised_as_its_medians_are():
    ratio, half = draw(), draw(3)
    dataset = measured(
        ratio=(ratio, (), quantity("ratio")), r_half=(half, ("references",), quantity("r_half"))
    )
    summary = statistics.summarise(dataset)
    for at, depth in enumerate(DEPTHS):
        alone = statistics.medians(dataset["ratio"][:, at])
        for dim in DIMS:
            here = summary.sel(dim=dim, layers=depth)
            assert [here["ratio"], here["ratio_lo"], here["ratio_hi"]] == list(alone[dim])
    assert summary["r_half"].dims == ("dim", "layers", "references")
    np.testing.assert_allclose(summary["r_half"], np.median(half, axis=2))
    assert summary["r_half"].attrs == quantity("r_half").attrs()
    assert (summary["seeds"] == SEEDS).all()
    assert summary["seeds"].dims == ("dim", "layers")
    few = statistics.summarise(dataset, ["r_half"])
    assert "ratio" not in few
    np.testing.assert_allclose(few["r_half_lo"], summary["r_half_lo"])
    with pytest.raises(KeyError):
        statistics.summarise(dataset, ["radius"])


@pytest.mark.fast
def test_inputs_of_a_seed_are_one_value_of_those_that_can_be_used():
    """Wrong inputs have radius 0, others inf: neither is a measurement; half wrong is no seed."""
    radius = draw(20)
    correct, found = np.ones((2, *radius.shape), bool)
    correct[..., 0], found[..., 1] = False, False
    radius[..., 0], radius[..., 1] = 0, np.inf
    found[0, 0, 0, :10] = False
    dataset = measured(
        radius=(radius, ("example",), quantity("radius")),
        correct=(correct, ("example",), quantity("correct")),
        found=(found, ("example",), quantity("found")),
        loss=(draw(), (), quantity("loss")),
    )
    summary = statistics.summarise(dataset)
    of_seed = np.median(radius[..., 2:], axis=-1)
    np.testing.assert_allclose(summary["radius"][1:], np.median(of_seed, axis=2)[1:])
    np.testing.assert_allclose(summary["radius"][0, 0], np.median(of_seed[0, 0, 1:]))
    assert summary["seeds"].values[0].tolist() == [SEEDS - 1, SEEDS]
    np.testing.assert_allclose(summary["correct"], 0.95)
    np.testing.assert_allclose(summary["found"], 18 / 19)
    np.testing.assert_allclose(summary["loss"], dataset["loss"].median("seed"))


@pytest.mark.fast
def test_truth_values_are_shares_of_seeds():
    alive = np.zeros((len(DIMS), len(DEPTHS), SEEDS), bool)
    alive[0, 1, :3] = True
    what = Quantity("alive", "whether it lives", form="share")
    dataset = measured(alive=(alive, (), what), ratio=(draw(), (), quantity("ratio")))
    padded = dataset.where(dataset["seed"] < 10)  # as where seeds differ from place to place
    padded["alive"].attrs["flag_meanings"] = "false true"  # as sweeps say there
    for one, seeds in ((dataset, SEEDS), (padded, 10)):
        summary = statistics.summarise(one)
        got = [float(summary[f"alive{end}"][0, 1]) for end in ("", "_lo", "_hi")]
        np.testing.assert_allclose(got, statistics.proportion(3, seeds))
        assert (summary["alive"].values.ravel()[2:] == 0).all()
    only = statistics.summarise(dataset, ["alive"])
    np.testing.assert_allclose(only["alive"][0, 1], 3 / SEEDS)


class Lives(NamedTuple):
    alive: Annotated[Bool[Array, ""], Quantity("alive", "whether it lives", form="share")]
    accuracy: Float[Array, ""]


@pytest.mark.parametrize("seeds", [6, (4, 6)])
def test_an_accuracy_of_1_everywhere_is_no_truth_value(seeds, tmp_path):
    """Also where a sweep pads truth values, which are numbers then; and when it is read back."""
    lives = lambda key, _, dim: Lives(jax.random.bernoulli(key), jnp.ones(()))
    sweep = Sweep("lives", lives, {"dim": (8, 16)}, seeds, 6, variables(Lives))
    dataset = run(sweep, out=tmp_path)
    for one in (dataset, read_dataset(tmp_path / "lives.nc")):
        summary = statistics.summarise(one).sel(dim=8)
        alive = one["alive"].sel(dim=8).dropna("seed").values
        want = statistics.proportion(int(alive.sum()), alive.size)
        assert [float(summary[f"alive{end}"]) for end in ("", "_lo", "_hi")] == list(want)
        accurate = statistics.medians(one["accuracy"])[8]
        got = [float(summary[f"accuracy{end}"]) for end in ("", "_lo", "_hi")]
        np.testing.assert_array_equal(got, list(accurate))
        assert got[1] != statistics.proportion(alive.size, alive.size).low


@pytest.mark.fast
def test_exponents_are_those_of_each_level():
    dataset = measured(
        ratio=(draw(), (), quantity("ratio")),
        accuracy=(draw(), (), quantity("accuracy")),
        r_half=(draw(2), ("references",), quantity("r_half")),
        radius=(draw(INPUTS), ("example",), quantity("radius")),
    )
    fits = statistics.exponents(dataset, expected=-0.5)
    assert [(fit.quantity, fit.level) for fit in fits] == [
        (name, level) for name in ("ratio", "radius") for level in ("L = 1", "L = 2")
    ]
    for at, fit in enumerate(fits[:2]):
        want = statistics.exponent(dataset["ratio"][:, at].assign_attrs(), -0.5)
        assert fit == want._replace(level=fit.level)
        assert abs(fit.exponent + 0.5) < 0.05
    shares = statistics.exponents(dataset, ["accuracy"])
    assert [fit.quantity for fit in shares] == ["accuracy", "accuracy"]
    words = dataset.assign_coords(dim=["a", "b", "c"])
    assert statistics.exponents(words) == ()
