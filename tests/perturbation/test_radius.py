"""Derivatives of the radius: finite differences of minima found by independent iterations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

from fracture.norms import halfspace_step, norm
from fracture.perturbation import Status, affine, optimality_residual, radius, refine

ORDERS = [1, 2, np.inf]
NUM, DIM, STEP = 64, 12, 1e-4


def tanh_networks():
    """Random tanh networks, directions of their weights, inputs in [0, 1] and ways there."""
    draw = np.random.default_rng(0)
    hidden, way = draw.normal(size=(2, NUM, 24, DIM)) / DIM**0.5
    last = draw.normal(size=(NUM, 3, 24)) / 24**0.5
    x, x_way = draw.random((NUM, DIM)), draw.normal(size=(NUM, DIM))
    return hidden, way, last, x, x_way


def differentiate(task, ord, bounds):
    """Norm found, its derivatives, local minima at five places, and whether all is settled."""
    hidden, way, last, x, x_way = task

    def at(t):
        return lambda z: last @ jnp.tanh((hidden + t[0] * way) @ z), x + t[1] * x_way

    net, x = at(jnp.zeros(2))
    label, options = jnp.argmax(net(x)), dict(ord=ord, bounds=bounds)
    found = refine(net, x, label, jnp.zeros_like(x), steps=60, **options)

    def value(t):
        net, z = at(t)
        return radius(net, z, label, solver=lambda *args, **options: found, **options)

    def nearest(t):
        """Project on the boundary linearised at the last projection, until nothing moves."""
        net, z = at(t)
        room = None if bounds is None else (bounds[0] - z, bounds[1] - z)

        def step(_, carry):
            delta, _ = carry
            pair = lambda z: net(z)[label] - net(z)[found.adversarial_label]
            height, grad = jax.value_and_grad(pair)(z + delta)
            moved, _ = halfspace_step(height - grad @ delta, grad, room=room, ord=ord)
            return moved, jnp.max(jnp.abs(moved - delta))

        init = found.delta, jnp.zeros(())
        delta, change = jax.lax.fori_loop(0, 50, step, init)
        return norm(delta, ord), change < 1e-9

    places = STEP * jnp.array([[0, 0], [1, 0], [-1, 0], [0, 1], [0, -1.0]])
    minima, settled = jax.lax.map(nearest, places)
    settled = settled.all() & (found.status == Status.FOUND)
    return *jax.value_and_grad(value)(places[0]), minima, settled


@pytest.mark.parametrize("bounds", [None, (0.0, 1.0)])
@pytest.mark.parametrize("ord", ORDERS)
def test_derivatives_in_weights_and_input_of_random_networks(ord, bounds):
    run = jax.jit(jax.vmap(lambda task: differentiate(task, ord, bounds)))
    value, got, minima, settled = run(tanh_networks())
    ahead, behind = minima[:, 1::2] - minima[:, :1], minima[:, :1] - minima[:, 2::2]
    want, size = (ahead + behind) / (2 * STEP), jnp.abs(ahead + behind).max(1) / (2 * STEP)
    # Where the search came to this minimum, and it has a derivative.
    settled &= jnp.abs(value / minima[:, 0] - 1) < 1e-4
    settled &= jnp.abs(ahead - behind).max(1) < 1e-2 * STEP * size
    assert int(settled.sum()) >= 48
    assert (jnp.abs(got - want).max(1) < 1e-3 * size)[settled].all()


@pytest.mark.parametrize("ord", ORDERS)
def test_derivatives_with_a_clipped_coordinate_in_closed_form(ord):
    def value(a, x):
        bend = lambda z: a * (z[1] + z[1] ** 2 / 4) + 0.3 * jnp.sin(2 * z[0] * z[1])
        net = lambda z: jnp.stack([1.5 - z[0] - bend(z), 0.0])
        return radius(net, x, 0, ord=ord, bounds=(0.0, jnp.array([1.0, 0.7])), solver=slide)

    def slide(logits_fn, x, label, **options):
        return refine(logits_fn, x, label, jnp.zeros_like(x), **options)

    got, (of_a, of_x) = jax.jit(jax.value_and_grad(value, (0, 1)))(1.0, jnp.array([0.2, 0.6]))
    # The second coordinate goes to its bound, 0.7; the boundary says where the first one goes.
    height = lambda first: 1.5 - first - 0.8225 - 0.3 * np.sin(1.4 * first)
    first = brentq(height, 0, 1)
    delta = np.array([first - 0.2, 0.1])
    slope = -0.8225 / (1 + 0.42 * np.cos(1.4 * first))  # of the first coordinate, in a
    want = np.linalg.norm(delta, ord)
    # How the norm changes with the first coordinate, and with both of x.
    share, way = {
        1: (1, [-1, -1]),
        2: (delta[0] / want, -delta / want),
        np.inf: (1, [-1, 0]),
    }[ord]
    np.testing.assert_allclose(got, want, rtol=1e-3)
    np.testing.assert_allclose(of_a, share * slope, rtol=1e-3)
    np.testing.assert_allclose(of_x, way, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize(
    ("ord", "xs", "want"),
    [
        # At the bound: inwards, the first coordinate costs in l1 what it moves, and no more.
        # Outside the bounds: the way back, and on to the boundary, unless that is crossed already.
        (1, [[0, 0], [-1, 0], [-1, 2]], [[1, 1, -1], [1, -1, -1], [0, -1, 0]]),
        (2, [[0, 0], [-0.6, 0], [-1, 2]], [[1, 0, -1], [0.8, -0.6, -0.8], [0, -1, 0]]),
        (np.inf, [[0, 0], [-0.6, 0], [-3, 0]], [[1, 0, -1], [1, 0, -1], [0, -1, 0]]),
    ],
)
def test_derivatives_for_inputs_at_or_outside_a_bound(ord, xs, want):
    box = jnp.array([0.0, -9]), 9.0

    def value(offset, x):
        net = lambda z: jnp.stack([4 * z[0] - z[1] + 0.8 + offset, 0.0])
        return radius(net, x, 0, ord=ord, bounds=box, solver=affine)

    of_offset, of_x = jax.jit(jax.vmap(jax.grad(value, (0, 1)), (None, 0)))(
        0.0, jnp.array(xs, float)
    )
    np.testing.assert_allclose(jnp.concatenate([of_offset[:, None], of_x], 1), want, atol=1e-9)


def gate(z):
    """Flat, and of another class, from z_0 = 1 on."""
    return jnp.where(z[0] < 1, jnp.stack([2 - z[0], 0 * z[0]]), jnp.array([0.0, 1.0]))


def test_no_derivative_is_zero_and_the_value_stays():
    xs = jnp.array([[0.0, 0], [0.5, 0.5], [1.5, 0]])  # the last is misclassified
    got, of_x = jax.jit(jax.vmap(jax.value_and_grad(lambda x: radius(gate, x, 0))))(xs)
    np.testing.assert_allclose(got, [1, 0.5, 0], rtol=1e-3)
    np.testing.assert_array_equal(of_x, 0)


def test_a_corner_that_the_boundary_just_misses_has_no_derivative():
    net = lambda z: 1.5 - jnp.sum(z)
    corner = jnp.ones(2)
    held = lambda *args, **options: affine(net, corner / 2, 0)._replace(delta=corner)
    value = lambda x: radius(net, x, 0, bounds=(0.0, 1.0), solver=held)
    np.testing.assert_array_equal(jax.grad(value)(jnp.zeros(2)), 0)
    assert jnp.isnan(optimality_residual(net, jnp.zeros(2), 0, corner, bounds=(0.0, 1.0)))


@pytest.mark.parametrize("bounds", [None, (-1.0, 3.0)])
@pytest.mark.parametrize("ord", ORDERS)
def test_no_nan_on_the_way(ord, bounds):
    value = lambda x: radius(gate, x, 0, ord=ord, bounds=bounds, solver=affine)
    with jax.debug_nans(True):
        for first in (0.0, 1.0, 1.5):
            got, of_x = jax.value_and_grad(value)(jnp.array([first, 0.0]))
            np.testing.assert_allclose(got, max(1 - first, 0), rtol=1e-3)
            np.testing.assert_array_equal(of_x, 0)
    assert jnp.isnan(optimality_residual(gate, jnp.zeros(2), 0, jnp.array([1.1, 0]), ord=ord))
