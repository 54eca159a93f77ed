"""Networks at the doors: as a function and parameters, as an adapter's result, as a user's own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from fracture import compression, perturbation as p, training
from fracture._problem import pose
from fracture.adapters import Adapted
from fracture.analysis import analyze, own_network, program

WEIGHT = jnp.array([[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
POINTS = jnp.array([[3.0, 1, 0], [0, 2, 1.5]])
LABELS = [0, 1]
GAPS = np.array([2.0, 0.5])  # of the two largest logits: the radius is a half of it in l∞


def apply(params, x):
    return params @ x


OPTIONS = {"solver": "affine", "ord": "inf"}
ADAPTED = Adapted(apply, WEIGHT, features=None, module=None)


@pytest.mark.fast
def test_what_an_adapter_returns_goes_to_the_ends():
    found = p.solve(ADAPTED, POINTS, LABELS, **OPTIONS)
    np.testing.assert_allclose(found.norm, GAPS / 2, rtol=1e-6)
    checked = p.verify(ADAPTED, POINTS, labels=LABELS, perturbation=found, ord="inf")
    np.testing.assert_array_equal(checked.confirmed, True)
    analysed = [
        str(jax.make_jaxpr(lambda args=args: analyze(*args, POINTS, LABELS, **OPTIONS))())
        for args in ((ADAPTED, POINTS, LABELS), (apply, WEIGHT, POINTS, LABELS))
    ]
    assert analysed[0] == analysed[1]


@pytest.mark.fast
def test_it_is_a_function_of_one_input():
    got = jax.jit(lambda x: p.radius(ADAPTED, x, 0, **OPTIONS))(POINTS[0])
    np.testing.assert_allclose(got, 1, rtol=1e-6)
    np.testing.assert_allclose(compression.jacobian(ADAPTED, POINTS[0]), WEIGHT)
    np.testing.assert_allclose(jax.jit(ADAPTED)(POINTS[0]), POINTS[0])


@pytest.mark.fast
def test_what_cannot_be_called_is_said():
    calls = [
        lambda *network: p.solve(*network, POINTS, LABELS),
        lambda *network: p.verify(*network, POINTS, LABELS, None),
        lambda *network: analyze(*network, POINTS, LABELS, POINTS, LABELS),
    ]
    for call in calls:
        with pytest.raises(TypeError, match="apply and params are swapped: wanted a function"):
            call(WEIGHT, apply)
        with pytest.raises(TypeError, match="or what an adapter returned; got dict"):
            call({}, WEIGHT)
    with pytest.raises(ValueError, match=r"or one of \('affine', .*, got 'foolbox'"):
        p.solve(ADAPTED, POINTS, LABELS, solver="foolbox")


@pytest.mark.fast
@pytest.mark.parametrize(
    ("output", "name"),
    [(lambda h: (h, 0.0), "tuple"), (lambda h: {"h": h}, "dict"), (list, "list")],
)
def test_outputs_that_are_no_array_are_named(output, name):
    """A pair (logit, value) is no pair of logits."""
    network = lambda params, x: output(jnp.matmul(params, x)[:2])
    for call in (
        lambda: p.affine(lambda x: network(WEIGHT, x), POINTS[0], 0),
        lambda: p.solve(network, WEIGHT, POINTS, LABELS),
        lambda: training.fit(jax.random.key(0), network, WEIGHT, POINTS, LABELS, steps=1),
    ):
        with pytest.raises(TypeError, match=f"must return one array.* logits.*, got {name}"):
            call()


@pytest.mark.fast
def test_a_network_may_donate_its_input():
    """A copy: a vector would be the caller's own array."""
    network = jax.jit(lambda x: 2 * x, donate_argnums=0)
    x = jnp.arange(4.0)
    problem = pose(network, x, 3, 2, None, None)
    np.testing.assert_allclose(problem.start.margin, 2)
    np.testing.assert_array_equal(x, [0, 1, 2, 3])
    np.testing.assert_allclose(problem.read(problem.x).margin, 2)


@jax.custom_vjp
def scaled(h):
    return h * WEIGHT.sum()


