import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quadprog
from scipy.optimize import linprog

from fracture import norms

ORDERS = [1, 2, np.inf]
MOVE = jax.jit(norms.project_halfspace_box, static_argnames="ord")


@pytest.mark.fast
@pytest.mark.parametrize("ord", [1, 1.5, 2, 3, np.inf])
@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_norm_dual_and_steepest(ord, scale):
    x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
    got = norms.norm(x * np.float32(scale), ord)
    want = np.linalg.norm(x.ravel().astype(float), ord) * scale
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, want, rtol=1e-6)
    direction = norms.steepest(x * np.float32(scale), ord)
    assert direction.shape == x.shape
    np.testing.assert_allclose(norms.norm(direction, ord), 1, rtol=1e-6)
    dual = np.linalg.norm(x.ravel().astype(float), norms.dual_order(ord))
    np.testing.assert_allclose(jnp.sum(direction * x), dual, rtol=1e-6)


def test_norm_of_special_vectors():
    for ord in [1, 1.5, 2, np.inf]:
        assert norms.norm(jnp.zeros(3), ord) == 0
        np.testing.assert_array_equal(jax.grad(norms.norm)(jnp.zeros(3), ord), 0)
        np.testing.assert_array_equal(norms.steepest(jnp.zeros(3), ord), 0)
        assert norms.norm(jnp.array([1, jnp.inf]), ord) == jnp.inf
        assert jnp.isnan(norms.norm(jnp.array([1, jnp.nan]), ord))
        assert norms.norm(jnp.zeros(0), ord) == 0
    x = jnp.array([3.0, -4.0])
    np.testing.assert_allclose(jax.grad(norms.norm)(x), x / 5)
    many = jnp.ones(70_000, jnp.bfloat16)  # neither overflows nor stalls in half precision
    assert norms.norm(many, 1).dtype == jnp.bfloat16
    np.testing.assert_allclose(norms.norm(many, 1).astype(float), 70_000, rtol=0.01)


@pytest.mark.parametrize("ord", ORDERS)
def test_ball_is_the_nearest_point(ord):
    rng = np.random.default_rng(1)
    xs, radii = rng.normal(size=(30, 7)), rng.uniform(0, 8, 30)
    got = jax.jit(jax.vmap(lambda x, r: norms.project_ball(x, r, ord)))(xs, radii)
    for x, radius, v in zip(xs, radii, got, strict=True):
        if ord == np.inf:
            want = np.clip(x, -radius, radius)
        elif ord == 2:
            want = x * min(1, radius / np.linalg.norm(x))
        else:  # sign vectors s: s.v <= radius, all 2^7 of them
            signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 7)).reshape(7, -1)
            want = quadprog.solve_qp(np.eye(7), x, -signs, np.full(signs.shape[1], -radius))[0]
        np.testing.assert_allclose(v, want, atol=1e-9)


def test_ball_edges():
    x = jnp.array([3.0, -4.0], jnp.float32)
    for ord in ORDERS:
        np.testing.assert_array_equal(norms.project_ball(x, 0.0, ord), 0)
        np.testing.assert_array_equal(norms.project_ball(x, 100.0, ord), x)
        assert jnp.isnan(norms.project_ball(x, -1.0, ord)).all()
        small = norms.project_ball(x * 1e-30, 1e-30, ord)
        np.testing.assert_allclose(small * 1e30, norms.project_ball(x, 1.0, ord), rtol=1e-5)


def reference_move(x, weight, offset, lower, upper, ord):
    """Length of the smallest move by quadratic or linear programming; None if there is none."""
    if offset + np.minimum(weight * lower, weight * upper).sum() > 0:
        return None
    d, eye = len(x), np.eye(len(x))
    excess = offset + weight @ x
    if ord == 2:
        constraints = np.concatenate([-weight[:, None], eye, -eye], 1)
        limits = np.concatenate([[excess], lower - x, x - upper])
        return np.linalg.norm(quadprog.solve_qp(eye, np.zeros(d), constraints, limits)[0])
    if ord == 1:  # delta = p - n
        rows = np.block([[weight, -weight], [eye, -eye], [-eye, eye]])
        limits = np.concatenate([[-excess], upper - x, x - lower])
        return linprog(np.ones(2 * d), rows, limits, bounds=(0, None)).fun
    one = np.ones((d, 1))
    rows = np.block([[weight, np.zeros(1)], [eye, -one], [-eye, -one]])
    limits = np.concatenate([[-excess], np.zeros(2 * d)])
    box = [*zip(lower - x, upper - x, strict=True), (0, None)]
    return linprog(np.concatenate([np.zeros(d), [1]]), rows, limits, bounds=box).fun


