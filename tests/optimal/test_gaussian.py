import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize, stats

from fracture import optimal

bayes_radius, bayes_radius_shared = map(
    jax.jit, (optimal.bayes_radius, optimal.bayes_radius_shared)
)
DTYPES = [jnp.float32, jnp.float64]


def _problem(seed, dim, classes, *, shared):
    rng = np.random.default_rng(seed)
    means = 2 * rng.normal(size=(classes, dim))
    factors = rng.normal(size=(1 if shared else classes, dim, dim))
    covariances = factors @ factors.swapaxes(1, 2) + 0.3 * np.eye(dim)
    label = int(rng.integers(classes))
    x = means[label] + 0.2 * rng.normal(size=dim)
    return x, label, means, covariances, rng.dirichlet(np.full(classes, 5.0))


def _log_densities(x, means, covariances, priors):
    """Independent of the library: log prior + log density of each class, x of shape (..., d)."""
    covariances = np.broadcast_to(covariances, (len(means), *covariances.shape[-2:]))
    columns = [
        np.log(prior) + stats.multivariate_normal(mean, covariance).logpdf(x)
        for mean, covariance, prior in zip(means, covariances, priors, strict=True)
    ]
    return np.stack(columns, axis=-1)


def _search_along_rays(x, label, means, covariances, priors):
    """In two dimensions: the first crossing on each of many rays, the least of them."""
    angles = np.linspace(0, 2 * np.pi, 100_000, endpoint=False)
    rays = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    best = np.inf
    for j in range(len(means)):
        if j == label:
            continue
        # log p_y − log p_j along x + t v is c + b t + a t² for each ray v: three values tell.
        gap = [_log_densities(x + t * rays, means, covariances, priors) for t in (0, 1, -1)]
        c, plus, minus = (g[:, label] - g[:, j] for g in gap)
        a, b = (plus + minus) / 2 - c, (plus - minus) / 2
        root = np.emath.sqrt(b * b - 4 * a * c)
        with np.errstate(divide="ignore", invalid="ignore"):
            times = np.stack([2 * c / (-b + root), 2 * c / (-b - root)])  # a may be 0
        real = (np.abs(times.imag) < 1e-12) & (times.real > 0)
        best = min(best, times.real[real].min(initial=np.inf))
    return best


def _search_by_slsqp(x, label, means, covariances, priors, seed):
    rng = np.random.default_rng(seed)
    best = np.inf
    for j in range(len(means)):
        if j == label:
            continue

        def gap(delta, j=j):
            densities = _log_densities(x + delta, means, covariances, priors)
            return densities[j] - densities[label]

        for start in [means[j] - x, *(3 * rng.normal(size=(6, len(x))))]:
            constraint = {"type": "ineq", "fun": gap}
            found = optimize.minimize(
                lambda d: d @ d, start, jac=lambda d: 2 * d, constraints=constraint, tol=1e-12
            )
            if gap(found.x) > -1e-9:
                best = min(best, np.sqrt(found.fun))
    return best


def _arrays(dtype, x, label, means, covariances, priors):
    cast = lambda a: jnp.asarray(a, dtype)
    return cast(x), jnp.asarray(label), cast(means), cast(covariances), cast(priors)


def _assert_on_boundary(got, problem, tol):
    """The displacement has the stated length and ends where the two classes tie for first."""
    x, label, *classes = problem
    np.testing.assert_allclose(np.linalg.norm(got.displacement), got.radius, rtol=tol)
    densities = _log_densities(x + np.asarray(got.displacement, float), *classes)
    np.testing.assert_allclose(densities[label], densities.max(), atol=tol * 30)
    np.testing.assert_allclose(densities[int(got.label)], densities.max(), atol=tol * 30)


@pytest.mark.parametrize("dtype", DTYPES)
def test_isotropic_pair_is_in_closed_form(dtype):
    """Equal priors: distance to the mid-plane; otherwise shifted by sigma² log-ratio / gap."""
    x, means = np.array([0.3, 1.0, -2.0]), np.array([[0.0, 0, 0], [4, 0, 0]])
    for priors in ([0.5, 0.5], [0.8, 0.2], [3.0, 3.0]):
        problem = (x, 0, means, 0.49 * np.eye(3), priors)
        got = bayes_radius_shared(*_arrays(dtype, *problem))
        expected = 2 - 0.3 + 0.49 * np.log(priors[0] / priors[1]) / 4
        tol = 10 * float(jnp.finfo(dtype).eps)
        np.testing.assert_allclose(got.radius, expected, rtol=tol)
        np.testing.assert_allclose(got.displacement, [expected, 0, 0], rtol=tol, atol=tol)
        assert int(got.label) == 1
        assert got.radius.dtype == got.displacement.dtype == dtype


@pytest.mark.fast
@pytest.mark.parametrize("seed", range(6))
def test_shared_matches_rays(seed):
    x, label, means, covariances, priors = _problem(seed, 2, 4, shared=True)
    problem = (x, label, means, covariances[0], priors)
    got = bayes_radius_shared(*_arrays(jnp.float64, *problem))
    expected = _search_along_rays(*problem)
    if np.argmax(_log_densities(x, means, covariances[0], priors)) != label:
        expected = 0
    np.testing.assert_allclose(got.radius, expected, rtol=1e-7)


