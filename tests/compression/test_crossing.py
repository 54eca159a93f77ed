"""Where displacements cross a boundary, on networks whose boundary is known."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture.compression import crossing, law_factors

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("ord", [1, 2, np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_of_an_affine_network_the_ratio_is_exact_wherever_the_boundary_is(dtype, ord):
    x, delta, weight = RNG.normal(size=(3, 4, 2)).astype(dtype)
    weight *= -np.sign(np.sum(weight * delta), dtype=dtype)
    slope = np.sum(weight * delta)
    height = -0.3 * slope  # at x; the boundary is at t = 0.3
    network = lambda z: jnp.sum(weight * (z - x)) + height
    tolerance = {np.float32: 1e-4, np.float64: 1e-6}[dtype]
    found = jax.jit(lambda z: crossing(network, z, 0, delta, other=1, ord=ord))(x)
    dual = {1: np.inf, 2: 2, np.inf: 1}[ord]
    radius = height / np.linalg.norm(weight.ravel(), dual)
    half = np.linalg.norm(delta.ravel(), ord) / 2
    np.testing.assert_allclose(found.at, 0.3, rtol=tolerance)
    np.testing.assert_allclose(found.ratio, radius / half, rtol=tolerance)
    factors = law_factors(network, x, 0, delta, radius, other=1, ord=ord)
    np.testing.assert_allclose(found.rho_net, factors.rho_net, rtol=tolerance)
    # What is done to the margin moves no boundary; law E sees it as midpoint and secant.
    bent = crossing(lambda z: jnp.sinh(network(z)), x, 0, delta, other=1, ord=ord)
    np.testing.assert_allclose(bent.ratio, found.ratio, rtol=tolerance)


def test_on_a_sphere_the_tangent_plane_is_that_of_the_first_crossing():
    network = lambda z: 1 - jnp.sum(z**2)
    xs = jnp.array([[0.5, 0.0], [-0.5, 0.2]])
    delta = jnp.array([0.0, 2.0])
    found = jax.vmap(lambda x: crossing(network, x, 0, delta, other=1))(xs)
    top = np.sqrt(1 - xs[:, 0] ** 2)  # height of the sphere there, and its normal's cosine
    at = (top - xs[:, 1]) / 2
    np.testing.assert_allclose(found.at, at, rtol=1e-5)
    np.testing.assert_allclose(found.rho_net, top, rtol=1e-5)
    np.testing.assert_allclose(found.ratio, 2 * at * top, rtol=1e-5)
    one = crossing(network, xs[1], 0, delta, other=1)
    np.testing.assert_allclose(one, [part[1] for part in found], rtol=1e-6)
    # In and out again: the first one counts, of those that are looked at.
    through = lambda z: (z[0] - 1) * (z[0] - 2) * (z[0] - 3) * -1
    along = crossing(through, jnp.zeros(1), 0, jnp.array([4.0]), other=1)
    np.testing.assert_allclose(along.at, 0.25, rtol=1e-5)


@pytest.mark.fast
def test_without_a_crossing_nothing_is_predicted():
    network = lambda z: 1 - jnp.sum(z)
    x, delta = jnp.zeros(2), jnp.array([0.4, 0.4])
    assert np.isnan(crossing(network, x, 0, delta, other=1)).all()
    further = crossing(network, x, 0, delta, other=1, reach=2.0)
    np.testing.assert_allclose(further, [1.25, 1.0, 2.5], rtol=1e-5)
    assert np.isnan(crossing(network, x, 1, delta, other=0)).all()  # misclassified
    assert np.isnan(crossing(network, x * jnp.nan, 0, delta, other=1)).all()


@pytest.mark.fast
def test_what_makes_no_sense_is_refused():
    network = lambda z: jnp.sum(z)
    x = jnp.ones(2)
    with pytest.raises(ValueError, match="shape"):
        crossing(network, x, 0, jnp.ones(3), other=1)
    with pytest.raises(TypeError, match="floating"):
        crossing(network, np.ones(2, int), 0, x, other=1)
    with pytest.raises(ValueError, match="points"):
        crossing(network, x, 0, x, other=1, points=0)
    with pytest.raises(ValueError, match="reach"):
        crossing(network, x, 0, x, other=1, reach=-1.0)