@pytest.mark.fast
@pytest.mark.parametrize("ord", ORDERS)
@pytest.mark.parametrize("dim", [1, 6])
def test_halfspace_and_box_against_mathematical_programming(ord, dim):
    rng = np.random.default_rng(dim)
    n = 60
    xs, weights = 2 * rng.normal(size=(n, dim)), rng.normal(size=(n, dim))
    weights[rng.random((n, dim)) < 0.2] = 0
    weights[::5] = np.round(weights[::5])  # ties
    offsets = 2 * rng.normal(size=n)
    lower, upper = -2 * rng.random((n, dim)), 2 * rng.random((n, dim))
    xs[::2] = np.clip(xs, lower, upper)[::2]  # the others are outside the box

    move = lambda x, w, b, l, u: norms.project_halfspace_box(x, w, b, bounds=(l, u), ord=ord)
    deltas, distances = jax.jit(jax.vmap(move))(xs, weights, offsets, lower, upper)
    for i in range(n):
        case = xs[i], weights[i], offsets[i], lower[i], upper[i]
        want = reference_move(*case, ord)
        if want is None:
            assert distances[i] == np.inf
            assert np.isfinite(deltas[i]).all()
            continue
        z = xs[i] + np.asarray(deltas[i])
        np.testing.assert_allclose(distances[i], want, rtol=1e-9, atol=1e-12)
        assert weights[i] @ z + offsets[i] <= 1e-12
        assert (z >= lower[i] - 1e-14).all()
        assert (z <= upper[i] + 1e-14).all()


@pytest.mark.parametrize("ord", ORDERS)
def test_halfspace_without_box_and_any_scale(ord):
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(2, 2, 5)).astype(np.float32)
    dual = np.linalg.norm(w.ravel(), norms.dual_order(ord))
    excess = np.vdot(w, x) + 5.0
    move = lambda x, w, b, box: MOVE(x, w, b, bounds=box, ord=ord)
    for scale in np.float32([1e-30, 1e-3, 1, 1e30]):
        delta, distance = move(x * scale, w, 5 * scale, None)
        np.testing.assert_allclose(distance / scale, excess / dual, rtol=1e-5)
        np.testing.assert_allclose(norms.norm(delta, ord), distance, rtol=1e-6)
        delta, distance = move(x, w * scale, 5 * scale, None)
        np.testing.assert_allclose(distance, excess / dual, rtol=1e-5)
        wide = move(x * scale, w, 5 * scale, (-100 * scale, np.float32(np.inf)))
        np.testing.assert_allclose(wide[1] / scale, excess / dual, rtol=1e-5)
        tight = [move(v, w, 5 * s, (-2 * s, 2 * s))[1] / s for v, s in ((x, 1), (x * scale, scale))]
        np.testing.assert_allclose(*tight, rtol=1e-5)


def test_halfspace_degenerate_cases():
    x, zero, one = jnp.array([0.5, -0.5]), jnp.zeros(2), jnp.ones(2)
    for ord in ORDERS:
        for bounds in (None, (-1.0, 1.0)):
            move = functools.partial(MOVE, x, bounds=bounds, ord=ord)
            assert move(zero, 1.0)[1] == jnp.inf  # weight zero, outside
            assert move(zero, -1.0)[1] == 0  # weight zero, inside
            assert move(one, -1.0)[1] == 0  # already inside
            assert move(one, jnp.nan)[1] == jnp.inf
        delta, distance = MOVE(x, one, 9.0, bounds=(-1.0, 1.0), ord=ord)
        assert distance == jnp.inf
        np.testing.assert_array_equal(x + delta, -1)  # as far as the box allows
        _, distance = MOVE(x, one, 2.0, bounds=(-1.0, 1.0), ord=ord)
        np.testing.assert_allclose(distance, {1: 2, 2: np.sqrt(2.5), np.inf: 1.5}[ord])


def test_misuse():
    x = jnp.ones(3)
    for ord in (0, 0.5, -1, float("nan"), "2"):
        with pytest.raises((ValueError, TypeError)):
            norms.norm(x, ord)
    with pytest.raises(ValueError, match="1, 2 or inf"):
        norms.project_ball(x, 1.0, 3)
    with pytest.raises(ValueError, match="1, 2 or inf"):
        norms.project_halfspace_box(x, x, 0.0, bounds=(0.0, 1.0), ord=3)
    with pytest.raises(ValueError, match="shape"):
        norms.project_halfspace_box(x, jnp.ones(2), 0.0)
    with pytest.raises(ValueError, match="broadcast"):
        norms.project_box(x, (jnp.zeros(2), 1.0))
    with pytest.raises(ValueError, match="exceed"):
        norms.project_box(x, (1.0, 0.0))
    with pytest.raises(TypeError, match="floating"):
        norms.norm(jnp.arange(3))


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
@pytest.mark.parametrize("ord", ORDERS)
def test_lowers_for_accelerators(ord, dtype):
    def everything(x, w):
        delta, distance = norms.project_halfspace_box(x, w, 1.0, bounds=(0.0, 1.0), ord=ord)
        ball = norms.project_ball(norms.project_box(x, (0.0, 1.0)), 1.0, ord)
        return delta, distance, ball, norms.norm(x, ord), norms.steepest(w, ord)

    x = jnp.ones((4, 3), dtype)
    assert all(leaf.dtype == dtype for leaf in jax.vmap(everything)(x, x))
    jax.export.export(jax.jit(jax.vmap(everything)), platforms=["tpu", "cuda"])(x, x)


