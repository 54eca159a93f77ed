"""A function of one example for many: the same answers however they are cut into chunks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture.batching import in_chunks, map_examples

TRACES = []


def scaled(power, shared, example):
    TRACES.append(power)
    x, index = example
    return {"value": shared["scale"] * x**power, "index": index}


def examples(num):
    return jnp.arange(num * 3.0).reshape(num, 3), jnp.arange(num, dtype=jnp.int32)


@pytest.mark.fast
@pytest.mark.parametrize("num", [1, 7])
@pytest.mark.parametrize("chunk", [None, 1, 3, 7, 9])
def test_chunks_change_nothing(num, chunk):
    shared = {"scale": jnp.float64(2)}
    one = lambda example: scaled(2, shared, example)
    got = in_chunks(one, examples(num), chunk)
    np.testing.assert_array_equal(got["value"], 2 * np.arange(num * 3.0).reshape(num, 3) ** 2)
    np.testing.assert_array_equal(got["index"], np.arange(num))
    again = map_examples(scaled, (2,), shared, examples(num), batch_size=chunk)
    jax.tree.map(np.testing.assert_array_equal, got, again)


@pytest.mark.fast
def test_one_program_for_equal_options_and_shapes():
    run = lambda power, scale, num=5: map_examples(
        scaled, (power,), {"scale": jnp.float64(scale)}, examples(num), batch_size=2
    )
    first = run(3, 1.0)
    before = len(TRACES)
    np.testing.assert_array_equal(run(3, 2.0)["value"], 2 * first["value"])
    assert len(TRACES) == before
    run(1, 1.0)
    assert len(TRACES) > before
    empty = run(3, 1.0, 0)
    assert empty["value"].shape == (0, 3)
    assert empty["index"].dtype == jnp.int32
    with pytest.raises(ValueError, match="hash"):
        map_examples(scaled, ([],), {"scale": 1.0}, examples(2))
