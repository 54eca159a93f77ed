"""Every public numerical function of the package lowers for TPU and CUDA."""

import jax
import jax.numpy as jnp
import pytest

from fracture import compression as c

WEIGHT = jnp.ones((3, 5), jnp.float32)
NETWORK = lambda x: jnp.tanh(WEIGHT @ x)
FUNCTIONS = {
    "jacobian": lambda x: c.jacobian(NETWORK, x, chunk_size=2),
    "spectrum": lambda x: [
        c.spectrum(x[:4].reshape(2, 2), method=m) for m in ("svd", "qr", "gram")
    ],
    "spectrum gradient": jax.grad(lambda x: c.effective_rank(c.spectrum(x[:4].reshape(2, 2)))),
    "feature_spectrum": lambda x: c.feature_spectrum(x[:4].reshape(2, 2)),
    "intrinsic": lambda x: (c.two_nn(x[:, None]), c.mle_dimension(x[:, None], num_neighbours=2)),
    "neural_collapse": lambda x: c.neural_collapse(
        x[:4].reshape(2, 2), jnp.arange(2), WEIGHT[:2, :2]
    ),
    "linear_cka": lambda x: c.linear_cka(x[:, None], x[:, None]),
    "measures": lambda x: (c.participation_ratio(x), c.stable_rank(x), c.numerical_rank(x)),
    "margin_compression": lambda x: c.margin_compression(NETWORK, x, 0, x),
    "span_compression": lambda x: c.span_compression(NETWORK, x, x),
    "span gradient": jax.grad(lambda x: c.span_compression(NETWORK, x, x).ratio),
    "law_factors": lambda x: c.law_factors(NETWORK, x, 0, x, 1.0, other=1),
    "layer_compression": lambda x: c.layer_compression([jnp.sin, NETWORK], x, 2 * x),
    "layer_features": lambda x: c.layer_features([jnp.sin, jnp.cos], x[:4].reshape(2, 2)),
    "layer_flow": lambda x: c.layer_flow([jnp.sin, NETWORK], x, 2 * x),
    "layer_information": lambda x: c.layer_information([jnp.sin, NETWORK], x, jnp.ones(2)),
    "atypicality": lambda x: c.atypicality(
        c.class_gaussians(x[:4].reshape(2, 2), jnp.arange(2), 2), x[:2], 0
    ),
    "random_subspace": lambda x: c.random_subspace(jax.random.key(0), 5, 2),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_lowers_for_tpu_and_cuda(name):
    x = jax.ShapeDtypeStruct((5,), jnp.float32)
    exported = jax.export.export(jax.jit(jax.vmap(FUNCTIONS[name])), platforms=["tpu", "cuda"])
    batch = jax.ShapeDtypeStruct((2, *x.shape), x.dtype)
    assert exported(batch).platforms == ("tpu", "cuda")