@pytest.mark.fast
def test_orders_may_be_numpy_numbers():
    x = jnp.array([3.0, 4.0], jnp.float32)
    for ord in (np.int64(2), np.float32(2), np.int64(3)):
        np.testing.assert_array_equal(norms.norm(x, ord), norms.norm(x, ord.item()))
        np.testing.assert_array_equal(norms.steepest(x, ord), norms.steepest(x, ord.item()))
        assert norms.dual_order(ord) == norms.dual_order(ord.item())
    assert norms.norm(norms.project_ball(x, 1.0, np.int64(2))) == 1


@pytest.mark.parametrize(
    ("ord", "dtype"), [*((ord, jnp.float32) for ord in (1, 1.5, 2, 30, np.inf)), (2, jnp.float64)]
)
def test_the_whole_range_of_a_dtype(ord, dtype):
    info = jnp.finfo(dtype)
    x, w = jnp.array([[1, -0.5, 0.25], [0.5, 1, -1]], dtype)
    scales = jnp.array([16 * info.tiny, 1, info.max / 5, info.max / 2.1], dtype)

    def everything(scale):
        """What grows with the scale, and what must not feel it."""
        length, slope = jax.value_and_grad(norms.norm)(scale * x, ord)
        grow, stay = [length], [slope, norms.steepest(scale * x, ord)]
        if ord in ORDERS:
            grow += [norms.project_ball(scale * x, scale / 2, ord)]
            one = jnp.ones((), dtype)
            for box, unit in ((None, None), ((-scale, scale), (-one, one))):
                grow += norms.project_halfspace_box(scale * x, w, scale, bounds=box, ord=ord)
                stay += norms.project_halfspace_box(x, scale * w, scale, bounds=unit, ord=ord)
        return [jnp.concatenate([jnp.ravel(part) for part in parts]) for parts in (grow, stay)]

    grow, stay = jax.jit(jax.vmap(everything))(scales)
    grow = np.asarray(grow) / np.asarray(scales)[:, None]  # XLA would flush 1 / scale to zero
    np.testing.assert_allclose(grow[:, 0], np.linalg.norm(np.array(x, float), ord), rtol=1e-6)
    for got in (grow, stay):
        np.testing.assert_allclose(got, np.tile(got[1], (4, 1)), rtol=1e-5, atol=1e-6)
    alone = norms.norm(scales[3] * x, ord)  # not one of a batch: other divisions
    np.testing.assert_allclose(np.asarray(alone) / np.asarray(scales[3]), grow[3, 0], rtol=1e-6)


@pytest.mark.fast
@pytest.mark.parametrize("ord", [1, 2, 3, np.inf])
def test_norms_at_the_ends_of_the_range(ord):
    big, small = np.float32(3e38), np.float32(1e-40)
    over = norms.norm(jnp.array([big, big, big]), ord)
    assert over == (big if ord == np.inf else np.inf)  # 4e38 and more are none of float32
    np.testing.assert_allclose(norms.norm(jnp.array([big, 0.0], jnp.float32), ord), big, rtol=1e-6)
    # Subnormal numbers count as zero where XLA flushes them, and as what they are elsewhere.
    assert 0 <= norms.norm(jnp.array([small, small]), ord) <= 3 * small


@pytest.mark.parametrize("scale", [1e-20, 1e20])
@pytest.mark.parametrize("ord", [2, 3])
def test_what_the_compiler_knows_is_not_squared_apart_from_its_unit(ord, scale):
    scale = jnp.float32(scale)

    @jax.jit
    def measured(z):
        grad = jax.grad(lambda z: jnp.sum(scale * z))(z)  # a constant
        return (
            norms.norm(grad, ord) / scale,
            norms.norm(norms.steepest(grad, ord), ord),
            norms.norm(norms.project_ball(grad, scale, 2)) / scale,
            norms.halfspace_step(scale, grad, ord=ord)[1],
        )

    for dim in (1, 4):
        length, unit, inside, distance = measured(jnp.ones(dim, jnp.float32))
        np.testing.assert_allclose(length, dim ** (1 / ord), rtol=1e-6)
        np.testing.assert_allclose([unit, inside], 1, rtol=1e-6)
        np.testing.assert_allclose(distance, dim ** (1 / ord - 1), rtol=1e-6)


def test_second_derivatives_where_an_entry_vanishes():
    x = jnp.array([3.0, 0.0])
    along = [[0, 0], [0, -1 / 9]]  # of the first entry of x over its norm
    for unit in (norms.steepest, lambda x: norms.project_ball(x, 1.0)):
        got = jax.hessian(lambda x, unit=unit: unit(x)[0])(x)
        np.testing.assert_allclose(got, along, atol=1e-12)
    np.testing.assert_allclose(jax.hessian(norms.norm)(x), [[0, 0], [0, 1 / 3]], atol=1e-12)
    at_rest = jax.jacobian(lambda x: norms.project_ball(x, 1.0))(jnp.zeros(2))
    np.testing.assert_array_equal(at_rest, np.eye(2))
