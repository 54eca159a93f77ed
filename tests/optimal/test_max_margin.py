import jax
import jax.numpy as jnp
import numpy as np
import pytest
import quadprog

from fracture.optimal import max_margin

DTYPES = [jnp.float32, jnp.float64]
solve = jax.jit(max_margin, static_argnames=("tol", "max_steps"))


def _draw(seed, num, dim, shift):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 2, num)
    labels[:2] = 0, 1
    inputs = rng.normal(size=(num, dim))
    inputs[:, 0] += shift * (2 * labels - 1)
    return inputs, labels


def _quadprog(inputs, labels):
    """Largest margin by the dual active-set method, to about 1e-10: it wants a definite Hessian."""
    num, dim = inputs.shape
    sign = np.where(labels == 1, 1.0, -1.0)
    hessian = np.diag([1.0] * dim + [1e-10])
    constraints = (sign[:, None] * np.hstack([inputs, np.ones((num, 1))])).T
    weight = quadprog.solve_qp(hessian, np.zeros(dim + 1), constraints, np.ones(num))[0][:dim]
    return 1 / np.linalg.norm(weight), weight / np.linalg.norm(weight)


def _evaluate(got, inputs, labels):
    """Least signed distance of a point, in float64."""
    weight = np.asarray(got.weight, float).ravel()
    values = inputs.reshape(len(inputs), -1) @ weight + float(got.bias)
    return (np.where(labels == 1, 1, -1) * values).min() / np.linalg.norm(weight)


