"""Labels of every integer type, at the door of every function that takes them."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture import optimal, training
from fracture._checks import as_labels, narrow
from fracture.analysis import analyze
from fracture.compression import law_factors, margin_compression, neural_collapse
from fracture.perturbation import Perturbation, affine, margin, radius, solve, verify

POINTS = jnp.asarray(np.random.default_rng(0).normal(size=(4, 3)))
WEIGHT = POINTS[:3]
LABELS = [0, 1, 2, 1]
FOUND = Perturbation(-POINTS, *[np.zeros(4)] * 6)._replace(found=np.ones(4, bool))


def apply(params, x):
    return params @ x


network = partial(apply, WEIGHT)


DOORS = {
    "solve": lambda labels: solve(apply, WEIGHT, POINTS, labels, solver=affine),
    "targets": lambda labels: solve(apply, WEIGHT, POINTS, LABELS, targets=labels, solver=affine),
    "solver": lambda labels: affine(network, POINTS[0], labels[0], target=labels[1]),
    "radius": lambda labels: radius(network, POINTS[0], labels[0], solver=affine),
    "margin": lambda labels: margin(POINTS[0], labels[0], labels[1]),
    "margin_compression": lambda labels: margin_compression(
        network, POINTS[0], labels[0], POINTS[1], other=labels[1]
    ),
    "law_factors": lambda labels: law_factors(
        network, POINTS[0], labels[0], POINTS[1], 1.0, other=labels[1]
    ),
    "analyze": lambda labels: analyze(apply, WEIGHT, POINTS, labels, POINTS, labels, solver=affine),
    "neural_collapse": lambda labels: neural_collapse(POINTS, labels, WEIGHT),
    "nearest_neighbour": lambda labels: optimal.nearest_neighbour(POINTS, labels, POINTS, labels),
    "nearest_neighbour_by_count": lambda labels: optimal.nearest_neighbour_by_count(
        POINTS, labels, POINTS, labels, [2, 4]
    ),
    "max_margin": lambda labels: optimal.max_margin(POINTS, labels),
    "bayes_radius": lambda labels: optimal.bayes_radius(
        POINTS[0], labels[1], POINTS, jnp.broadcast_to(jnp.eye(3), (4, 3, 3)), jnp.ones(4)
    ),
    "bayes_radius_shared": lambda labels: optimal.bayes_radius_shared(
        POINTS[0], labels[1], POINTS, jnp.eye(3), jnp.ones(4)
    ),
    "fit": lambda labels: training.fit(jax.random.key(0), apply, WEIGHT, POINTS, labels, steps=1),
    "squared_error": lambda labels: training.squared_error(POINTS[0, :1], labels[1]),
    "cross_entropy": lambda labels: training.cross_entropy(POINTS[0], labels[1]),
}


def program(door, labels):
    """What is computed of these labels: nothing is compiled for the comparison."""
    jaxpr = jax.make_jaxpr(lambda: door(labels))()
    return re.sub(r"0x[0-9a-f]+", "", str(jaxpr)), jaxpr.consts


@pytest.mark.fast
@pytest.mark.parametrize("name", DOORS)
def test_every_integer_type_means_the_same(name):
    text, consts = program(DOORS[name], np.array(LABELS, np.int32))
    for same in (LABELS, np.array(LABELS), np.array(LABELS, np.uint8), np.array(LABELS, np.int8)):
        got_text, got_consts = program(DOORS[name], same)
        assert got_text == text
        jax.tree.map(np.testing.assert_array_equal, got_consts, consts)


@pytest.mark.fast
@pytest.mark.parametrize("name", DOORS)
def test_what_is_no_integer_is_an_error_about_labels(name):
    for wrong in (np.array(LABELS, float), [0.0, 1.0, 2.0, 1.0], np.array([True] * 4)):
        with pytest.raises(TypeError, match=r"(labels|targets) must be integers, got (float64|b)"):
            jax.eval_shape(lambda wrong=wrong: DOORS[name](wrong))


@pytest.mark.fast
def test_points_are_verified_of_any_labels():
    """x − x is 0, where every logit is: no margin is below 0, whatever the label."""
    for labels in (LABELS, np.array(LABELS, np.uint8), jnp.array(LABELS, jnp.uint8)):
        np.testing.assert_array_equal(verify(apply, WEIGHT, POINTS, labels, FOUND).margin, 0)
    with pytest.raises(TypeError, match="labels must be integers, got float64"):
        verify(apply, WEIGHT, POINTS, np.zeros(4), FOUND)


@pytest.mark.fast
@pytest.mark.parametrize(("classes", "dtype"), [(256, jnp.uint8), (128, jnp.int8)])
def test_as_many_classes_as_a_narrow_type_counts(classes, dtype):
    """Features at their class means, which form a simplex: collapsed but for rounding."""
    simplex = jnp.eye(classes) - 1 / classes
    got = jax.jit(neural_collapse)(simplex, jnp.arange(classes, dtype=dtype), simplex)
    np.testing.assert_allclose(jnp.stack(got), 0, atol=1e-12)


@pytest.mark.fast
def test_large_labels_are_not_cut():
    """2**32 is not 0: of 64 bits where JAX has them, else refused or no class."""
    large = np.array([0, 2**32])
    for labels in (large, jnp.asarray(large), large.astype(np.uint64), jnp.asarray(large, "u8")):
        assert as_labels(labels).tolist() == large.tolist()
        assert narrow(as_labels(labels)).tolist() == [0, -1]
    assert as_labels(jnp.array([1, 2**64 - 1], jnp.uint64)).tolist() == [1, -1]
    near = optimal.nearest_neighbour(POINTS[:2], large, POINTS[:2], large)
    distance = np.linalg.norm(POINTS[0] - POINTS[1])
    np.testing.assert_allclose(near.radius, distance / 2)
    assert np.isnan(margin(POINTS[0], jnp.asarray(2**32)))
    with pytest.raises(ValueError, match=r"label must be in \[0, 3\), got 4294967296"):
        margin(POINTS[0], np.int64(2**32))
    with jax.enable_x64(False):
        with pytest.raises(ValueError, match="labels must fit in int32, got 0 to 4294967296"):
            as_labels(large)
        assert as_labels(jnp.array([1, 2**32 - 1], jnp.uint32)).tolist() == [1, -1]
    with pytest.raises(ValueError, match="labels must be an array of integers"):
        as_labels([1, [2]])
