"""The share of inputs that withstand every perturbation found, against counting by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture.perturbation import Perturbation, Status, affine, fgsm, pgd, robust_accuracy, solve

NORMS = [0.5, 0.0, 2.0, np.inf, np.inf, 1.0]
STATUS = [
    *(Status.FOUND, Status.MISCLASSIFIED, Status.FOUND),
    *(Status.NOT_FOUND, Status.NOT_FINITE, Status.FOUND),
]


def results(norm, status, dtype=jnp.float32):
    norm, status = jnp.asarray(norm, dtype), jnp.asarray(status, jnp.int32)
    num = len(norm)
    label, grads = jnp.zeros((2, num), jnp.int32)
    return Perturbation(
        jnp.zeros((num, 3), dtype), norm, norm < jnp.inf, label, jnp.zeros(num), grads, status
    )


@pytest.mark.fast
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_it_is_what_counting_by_hand_gives(dtype):
    """Not found: robust at any radius; not finite and misclassified: wrong at any."""
    found = results(NORMS, STATUS, dtype)
    radii = jnp.array([0.0, 0.4, 0.5, 1.5, 2.0, 1e30], dtype)
    want = np.array([4, 4, 3, 2, 1, 1]) / 6
    got = robust_accuracy(found, radii)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, want, rtol=1e-6)
    np.testing.assert_array_equal(jax.jit(robust_accuracy)(found, radii), got)
    square = robust_accuracy(found, radii.reshape(2, 3))
    np.testing.assert_array_equal(square, got.reshape(2, 3))
    assert robust_accuracy(found, 0.4).shape == ()
    networks = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), found)
    both = jax.vmap(robust_accuracy, (0, None))(networks, radii)
    np.testing.assert_array_equal(both, jnp.stack([got, got]))


def test_attacks_at_a_radius_agree_with_the_survival_of_the_radius_where_it_is_exact():
    """For an affine network one step to the nearest boundary is optimal: three ways, one number."""
    rng = np.random.default_rng(0)
    weight = jnp.asarray(rng.normal(size=(2, 5)), jnp.float32)
    inputs = jnp.asarray(rng.normal(size=(40, 5)), jnp.float32)
    labels = jnp.asarray(rng.integers(0, 2, 40))
    apply = lambda weight, x: weight @ x
    smallest = solve(apply, weight, inputs, labels, solver=affine)
    direction = np.asarray(weight[0] - weight[1])
    margins = (np.asarray(inputs) @ direction) * np.where(np.asarray(labels) == 0, 1, -1)
    distances = margins / np.linalg.norm(direction)
    radii = np.array([0.0, 0.3, 0.9])
    want = (distances > radii[:, None]).mean(axis=1)
    np.testing.assert_allclose(robust_accuracy(smallest, radii), want, rtol=1e-6)
    for attack in (fgsm, pgd):
        for radius, share in zip(radii[1:], want[1:], strict=True):
            found = solve(apply, weight, inputs, labels, solver=attack, radius=float(radius))
            np.testing.assert_allclose(robust_accuracy(found, radius), share, rtol=1e-6)


@pytest.mark.fast
def test_one_input_and_none_are_refused():
    found = results(NORMS, STATUS)
    one = jax.tree.map(lambda leaf: leaf[0], found)
    none = jax.tree.map(lambda leaf: leaf[:0], found)
    for wrong in (one, none, jax.tree.map(lambda leaf: leaf[None], found)):
        with pytest.raises(ValueError, match=r"must be of a batch, with norms of shape \(n,\)"):
            robust_accuracy(wrong, 1.0)