@pytest.mark.parametrize("seed", range(12))
def test_unequal_matches_rays(seed):
    problem = _problem(seed, 2, 2 + seed % 3, shared=False)
    got = bayes_radius(*_arrays(jnp.float64, *problem))
    x, label, *classes = problem
    if np.argmax(_log_densities(x, *classes)) != label:
        assert float(got.radius) == 0
        return
    np.testing.assert_allclose(got.radius, _search_along_rays(*problem), rtol=1e-7)
    _assert_on_boundary(got, problem, 1e-12)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_unequal_matches_slsqp(seed):
    problem = _problem(seed, 4, 3, shared=False)
    got = bayes_radius(*_arrays(jnp.float64, *problem))
    assert float(got.radius) > 0
    np.testing.assert_allclose(got.radius, _search_by_slsqp(*problem, seed), rtol=1e-5)
    _assert_on_boundary(got, problem, 1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_unequal_agrees_with_shared(dtype):
    x, label, means, covariances, priors = _problem(8, 6, 3, shared=True)
    shared = bayes_radius_shared(*_arrays(dtype, x, label, means, covariances[0], priors))
    stacked = np.broadcast_to(covariances, (3, 6, 6))
    unequal = bayes_radius(*_arrays(dtype, x, label, means, stacked, priors))
    tol = 1000 * float(jnp.finfo(dtype).eps)  # precision matrices of condition about 100
    np.testing.assert_allclose(unequal.radius, shared.radius, rtol=tol)
    np.testing.assert_allclose(unequal.displacement, shared.displacement, rtol=tol, atol=tol)
    assert float(shared.radius) > 0


HARD = {
    # x at the common centre: no gradient at all; class 1 is wide along the first axis.
    "centre": ([0.0, 0.0], [[0.0, 0.0], [0.0, 0.0]], [np.eye(2), np.diag([9.0, 1.0])]),
    # A gradient along the second axis only, too weak to reach the boundary that way.
    "no part": ([0.0, 0.5], [[0.0, 0.0], [0.0, 0.3]], [np.eye(2), np.diag([9.0, 2.0])]),
    # A part along the first axis so small that it only decides the side.
    "tiny part": ([1e-9, 0.5], [[0.0, 0.0], [0.0, 0.3]], [np.eye(2), np.diag([9.0, 2.0])]),
    # Class 1 is narrow: a ball to hit from outside.
    "inside": ([3.0, 1.0], [[0.0, 0.0], [0.5, 0.0]], [4 * np.eye(2), 0.1 * np.eye(2)]),
}


@pytest.mark.fast
@pytest.mark.parametrize("name", HARD)
@pytest.mark.parametrize("dtype", DTYPES)
def test_hard_case(name, dtype):
    x, means, covariances = (np.asarray(a) for a in HARD[name])
    problem = (x, 0, means, covariances, np.array([0.5, 0.5]))
    got = bayes_radius(*_arrays(dtype, *problem))
    eps = float(jnp.finfo(dtype).eps)
    np.testing.assert_allclose(got.radius, _search_along_rays(*problem), rtol=1e-8 + 20 * eps)
    _assert_on_boundary(got, problem, 50 * eps)
    if name == "tiny part":
        assert got.displacement[0] > 0


@pytest.mark.fast
@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_any_scale(scale):
    x, label, means, covariances, priors = _problem(3, 3, 3, shared=False)
    unit = bayes_radius(*_arrays(jnp.float32, x, label, means, covariances, priors))
    scaled = (scale * x, label, scale * means, scale**2 * covariances, priors)
    got = bayes_radius(*_arrays(jnp.float32, *scaled))
    assert float(unit.radius) > 0
    np.testing.assert_allclose(got.radius / scale, unit.radius, rtol=1e-4)
    shared = bayes_radius_shared(
        *_arrays(jnp.float32, scale * x, label, scale * means, scale**2 * covariances[0], priors)
    )
    unit = bayes_radius_shared(*_arrays(jnp.float32, x, label, means, covariances[0], priors))
    np.testing.assert_allclose(shared.radius / scale, unit.radius, rtol=1e-4)


@pytest.mark.fast
def test_wrong_side_and_nowhere():
    means, eye = jnp.array([[0.0, 0], [4, 0]]), jnp.eye(2)
    x, half = jnp.array([3.0, 0]), jnp.array([0.5, 0.5])
    for got in (
        bayes_radius_shared(x, jnp.array(0), means, eye, half),
        bayes_radius(x, jnp.array(0), means, jnp.stack([eye, eye]), half),
    ):
        assert float(got.radius) == 0
        assert got.displacement.tolist() == [0, 0]
        assert int(got.label) == 1
    # Class 1 never wins: same mean, narrower, and rare.
    never = bayes_radius(
        x, jnp.array(0), jnp.zeros((2, 2)), jnp.stack([eye, eye / 2]), jnp.array([0.99, 0.01])
    )
    # Same mean and covariance, less likely; and a class of prior 0.
    less = bayes_radius_shared(x, jnp.array(0), jnp.zeros((2, 2)), eye, jnp.array([0.6, 0.4]))
    absent = bayes_radius_shared(x, jnp.array(0), means, eye, jnp.array([1.0, 0.0]))
    for got in (never, less, absent):
        assert jnp.isinf(got.radius)
        assert got.displacement.tolist() == [0, 0]
        assert int(got.label) == 0
    own = bayes_radius_shared(x, jnp.array(1), means, eye, jnp.array([1.0, 0.0]))
    assert float(own.radius) == 0


@pytest.mark.fast
@pytest.mark.parametrize("field", range(5))
def test_bad_values_are_reported(field):
    problem = list(_arrays(jnp.float64, *_problem(0, 2, 3, shared=False)))
    if field == 1:
        problem[1] = jnp.array(3)
    elif field == 3:
        problem[3] = problem[3].at[1].set(-jnp.eye(2))
    else:
        problem[field] = problem[field].at[0].set(jnp.nan)
    got = bayes_radius(*problem)
    assert jnp.isnan(got.radius)
    assert jnp.isfinite(got.displacement).all()
    covariance = problem[3][1] if field == 3 else jnp.eye(2)
    got = bayes_radius_shared(*problem[:3], covariance, problem[4])
    assert jnp.isnan(got.radius)
    assert jnp.isfinite(got.displacement).all()


def test_vmap_is_a_loop():
    dtype = jnp.float64
    problem = _arrays(dtype, *_problem(1, 3, 3, shared=False))
    xs = problem[0][None] + jnp.linspace(0, 1, 5, dtype=dtype)[:, None]
    for f, classes in (
        (bayes_radius, problem[2:]),
        (bayes_radius_shared, (problem[2], problem[3][0], problem[4])),
    ):
        together = jax.vmap(lambda x, f=f, c=classes: f(x, problem[1], *c))(xs)
        assert together.radius.shape == (5,)
        alone = [f(x, problem[1], *classes) for x in xs]
        tol = 300 * float(jnp.finfo(dtype).eps)
        np.testing.assert_allclose(together.radius, [a.radius for a in alone], rtol=tol, atol=tol)
        np.testing.assert_array_equal(together.label, [a.label for a in alone])


@pytest.mark.parametrize("f", [bayes_radius, bayes_radius_shared])
def test_lowers_for_accelerators(f):
    covariance = (3, 4, 4) if f is bayes_radius else (4, 4)
    shapes = [((4,), "f4"), ((), "i4"), ((3, 4), "f4"), (covariance, "f4"), ((3,), "f4")]
    args = [jax.ShapeDtypeStruct(*shape) for shape in shapes]
    jax.export.export(f, platforms=["tpu", "cuda"])(*args)


@pytest.mark.fast
def test_wrong_use():
    x, y, means, eye, priors = jnp.ones(2), jnp.array(0), jnp.ones((3, 2)), jnp.eye(2), jnp.ones(3)
    shared, unequal = optimal.bayes_radius_shared.__wrapped__, optimal.bayes_radius.__wrapped__
    with pytest.raises(ValueError, match=r"must agree, got \(2,\), \(3, 2\) and \(2,\)"):
        shared(x, y, means, eye, priors[:2])
    with pytest.raises(ValueError, match=r"covariance must have shape \(3, 2, 2\), got \(2, 2\)"):
        unequal(x, y, means, eye, priors)
    with pytest.raises(ValueError, match="At least two classes"):
        shared(x, y, means[:1], eye, priors[:1])
    with pytest.raises(TypeError, match="x must be float32 or float64, got float16"):
        shared(x.astype(jnp.float16), y, means, eye, priors)


@pytest.mark.parametrize("dtype", DTYPES)
def test_singular_covariances_have_no_radius(dtype):
    draw = np.random.default_rng(5)
    full = draw.normal(size=(40, 6, 6)) * 10 ** draw.uniform(-2, 2, (40, 6, 1))
    square = lambda factor: jnp.asarray(factor @ factor.swapaxes(1, 2), dtype)
    singular, regular = square(full[..., :5]), square(full)
    x, means, priors = (
        jnp.asarray(a, dtype) for a in (draw.normal(size=6), draw.normal(size=(2, 6)), [0.5, 0.5])
    )
    label = jnp.array(0)
    shared = jax.jit(jax.vmap(bayes_radius_shared, (None, None, None, 0, None)))
    unequal = jax.jit(jax.vmap(bayes_radius, (None, None, None, 0, None)))
    assert jnp.isnan(shared(x, label, means, singular, priors).radius).all()
    assert jnp.isfinite(shared(x, label, means, regular, priors).radius).mean() > 0.9
    one = jnp.broadcast_to(jnp.eye(6, dtype=dtype), singular.shape)
    for pair in ([singular, one], [one, singular]):
        assert jnp.isnan(unequal(x, label, means, jnp.stack(pair, 1), priors).radius).all()
