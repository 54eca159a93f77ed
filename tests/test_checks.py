"""Counts, numbers and dtypes at the door."""

import jax.numpy as jnp
import numpy as np
import pytest

from fracture._checks import check_counts, check_finite, float_dtype, require_single_or_double


@pytest.mark.fast
def test_counts():
    check_counts(steps=1, size=np.int8(3))
    check_counts(0, nodes=0)
    for wrong in (0, -1, 2.0, True, None, "2"):
        with pytest.raises(
            ValueError, match=f"steps must be an integer of at least 1, got {wrong!r}"
        ):
            check_counts(size=1, steps=wrong)
    with pytest.raises(ValueError, match="dim must be an integer of at least 2, got 1"):
        check_counts(2, dim=1)


@pytest.mark.fast
def test_finite_numbers():
    check_finite(0, noise=0, margin=np.float32(1.5))
    for wrong in (-1e-9, np.inf, np.nan):
        with pytest.raises(ValueError, match="noise must be finite and at least 0, got"):
            check_finite(0, noise=wrong)


@pytest.mark.fast
def test_dtypes():
    assert float_dtype(None) == jnp.result_type(float)
    assert float_dtype("bfloat16") == jnp.bfloat16
    with pytest.raises(TypeError, match="dtype must be floating, got int32"):
        float_dtype(np.int32)
    require_single_or_double("x", jnp.ones(2, jnp.float32))
    with pytest.raises(TypeError, match="x must be float32 or float64, got bfloat16"):
        require_single_or_double("x", jnp.ones(2, jnp.bfloat16))
