"""The optimal classifier of each family against brute force, Bayes' rule and closed forms."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import logsumexp

from fracture import data, optimal
from fracture.optimal import Bound

NUM = 6  # points looked at
KEY = jax.random.key(3)
FAMILIES = {
    "points": lambda dtype: data.gaussian_points(KEY, 8, dtype=dtype),
    "hypercube": lambda dtype: data.mixed_hypercube(KEY, 8, NUM, layers=2, dtype=dtype),
    "mixture": lambda dtype: data.gaussian_mixture(KEY, 8, NUM, num_classes=3, dtype=dtype),
    "clusters": lambda dtype: data.gaussian_mixture(
        KEY, 8, NUM, clusters_per_class=3, noise=0.7, dtype=dtype
    ),
    "spiked": lambda dtype: data.spiked_covariance(KEY, 8, NUM, num_classes=3, dtype=dtype),
    "correlated": lambda dtype: data.correlated_gaussians(KEY, 8, NUM, dtype=dtype),
    "spheres": lambda dtype: data.concentric_spheres(
        KEY, 8, NUM, radii=(1.0, 1.3, 1.8), dtype=dtype
    ),
    "subspace": lambda dtype: data.linear_subspace(
        KEY, 8, NUM, intrinsic_dim=3, noise=0.3, dtype=dtype
    ),
}
BOUNDS = {"hypercube": Bound.UPPER, "clusters": Bound.LOWER}


@functools.cache
def solved(name, dtype=jnp.float64, **options):
    """The task, and the optimum at its first points, in one program."""

    @jax.jit
    def run():
        task = FAMILIES[name](dtype)
        at = functools.partial(optimal.optimum, task, **options)
        return task, jax.vmap(at)(jnp.arange(NUM))

    return jax.tree.map(np.asarray, run())


def answers(task):
    """What the optimal classifier says at rows of points, from the densities or distances."""
    match task:
        case data.GaussianPoints():
            distances = lambda zs: np.linalg.norm(zs[:, None] - task.inputs[None], axis=2)
            return lambda zs: task.labels[distances(zs).argmin(1)]
        case data.GaussianMixture():

            def bayes(zs):
                squares = ((zs[:, None] - task.means[None]) ** 2).sum(2) / (2 * task.noise**2)
                classes = range(task.mean_labels.max() + 1)
                sums = [logsumexp(-squares[:, task.mean_labels == c], axis=1) for c in classes]
                return np.argmax(sums, axis=0)

            return bayes
        case data.GaussianClasses():

            def bayes(zs):
                gaps = zs[:, None] - task.means[None]
                solve = np.linalg.solve(task.covariance, gaps.reshape(-1, zs.shape[1]).T).T
                return (gaps * solve.reshape(gaps.shape)).sum(2).argmin(1)

            return bayes
        case data.ConcentricSpheres():
            lengths = lambda zs: np.linalg.norm(zs, axis=1)[:, None]
            return lambda zs: np.abs(lengths(zs) - task.radii[None]).argmin(1)
        case data.LinearSubspace():
            return lambda zs: (zs @ task.basis[:, 0] > 0).astype(int)
        case data.MixedHypercube():
            mixing = np.linalg.multi_dot([*task.factors[::-1], np.eye(task.codes.shape[1])])
            signs = (np.arange(2**8)[:, None] >> np.arange(8) & 1) * 2 - 1
            corners, labels = signs @ mixing.T, (signs[:, -1] > 0).astype(int)
            distances = lambda zs: np.linalg.norm(zs[:, None] - corners[None], axis=2)
            return lambda zs: labels[distances(zs).argmin(1)]


family = pytest.mark.parametrize("name", FAMILIES)


@family
@pytest.mark.fast
def test_the_answer_changes_there_and_nowhere_nearer(name):
    """In random directions, and on the way: the reference classifier is asked, not the formula."""
    task, got = solved(name)
    says = answers(task)
    usable = got.radius > 0
    assert usable.sum() >= NUM - 2
    assert (got.bound == BOUNDS.get(name, Bound.EXACT)).all()
    directions = np.random.default_rng(0).normal(size=(500, 8))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    for i in np.flatnonzero(usable):
        x, label, way = task.inputs[i], task.labels[i], got.displacement[i] / 2
        np.testing.assert_allclose(np.linalg.norm(way), got.radius[i], rtol=1e-9)
        assert got.label[i] != label
        if got.bound[i] != Bound.UPPER:
            inside = np.vstack([directions * got.radius[i], way])
            assert (says(x[None] + (1 - 1e-9) * inside) == label).all()
        if got.bound[i] == Bound.EXACT:
            assert says((x + (1 + 1e-9) * way)[None])[0] != label
    for i in np.flatnonzero(~usable):
        assert says(task.inputs[i][None])[0] != task.labels[i] or got.bound[i] == Bound.LOWER
        np.testing.assert_array_equal(got.displacement[i], 0)


@family
def test_float32_eager_and_one_by_one(name):
    task, got = solved(name, jnp.float32)
    _, reference = solved(name)
    assert got.radius.dtype == got.displacement.dtype == np.float32
    assert got.label.dtype == got.bound.dtype == np.int32
    close = functools.partial(np.testing.assert_allclose, rtol=2e-4, atol=1e-5)
    for i in range(2):
        alone = optimal.optimum(jax.tree.map(jnp.asarray, task), i)
        jax.tree.map(lambda one, many, i=i: close(one, many[i]), alone, got)
    if name != "hypercube":  # whose codes are other draws in another dtype
        np.testing.assert_array_equal(got.bound, reference.bound)


@pytest.mark.fast
def test_hypercube_is_searched_on_demand():
    task, twin = solved("hypercube")
    _, got = solved("hypercube", max_nodes=10_000)
    mixing = task.factors[1] @ task.factors[0]
    signs = (np.arange(2**8)[:, None] >> np.arange(8) & 1) * 2 - 1
    assert (got.bound == Bound.EXACT).all()
    assert (got.radius <= twin.radius * (1 + 1e-12)).all()
    for i, code in enumerate(task.codes):
        corners = signs[signs[:, -1] != code[-1]] @ mixing.T
        lengths = np.linalg.norm(corners - task.inputs[i][None], axis=1)
        np.testing.assert_allclose(got.radius[i], lengths.min() / 2, rtol=1e-9)
        there = task.inputs[i] + got.displacement[i]
        np.testing.assert_allclose(there, corners[lengths.argmin()], rtol=1e-9, atol=1e-9)
        twin_code = np.append(code[:-1], -code[-1])
        np.testing.assert_allclose(
            task.inputs[i] + twin.displacement[i], mixing @ twin_code, rtol=1e-9, atol=1e-9
        )
    _, unfinished = solved("hypercube", max_nodes=1)
    assert (unfinished.bound == Bound.UPPER).all()


def test_agrees_with_the_other_functions():
    task, got = solved("points")
    near = optimal.nearest_neighbour(task.inputs[:NUM], task.labels[:NUM], *task)
    np.testing.assert_allclose(got.radius, near.radius, rtol=1e-12)
    np.testing.assert_array_equal(got.label, near.index)

    task, got = solved("mixture")
    covariance = task.noise**2 * np.eye(8)
    for i in range(NUM):
        bayes = optimal.bayes_radius_shared(
            *map(jnp.asarray, (task.inputs[i], task.labels[i], task.means, covariance, np.ones(3)))
        )
        np.testing.assert_allclose(got.radius[i], bayes.radius, rtol=1e-9, atol=1e-12)

    task, got = solved("subspace")
    plane = optimal.max_margin(jnp.asarray(task.inputs), task.labels)
    assert plane.margin >= got.radius.min() * (1 - 1e-9)  # of these points alone

    task, got = solved("spheres")
    np.testing.assert_allclose(got.radius, np.array([0.15, 0.15, 0.25] * 2), rtol=1e-9)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_clusters_at_any_scale(scale):
    task, got = solved("clusters", jnp.float32)
    scale = np.float32(scale)
    scaled = task._replace(
        inputs=task.inputs * scale, means=task.means * scale, noise=task.noise * scale
    )
    far = jax.jit(optimal.optimum)(jax.tree.map(jnp.asarray, scaled), 1)
    np.testing.assert_allclose(far.radius, got.radius[1] * scale, rtol=1e-4)


@pytest.mark.fast
def test_one_class_has_no_way_out():
    ones, label = jnp.ones((1, 3)), jnp.zeros(1, jnp.int32)
    for task in (
        data.GaussianPoints(ones, label),
        data.GaussianMixture(ones, label, label, ones, label, ones[0, 0]),
        data.ConcentricSpheres(ones, label, ones[0, :1]),
    ):
        got = optimal.optimum(task, 0)
        assert got.radius == jnp.inf
        assert got.label == 0
        np.testing.assert_array_equal(got.displacement, 0)


@pytest.mark.fast
def test_wrong_use():
    task = data.gaussian_points(KEY, 3)
    with pytest.raises(TypeError, match=r"known for LabelledData, only for .*GaussianPoints"):
        optimal.optimum(data.LabelledData(task.inputs, task.labels), 0)
    for index in (-1, 3):
        with pytest.raises(ValueError, match=f"index must be from 0 to 2, got {index}"):
            optimal.optimum(task, index)
    with pytest.raises(ValueError, match=r"one integer, got shape \(2,\)"):
        optimal.optimum(task, jnp.arange(2))
    with pytest.raises(TypeError, match="index must be integers"):
        optimal.optimum(task, 0.5)
    with pytest.raises(ValueError, match="max_nodes"):
        optimal.optimum(task, 0, max_nodes=-1)


def test_lowers_for_accelerators():
    def run(key):
        at = lambda draw: optimal.optimum(draw(jnp.float32), 0)
        return [at(FAMILIES[name]) for name in ("points", "hypercube", "clusters", "correlated")]

    jax.export.export(jax.jit(run), platforms=["tpu", "cuda"])(KEY)
