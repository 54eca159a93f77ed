"""Jacobians: against closed forms and JAX's own, in every mode and chunk size."""

import jax
import jax.extend
import jax.numpy as jnp
import numpy as np
import pytest

from fracture.compression import jacobian


def network(key, sizes, dtype):
    keys = jax.random.split(key, len(sizes) - 1)
    shapes = zip(sizes[1:], sizes[:-1], strict=True)
    weights = [jax.random.normal(k, s, dtype) for k, s in zip(keys, shapes, strict=True)]

    def apply(x):
        for weight in weights[:-1]:
            x = jnp.tanh(weight @ x)
        return weights[-1] @ x

    return apply


@pytest.mark.fast
@pytest.mark.parametrize(("sizes", "dtype"), [((5, 4, 3), jnp.float32), ((2, 4, 7), jnp.float64)])
def test_every_mode_and_chunk_gives_the_jacobian(sizes, dtype):
    fn = network(jax.random.key(0), sizes, dtype)
    x = jax.random.normal(jax.random.key(1), sizes[:1], dtype)
    with jax.default_matmul_precision("float32"):
        want = jax.jacrev(fn)(x)
    options = [(None, None), (None, 2), ("forward", 1), ("reverse", 2), ("reverse", 100)]
    every = lambda x: [jacobian(fn, x, mode=mode, chunk_size=size) for mode, size in options]
    for got in jax.jit(every)(x):
        assert got.shape == (sizes[-1], sizes[0])
        assert got.dtype == dtype
        np.testing.assert_allclose(got, want, rtol=0, atol=50 * jnp.finfo(dtype).eps)


def test_flattens_inputs_and_outputs_in_c_order():
    x = jnp.arange(6.0).reshape(2, 3)
    fn = lambda z: jnp.stack([z**2, jnp.sin(z)])
    want = np.concatenate([np.diag(2 * np.ravel(x)), np.diag(np.cos(np.ravel(x)))])
    np.testing.assert_allclose(jacobian(fn, x), want, atol=1e-15)
    np.testing.assert_allclose(jacobian(jnp.sum, x), np.ones((1, 6)))
    np.testing.assert_allclose(jacobian(lambda z: z * jnp.ones(4), jnp.array(1.0)), np.ones((4, 1)))


def test_vmap_and_jit_equal_a_loop():
    fn = network(jax.random.key(0), (4, 8, 3), jnp.float64)
    xs = jax.random.normal(jax.random.key(1), (3, 4))
    got = jax.jit(jax.vmap(lambda x: jacobian(fn, x, chunk_size=2)))(xs)
    np.testing.assert_allclose(got, [jacobian(fn, x) for x in xs], atol=1e-14)


def dot_precisions(jaxpr):
    for equation in jaxpr.eqns:
        if equation.primitive.name == "dot_general":
            yield equation.params["precision"]
        for inner in jax.extend.core.jaxprs_in_params(equation.params):
            yield from dot_precisions(inner)


@pytest.mark.fast
@pytest.mark.parametrize("mode", ["forward", "reverse"])
@pytest.mark.parametrize("wrap", [lambda fn: fn, jax.jit, jax.checkpoint])
def test_products_of_the_network_are_traced_in_full_precision(mode, wrap):
    fn = wrap(network(jax.random.key(0), (4, 8, 3), jnp.float32))
    x = jnp.ones(4, jnp.float32)
    fn(x)  # a trace at the default precision is cached, and must not be used
    jaxpr = jax.make_jaxpr(lambda x: jacobian(fn, x, mode=mode))(x)
    precisions = list(dot_precisions(jaxpr.jaxpr))
    assert precisions
    assert all(p == (jax.lax.Precision.HIGHEST,) * 2 for p in precisions)


def test_narrow_network_on_wide_input():
    weight = jnp.array([[1.0, 2.0, 4.0]], jnp.bfloat16)
    got = jacobian(lambda x: weight @ x.astype(jnp.bfloat16), jnp.ones(3, jnp.float32))
    assert got.dtype == jnp.float32
    np.testing.assert_array_equal(got, np.asarray(weight, np.float32))


def test_accepts_numpy_and_reports_nan_as_a_value():
    assert jacobian(jnp.sin, np.ones(3, np.float32)).dtype == jnp.float32
    assert jnp.isnan(jacobian(jnp.sin, jnp.array([1.0, jnp.nan])))[1, 1]


@pytest.mark.parametrize(
    ("error", "match", "call"),
    [
        (TypeError, "x must be", lambda: jacobian(jnp.sin, jnp.ones(3, jnp.int32))),
        (TypeError, "x must be", lambda: jacobian(jnp.sin, [1.0, 2.0])),
        (TypeError, "x must be", lambda: jacobian(jnp.sin, jnp.ones(3, jnp.complex64))),
        (TypeError, "one array", lambda: jacobian(lambda x: (x, x), jnp.ones(3))),
        (TypeError, "floating-point", lambda: jacobian(lambda x: x > 0, jnp.ones(3))),
        (ValueError, "Nothing", lambda: jacobian(jnp.sin, jnp.ones(0))),
        (ValueError, "mode", lambda: jacobian(jnp.sin, jnp.ones(3), mode="both")),
        (ValueError, "chunk_size", lambda: jacobian(jnp.sin, jnp.ones(3), chunk_size=0)),
    ],
)
def test_misuse_is_an_error(error, match, call):
    with pytest.raises(error, match=match if error is ValueError else None):
        call()


@pytest.mark.fast
def test_functions_without_forward_mode_are_pulled_back():
    @jax.custom_vjp
    def double(x):
        return 2 * x

    double.defvjp(lambda x: (2 * x, None), lambda _, ct: (2 * ct,))
    weight = jax.random.normal(jax.random.key(3), (5, 2))
    fn = lambda x: weight @ double(x)
    np.testing.assert_allclose(jax.jit(lambda x: jacobian(fn, x))(jnp.ones(2)), 2 * weight)
    with pytest.raises(TypeError, match="forward-mode"):
        jacobian(fn, jnp.ones(2), mode="forward")