@pytest.mark.parametrize(
    ("num", "dim", "shift"),
    [
        pytest.param(20, 2, 3.0, marks=pytest.mark.fast),
        pytest.param(10, 30, 0.0, marks=pytest.mark.fast),
        (300, 100, 0.9),
        (2, 1, 2.0),
    ],
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_matches_quadprog(num, dim, shift, dtype):
    inputs, labels = _draw(num, num, dim, shift)
    margin, weight = _quadprog(inputs, labels)
    got = solve(jnp.asarray(inputs, dtype), jnp.asarray(labels))
    assert got.separable
    assert got.margin.dtype == got.weight.dtype == got.bias.dtype == dtype
    eps = 10 * float(jnp.finfo(dtype).eps) * np.abs(inputs).max() + 1e-10 * margin
    assert float(got.margin) <= margin + eps
    assert float(got.margin + got.gap) >= margin - eps
    assert abs(_evaluate(got, inputs, labels) - float(got.margin)) <= eps
    np.testing.assert_allclose(jnp.linalg.vector_norm(got.weight), 1, rtol=eps)
    if dtype == jnp.float64:
        assert got.converged
        np.testing.assert_allclose(got.margin, margin, rtol=1e-8)
        np.testing.assert_allclose(got.weight, weight, atol=1e-3)
        assert int(got.num_steps) < 40
    else:  # where float32 does not get to 1e-3, the gap says so
        assert bool(got.converged) == bool(got.gap <= 1e-3 * got.margin)
        np.testing.assert_allclose(got.margin, margin, rtol=0.1)


@pytest.mark.fast
def test_three_points():
    """A triangle: the nearest point of the other hull is inside an edge."""
    inputs = jnp.array([[0.0, 1.0], [1.0, -1.0], [-3.0, -1.0]])
    got = solve(inputs, jnp.array([1, 0, 0]))
    np.testing.assert_allclose(got.margin, 1, rtol=1e-8)
    np.testing.assert_allclose(got.weight, [0, 1], atol=1e-8)
    np.testing.assert_allclose(got.bias, 0, atol=1e-8)


@pytest.mark.fast
@pytest.mark.parametrize(("scale", "offset"), [(1e-30, 0), (1e30, 0), (1.0, 1e3)])
def test_any_scale_and_offset(scale, offset):
    inputs, labels = _draw(1, 30, 3, 3.0)
    moved = jnp.asarray(inputs * scale + offset, jnp.float32)
    got = solve(moved, jnp.asarray(labels))
    margin, _ = _quadprog(inputs, labels)
    assert got.separable
    assert got.converged
    np.testing.assert_allclose(got.margin / scale, margin, rtol=2e-3)


@pytest.mark.fast
@pytest.mark.parametrize("dtype", DTYPES)
def test_inseparable(dtype):
    inputs, labels = _draw(2, 30, 3, 0.1)
    got = solve(jnp.asarray(inputs, dtype), jnp.asarray(labels))
    assert not got.separable
    assert got.converged
    assert float(got.margin) < 0
    assert float(got.margin + got.gap) < 1e-2
    same = solve(jnp.ones((30, 3), dtype), jnp.asarray(labels))  # no direction at all
    assert not same.separable
    assert float(same.margin) == 0
    assert jnp.isfinite(same.weight).all()
    assert jnp.isfinite(same.bias)


@pytest.mark.fast
def test_images_and_repeated_points():
    inputs, labels = _draw(3, 12, 6, 3.0)
    images = jnp.asarray(np.tile(inputs.reshape(12, 2, 3), (2, 1, 1)))
    got = solve(images, jnp.asarray(np.tile(labels, 2)))
    assert got.weight.shape == (2, 3)
    np.testing.assert_allclose(got.margin, _quadprog(inputs, labels)[0], rtol=1e-8)


@pytest.mark.fast
@pytest.mark.parametrize("label", [0, 1])
def test_one_class(label):
    got = solve(jnp.asarray(_draw(0, 30, 3, 0.0)[0]), jnp.full(30, label))
    assert jnp.isinf(got.margin)
    assert got.weight.tolist() == [0, 0, 0]
    assert float(got.bias) == 2 * label - 1
    assert got.separable
    assert got.converged


@pytest.mark.fast
@pytest.mark.parametrize("bad", ["nan", "inf", "label"])
def test_bad_values_are_reported(bad):
    inputs, labels = _draw(1, 30, 3, 3.0)
    if bad == "label":
        labels[3] = 2
    else:
        inputs[0, 0] = float(bad)
    got = solve(jnp.asarray(inputs), jnp.asarray(labels))
    assert jnp.isnan(got.margin)
    assert jnp.isnan(got.gap)
    assert not got.separable
    assert not got.converged


@pytest.mark.fast
def test_few_steps_are_reported():
    inputs, labels = _draw(1, 30, 3, 3.0)
    got = solve(jnp.asarray(inputs), jnp.asarray(labels), max_steps=2)
    margin, _ = _quadprog(inputs, labels)
    assert int(got.num_steps) == 2
    assert not got.converged
    assert float(got.margin) < margin < float(got.margin + got.gap)


def test_vmap_is_a_loop():
    problems = [_draw(seed, 30, 3, 2.5) for seed in range(4)]
    inputs = jnp.asarray(np.stack([inputs for inputs, _ in problems]))
    labels = jnp.asarray(np.stack([labels for _, labels in problems]))
    together = jax.jit(jax.vmap(max_margin))(inputs, labels)
    alone = [solve(x, y) for x, y in zip(inputs, labels, strict=True)]
    np.testing.assert_allclose(together.margin, [a.margin for a in alone], rtol=1e-8)
    np.testing.assert_array_equal(together.separable, [a.separable for a in alone])


def test_lowers_for_accelerators():
    for shape in ((20, 4), (4, 5, 2)):
        args = jax.ShapeDtypeStruct(shape, "f4"), jax.ShapeDtypeStruct(shape[:1], "i4")
        jax.export.export(jax.jit(max_margin), platforms=["tpu", "cuda"])(*args)


@pytest.mark.fast
def test_wrong_use():
    x, y = jnp.ones((3, 2)), jnp.array([0, 1, 1])
    raw = max_margin.__wrapped__
    with pytest.raises(ValueError, match=r"\(3, 2\), \(2,\)"):
        raw(x, y[:2])
    with pytest.raises(ValueError, match=r"\(0, 2\), \(0,\)"):
        raw(x[:0], y[:0])
    with pytest.raises(TypeError, match="inputs must be float32 or float64, got bfloat16"):
        raw(x.astype(jnp.bfloat16), y)
    with pytest.raises(TypeError, match="labels must be integers, got float64"):
        raw(x, y.astype(float))
    with pytest.raises(ValueError, match="max_steps must be an integer of at least 1, got 0"):
        raw(x, y, max_steps=0)
    with pytest.raises(ValueError, match=r"tol must be positive, got 0\.0"):
        raw(x, y, tol=0.0)
