"""The share of inputs that provably withstand every perturbation, against counting by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture.certificates import Certificate, CertificateStatus, bracket, certified_accuracy
from fracture.perturbation import robust_accuracy

RADII = [0.5, 0.0, 2.0, 0.0, 0.0, 1.0]
STATUS = [
    *(CertificateStatus.CERTIFIED, CertificateStatus.MISCLASSIFIED, CertificateStatus.EXACT),
    *(CertificateStatus.NOTHING, CertificateStatus.NOT_FINITE, CertificateStatus.CERTIFIED),
]


def certificates(dtype=jnp.float32):
    radius, status = jnp.asarray(RADII, dtype), jnp.asarray(STATUS, jnp.int32)
    none = jnp.zeros(len(RADII), jnp.int32)
    return Certificate(radius, jnp.zeros((len(RADII), 2), dtype), none, status, none)


@pytest.mark.fast
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_it_is_what_counting_by_hand_gives(dtype):
    """Nothing certified: right at the radius 0; not finite and misclassified: wrong at any."""
    radii = jnp.array([0.0, 1e-30, 0.5, 1.5, 2.0, 1e30], dtype)
    want = np.array([4, 3, 2, 1, 0, 0]) / 6
    got = certified_accuracy(certificates(dtype), radii)
    assert got.dtype == dtype
    np.testing.assert_allclose(got, want, rtol=1e-6)
    np.testing.assert_array_equal(jax.jit(certified_accuracy)(certificates(dtype), radii), got)
    square = certified_accuracy(certificates(dtype), radii.reshape(2, 3))
    np.testing.assert_array_equal(square, got.reshape(2, 3))
    assert certified_accuracy(certificates(dtype), 0.4).shape == ()
    networks = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), certificates(dtype))
    both = jax.vmap(certified_accuracy, (0, None))(networks, radii)
    np.testing.assert_array_equal(both, jnp.stack([got, got]))


def test_the_two_sides_of_an_affine_network_enclose_the_share_of_its_distances():
    rng = np.random.default_rng(0)
    weight, inputs = rng.normal(size=(3, 5)), rng.normal(size=(40, 5))
    labels = rng.integers(0, 3, 40)
    network = lambda z: jnp.matmul(jnp.asarray(weight), z, precision="highest")
    prove = lambda x, label: bracket(network, x, label, method="crown", effort="low")
    both = jax.jit(jax.vmap(prove))(jnp.asarray(inputs), jnp.asarray(labels))
    rows = weight[labels][:, None] - weight[None]
    lengths = np.linalg.norm(rows, axis=2)
    distances = np.einsum("nkd,nd->nk", rows, inputs) / np.where(lengths > 0, lengths, 1)
    nearest = np.where(lengths > 0, distances, np.inf).min(axis=1)
    radii = np.array([0.0, 0.1, 0.3, 0.9])
    want = (nearest > radii[:, None]).mean(axis=1)
    assert 0.1 < want[1] < want[0] < 0.9
    np.testing.assert_allclose(certified_accuracy(both.certificate, radii), want, rtol=1e-12)
    np.testing.assert_allclose(robust_accuracy(both.found, radii), want, rtol=1e-12)


@pytest.mark.fast
def test_one_certificate_and_none_are_refused():
    one = jax.tree.map(lambda leaf: leaf[0], certificates())
    none = jax.tree.map(lambda leaf: leaf[:0], certificates())
    for wrong in (one, none, jax.tree.map(lambda leaf: leaf[None], certificates())):
        with pytest.raises(ValueError, match=r"must be of a batch, with radii of shape \(n,\)"):
            certified_accuracy(wrong, 1.0)