scaled.defvjp(
    lambda h: (scaled(h), None), lambda _, g: (2 * g * WEIGHT.sum(),)
)  # a rule of its own
FORMS = {
    "function": lambda x: scaled(jax.jit(lambda h: WEIGHT @ h)(x)),
    "stages": [lambda x: WEIGHT @ x, scaled],
    "adapted": Adapted(lambda params, x: 3 * params @ x, WEIGHT, None, None),
}


@pytest.mark.fast
@pytest.mark.parametrize("form", FORMS)
def test_captured_arrays_become_parameters(form):
    got = own_network(FORMS[form], POINTS[0])
    apply, params, stages = got["apply"], got["params"], got["stages"]
    assert any(leaf.shape == WEIGHT.shape for leaf in jax.tree.leaves(params))
    assert not jax.make_jaxpr(apply)(params, POINTS[1]).consts
    np.testing.assert_allclose(apply(params, POINTS[1]), 3 * POINTS[1])
    gradient = jax.grad(lambda x: apply(params, x).sum())(POINTS[1])
    np.testing.assert_allclose(gradient, 3.0 if form == "adapted" else 6.0)
    assert (stages is None) == (form != "stages")
    if stages:
        first, second = stages(params)
        np.testing.assert_allclose(second(first(POINTS[1])), 3 * POINTS[1])


SQUARE = jax.jit(lambda x: WEIGHT @ (WEIGHT @ x) ** 2)
JITTED = {
    "function": SQUARE,
    "inner": lambda x: jax.jit(lambda h: SQUARE(h) + 0)(x),
    "custom_vjp": jax.jit(lambda x: doubled(WEIGHT @ (WEIGHT @ x) ** 2)),
    "stages": [jax.jit(lambda x: (WEIGHT @ x) ** 2), jax.jit(lambda h: WEIGHT @ h)],
    "nnx": nnx.jit(lambda x: WEIGHT @ (WEIGHT @ x) ** 2),
}


@jax.custom_vjp
def doubled(h):
    return h


doubled.defvjp(lambda h: (h, None), lambda _, g: (2 * g,))


@pytest.mark.fast
@pytest.mark.parametrize("form", JITTED)
def test_arrays_that_only_a_jitted_function_captures(form):
    got = own_network(JITTED[form], POINTS[0])
    apply, params = got["apply"], got["params"]
    leaves = jax.tree.leaves(params)
    assert len(leaves) == (2 if form == "stages" else 1)
    for leaf in leaves:
        np.testing.assert_array_equal(leaf, WEIGHT)
    assert "dense<[[" not in program(**got, x=POINTS[0])
    np.testing.assert_allclose(apply(params, POINTS[1]), POINTS[1] ** 2)
    gradient = jax.grad(lambda x: apply(params, x).sum())(POINTS[1])
    np.testing.assert_allclose(gradient, (4 if form == "custom_vjp" else 2) * POINTS[1])


@pytest.mark.fast
@pytest.mark.parametrize(
    ("network", "message"),
    [
        (3, "what an adapter returned; got int"),
        ([], "got list"),
        (lambda x: x[:, None, None] @ x, r"fails on one input of shape \(3,\) \(.*from_batched"),
        ([lambda x: x, lambda x: 1 / 0], r"stage 2 of the network fails .*ZeroDivisionError"),
        (lambda x: jnp.asarray(np.asarray(x)), r"TracerArrayConversionError: [^\n]*ONE input"),
        (
            lambda x: jax.pure_callback(np.tanh, jax.ShapeDtypeStruct(x.shape, x.dtype), x),
            r"cannot be differentiated, as [^\n]*\(ValueError: Pure callbacks do not support JVP",
        ),
        (
            lambda x: jax.lax.while_loop(lambda h: h[0] < 1, lambda h: h + 1, x),
            "cannot be differentiated.*Reverse-mode differentiation does not work",
        ),
    ],
)
def test_what_cannot_be_analysed_is_said(network, message):
    with pytest.raises(ValueError, match=message):
        own_network(network, POINTS[0])
