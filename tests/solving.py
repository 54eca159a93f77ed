"""The contract that all solvers share, and a small smooth network to try them on."""

import jax
import jax.numpy as jnp
import numpy as np

from fracture.perturbation import solve


def run(problem, solver, **options):
    """All inputs of a problem at once; the result in NumPy."""
    got = solve(
        problem.apply,
        problem.params,
        problem.inputs,
        problem.labels,
        solver=solver,
        ord=problem.ord,
        bounds=problem.bounds,
        **options,
    )
    return jax.tree.map(np.asarray, got)


def check(problem, got, rtol=None):
    """The contract, and a norm between the infimum and (1 + rtol) times it."""
    points = problem.inputs + got.delta
    assert points.dtype == problem.inputs.dtype
    assert got.norm.dtype == got.gap.dtype == np.result_type(points.dtype, np.float32)
    assert np.isfinite(got.delta).all()
    if problem.bounds is not None:
        assert (points >= problem.bounds[0]).all()
        assert (points <= problem.bounds[1]).all()
    # Another compilation agrees that these points are adversarial.
    answers = np.stack([np.argmax(logits_of(problem, z)) for z in points])
    np.testing.assert_array_equal(answers != problem.labels, got.found)
    np.testing.assert_array_equal(answers[got.found], got.adversarial_label[got.found])
    lengths = [np.linalg.norm(delta.astype(float), problem.ord) for delta in got.delta]
    np.testing.assert_allclose(got.norm, np.where(got.found, lengths, np.inf), rtol=1e-6)
    assert (got.norm >= problem.radius * (1 - 1e-6) - problem.rounding).all()
    if rtol is not None:
        assert got.found.all()
        np.testing.assert_array_less(got.norm, problem.radius * (1 + rtol) + problem.rounding)
        np.testing.assert_array_less(got.gap, rtol + 20 * problem.rounding / problem.radius)


def logits_of(problem, x):
    outputs = np.asarray(problem.apply(problem.params, x))
    return outputs if outputs.ndim else np.stack([outputs / 2, -outputs / 2])


def mlp(params, x):
    (w0, b0), (w1, b1) = params
    return w1 @ jax.nn.softplus(w0 @ x.ravel() + b0) + b1


def mlp_task(dtype=jnp.float32, num=32, shape=(3, 4, 1), classes=4):
    rng = np.random.default_rng(0)
    dim, width = int(np.prod(shape)), 24
    draw = lambda *size: jnp.asarray(rng.normal(size=size) / np.sqrt(size[-1]), dtype)
    params = (draw(width, dim), draw(width)), (draw(classes, width), draw(classes))
    inputs = jnp.asarray(rng.uniform(0, 1, (num, *shape)), dtype)
    return params, inputs, jax.vmap(lambda x: jnp.argmax(mlp(params, x)))(inputs)
