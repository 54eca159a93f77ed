"""What every adapter must do, whatever the framework."""

import jax
import jax.numpy as jnp
import numpy as np

from fracture.perturbation import affine, solve

BATCH, DIM, CLASSES = 5, 6, 3


def inputs():
    return jnp.array(np.random.default_rng(0).normal(size=(BATCH, DIM)), jnp.float32)


def activation(x):
    return jax.nn.leaky_relu(x, 0.5)  # unbounded, so that every class is found


def check(adapted, xs, own, *, attacked=True):
    """`adapted` agrees with `own(inputs)`, the framework's own call on a batch, and is attacked."""
    own = jax.jit(own)
    run = jax.jit(jax.vmap(adapted.apply, (None, 0)))
    logits = run(adapted.params, xs)
    np.testing.assert_allclose(logits, own(xs), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(logits, run(adapted.params, xs))
    assert all(isinstance(leaf, jax.Array) for leaf in jax.tree.leaves(adapted.params))
    scaled = jax.tree.map(lambda leaf: 2 * leaf, adapted.params["params"])  # traced, not captured
    assert not jnp.allclose(run({**adapted.params, "params": scaled}, xs), logits)
    labels = logits.argmax(1)
    if not attacked:  # compiling the solver takes seconds
        return
    found = solve(adapted.apply, adapted.params, xs, labels, solver=affine)
    assert found.found.all()
    np.testing.assert_array_equal(solve(adapted, xs, labels, solver=affine).norm, found.norm)
    assert (found.norm > 0).all()
    np.testing.assert_array_equal(own(xs + found.delta).argmax(1), found.adversarial_label)


def features(adapted, xs):
    return jax.jit(jax.vmap(adapted.features, (None, 0)))(adapted.params, xs)


def assert_close(got, wanted):
    assert set(got) == set(wanted)
    for name, value in wanted.items():
        np.testing.assert_allclose(got[name], value, rtol=1e-4, atol=1e-5, err_msg=name)
