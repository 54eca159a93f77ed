"""The whole analysis: against closed forms, and against its parts one input at a time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from fracture import compression as c
from fracture.analysis import analyze
from fracture.certificates import CertificateStatus
from fracture.perturbation import Status, affine, minimal


def linear(params, x):
    return jnp.matmul(params, x, precision="highest")


@pytest.mark.parametrize("stages", [None, lambda params: [jnp.sin, lambda h: linear(params, h)]])
@pytest.mark.parametrize("chunk_size", [None, 3])
def test_spectra_of_the_most_probable_classes(stages, chunk_size):
    """Of 9 logits, those of the label, of the displacement, and the two largest others."""
    rng = np.random.default_rng(1)
    weight, points = rng.normal(size=(9, 12)), rng.normal(size=(5, 12))
    labels = rng.permutation(9)[:5]
    inner = np.sin if stages else lambda x: x
    slope = np.cos if stages else np.ones_like
    apply = (lambda params, x: linear(params, jnp.sin(x))) if stages else linear
    got = analyze(
        *(apply, weight, points, labels, points, labels),
        stages=stages,
        solver=affine,
        num_classes=4,
        chunk_size=chunk_size,
    )
    for i, (x, label) in enumerate(zip(points, labels, strict=True)):
        named = [label, labels[got.nearest[i]]]
        rest = [c for c in np.argsort(-weight @ inner(x)) if c not in named]
        rows = weight[[*named, *rest[:2]]] * slope(x)
        _, s, basis = np.linalg.svd(rows - rows.mean(0))
        np.testing.assert_allclose(got.singular_values[i], s[:3], rtol=1e-9)
        basis = basis[:3]
        delta = points[got.nearest[i]] - x
        expected = np.linalg.norm(basis @ delta) / np.linalg.norm(delta)
        np.testing.assert_allclose(got.rho_span[i], expected, rtol=1e-9)
        assert got.span_rank[i] == 3
    with pytest.raises(ValueError, match="num_classes must be an integer of at least 2"):
        analyze(linear, weight, points, labels, points, labels, num_classes=1)


def test_an_affine_network_in_a_box_bends_nowhere():
    """What the pixel range costs stands in `box`, and τ is 1 to the last step of the search."""
    rng = np.random.default_rng(4)
    weight = rng.normal(size=(3, 12))
    points = rng.uniform(-0.5, 1.5, (24, 12)).clip(0, 1)  # half of the pixels have no way to go
    labels = (points @ weight.T).argmax(1)
    got = analyze(linear, weight, points, labels, points, labels, bounds=(0, 1), solver=affine)
    found = np.asarray(got.status_pair) == Status.FOUND
    assert found.sum() > 12
    np.testing.assert_allclose(got.tangent[found], 1, rtol=1e-3)
    np.testing.assert_allclose(got.secant[found], 1, rtol=1e-9)
    assert np.median(got.box[found]) > 1.01


def test_radii_of_half_precision_inputs_are_wide():
    rng = np.random.default_rng(2)
    weight = jnp.asarray(rng.normal(size=(3, 4)), jnp.float32)
    points = jnp.asarray(rng.normal(size=(6, 4)), jnp.float16)
    apply = lambda params, x: linear(params, x.astype(jnp.float32))
    labels = jax.vmap(lambda x: jnp.argmax(apply(weight, x)))(points)
    got = analyze(apply, weight, points, labels, points, labels, solver=affine)
    for radius in (got.radius, got.radius_relative, got.radius_pair, got.ratio):
        assert radius.dtype == jnp.float32
    want = np.linalg.norm(got.delta.astype(float), axis=1)
    np.testing.assert_allclose(got.radius, want, rtol=1e-6)


TRACES = []


def linear_rows(weight, x):
    return jnp.matmul(weight, x.ravel(), precision="highest")


def mlp(params, x):
    TRACES.append(None)
    for stage in mlp_stages(params):
        x = stage(x)
    return x


def mlp_stages(params):
    first, second = params
    return [lambda x: jnp.tanh(first @ x.ravel()), lambda h: second @ h]


def mlp_problem(n=6, m=20, classes=3, dtype=jnp.float64):
    keys = jax.random.split(jax.random.key(0), 4)
    params = (
        jax.random.normal(keys[0], (8, 6), dtype) / 2,
        jax.random.normal(keys[1], (classes, 8), dtype),
    )
    references = jax.random.normal(keys[2], (m, 2, 3), dtype)
    labels = jnp.argmax(jax.vmap(lambda x: mlp(params, x))(references), axis=-1)
    return params, references[:n], labels[:n], references, labels


@pytest.mark.fast
@pytest.mark.parametrize(
    ("ord", "dtype", "batch_size"), [(2, np.float32, None), (jnp.inf, np.float64, 4)]
)
def test_one_point_per_class_has_its_closed_form(ord, dtype, batch_size):
    """X⁻¹x at its own points: for a pair, ratio = compression, in every norm."""
    dim = 10
    points = np.random.default_rng(0).normal(size=(dim, dim))  # one a row
    weight = np.linalg.inv(points.T)
    dual = {2: 2, jnp.inf: 1}[ord]
    distances = np.linalg.norm(points[:, None] - points[None], ord, axis=-1)
    nearest = np.argmin(distances + np.diag([np.inf] * dim), axis=1)
    radii = 1 / np.linalg.norm(weight[:, None] - weight[None] + np.eye(dim)[..., None], dual, -1)
    radii[np.diag_indices(dim)] = np.inf
    pairwise = radii[np.arange(dim), nearest]
    r_opt = distances[np.arange(dim), nearest] / 2

    labels = np.arange(dim)
    inputs = points.astype(dtype)
    arguments = weight.astype(dtype), inputs, labels, inputs, labels
    got = analyze(linear, *arguments, ord=ord, solver=affine, batch_size=batch_size)
    rtol = 1e-3 if dtype == np.float32 else 1e-9
    close = lambda value, want: np.testing.assert_allclose(value, want, rtol=rtol)
    assert all(leaf.dtype in (dtype, np.int32) for leaf in jax.tree.leaves(got))
    np.testing.assert_array_equal(got.nearest, nearest)
    np.testing.assert_array_equal(got.other, nearest)
    np.testing.assert_array_equal(got.status, Status.FOUND)
    np.testing.assert_array_equal(got.adversarial_label, radii.argmin(axis=1))
    close(got.r_opt, r_opt)
    close(got.radius, radii.min(axis=1))
    close(got.radius_relative, radii.min(axis=1) / np.linalg.norm(points, ord, axis=1))
    close(got.radius_pair, pairwise)
    close(got.ratio, radii.min(axis=1) / r_opt)
    close(got.ratio_pair, pairwise / r_opt)
    close(got.rho_net, pairwise / r_opt)
    for factor in (got.midpoint, got.secant, got.tangent, got.box):
        close(factor, 1)
    np.testing.assert_array_equal(got.span_rank, dim - 1)
    close(got.null_ratio, np.sqrt((dim - 1) / dim))
    chance = scipy.special.betaincc((dim - 1) / 2, 1 / 2, np.float64(got.rho_span) ** 2)
    np.testing.assert_allclose(got.null_pvalue, chance, rtol=3e-2 if dtype == np.float32 else 1e-9)
    s = np.linalg.svd(weight - weight.mean(0), compute_uv=False)[: dim - 1]
    close(got.singular_values, np.tile(s, (dim, 1)))
    close(got.stable_rank, (s**2).sum() / s[0] ** 2)
    assert got.layers is None


def analyze_mlp(*arguments):
    """The same static options and shapes everywhere: compiled once."""
    options = {"ord": 1, "bounds": (-3.0, 3.0), "solver": affine, "stages": mlp_stages}
    return analyze(mlp, *arguments, **options)


def test_equals_its_parts_one_by_one():
    params, inputs, labels, references, reference_labels = mlp_problem()
    got = analyze_mlp(params, inputs, labels, references, reference_labels)
    product = got.rho_net * got.midpoint * got.secant * got.tangent * got.box
    found = np.isfinite(got.ratio_pair)
    assert found.sum() >= 4
    np.testing.assert_allclose(product[found], got.ratio_pair[found], rtol=1e-10)
    network = lambda x: mlp(params, x)

    @jax.jit
    def parts(x, label, other, point):
        return (
            c.margin_compression(network, x, label, point - x, other=other, ord=1),
            c.span_compression(network, x, point - x).ratio,
            c.spectrum((rows := c.jacobian(network, x)) - rows.mean(0, keepdims=True))[:2],
            c.layer_compression(mlp_stages(params), x, point),
        )

    for i, (x, label) in enumerate(zip(inputs, labels, strict=True)):
        distances = np.abs(np.asarray(references - x[None])).sum(axis=(1, 2))
        index = np.argmin(np.where(reference_labels == label, np.inf, distances))
        other = reference_labels[index]
        assert (int(got.nearest[i]), int(got.other[i])) == (index, int(other))
        np.testing.assert_allclose(got.r_opt[i], distances[index] / 2, rtol=1e-12)
        want = parts(x, label, other, references[index])
        here = (got.rho_net, got.rho_span, got.singular_values, got.layers)
        assert got.effective_rank[i] == pytest.approx(float(got.layers.effective_rank[i, 0]))
        jax.tree.map(lambda a, b, i=i: np.testing.assert_allclose(a[i], b, rtol=1e-9), here, want)
        if got.status[i] == Status.FOUND:
            np.testing.assert_allclose(got.radius[i], jnp.abs(got.delta[i]).sum(), rtol=1e-12)
            assert int(jnp.argmax(network(x + got.delta[i]))) == int(got.adversarial_label[i])


def test_brackets_are_those_of_the_certificate_and_hold_the_truth():
    """Of an affine network the truth is known; the rest of the result is as without them."""
    _, inputs, labels, *references = mlp_problem()
    weight = jnp.asarray(np.random.default_rng(3).normal(size=(3, inputs[0].size)))
    labels = jnp.argmax(inputs.reshape(len(inputs), -1) @ weight.T, 1).at[0].set(2)
    arguments = weight, inputs, labels, *references
    options = {"solver": affine, "ord": 2}
    got = analyze(linear_rows, *arguments, certify=True, **options)
    rows = weight[labels][:, None] - weight[None]
    lengths = jnp.linalg.norm(rows, axis=2)
    margins = jnp.einsum("nkd,nd->nk", rows, inputs.reshape(len(inputs), -1))
    exact = jnp.min(
        jnp.where(lengths > 0, margins / jnp.where(lengths > 0, lengths, 1), jnp.inf), 1
    )
    np.testing.assert_allclose(got.radius_certified, jnp.maximum(exact, 0), rtol=1e-4)
    assert (got.radius_certified <= got.radius).all()
    wrong, right = CertificateStatus.MISCLASSIFIED, CertificateStatus.EXACT
    np.testing.assert_array_equal(got.status_certified, jnp.where(exact < 0, wrong, right))
    without = analyze(linear_rows, *arguments, **options)
    assert without.radius_certified is without.status_certified is None
    same = got._replace(radius_certified=None, status_certified=None)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9), same, without)


def test_other_values_do_not_compile_again():
    params, *arguments = mlp_problem()
    first = analyze_mlp(params, *arguments)
    count = len(TRACES)
    second = analyze_mlp(jax.tree.map(lambda w: 2 * w, params), *arguments)
    assert len(TRACES) == count > 0
    assert not np.allclose(first.singular_values, second.singular_values)


def test_bad_inputs_are_reported_and_leave_the_others_alone():
    params, inputs, labels, *references = mlp_problem()
    want = analyze_mlp(params, inputs, labels, *references)
    bad_inputs = inputs.at[1, 0, 0].set(jnp.nan)
    bad_labels = labels.at[2].set(7).at[3].set((labels[3] + 1) % 3)
    got = analyze_mlp(params, bad_inputs, bad_labels, *references)
    np.testing.assert_array_equal(
        got.status[1:4], [Status.NOT_FINITE, Status.NOT_FINITE, Status.MISCLASSIFIED]
    )
    assert (int(got.nearest[1]), int(got.other[1])) == (-1, -1)
    assert jnp.isnan(jnp.stack([got.ratio[1], got.rho_span[1], got.r_opt[1]])).all()
    assert jnp.isnan(got.rho_net[2])
    assert got.radius[3] == 0
    untouched = jnp.array([0, 4, 5])
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a[untouched], b[untouched], rtol=1e-9), got, want
    )


@pytest.mark.fast
@pytest.mark.parametrize(
    ("network", "labels", "says"),
    [
        (mlp, [1, 2, 3], r"reference_labels must be 0 to 2 .* got 1 to 3"),  # 1..K beside 0..K-1
        (mlp, [-1, 0, 2], r"reference_labels must be 0 to 2 .* got -1 to 2"),
        (lambda params, x: x[0, 0], [0, 1, 2], r"reference_labels must be 0 to 1 .* got 0 to 2"),
    ],
)
def test_references_of_no_class_are_refused(network, labels, says):
    params, inputs, right, references, _ = mlp_problem()
    with pytest.raises(ValueError, match=says):
        analyze(network, params, inputs, right, references[:3], np.array(labels), solver=affine)


def test_one_class_has_no_optimal_radius():
    """Nor where no class, -1, has no place in the type of the labels."""
    params, inputs, labels, references, _ = mlp_problem()
    same = jnp.full(len(references), labels[0], jnp.uint8)
    got = analyze_mlp(params, inputs, same[: len(inputs)], references, same)
    assert jnp.isposinf(got.r_opt).all()
    np.testing.assert_array_equal(got.nearest, -1)
    np.testing.assert_array_equal(got.other, -1)
    for value in (got.ratio, got.ratio_pair, got.rho_net, got.rho_span, got.midpoint):
        assert jnp.isnan(value).all()
    assert (got.status != Status.NOT_FINITE).all()
    assert jnp.isfinite(got.singular_values).all()


@pytest.mark.fast
def test_single_output_and_the_portfolio():
    """f = w·x + b: one direction, an exact radius, and the spectrum of f itself."""
    weight = jnp.array([3.0, 4.0, 0.0])
    apply = lambda params, x: params[0] @ x + params[1]
    inputs = jnp.array([[1.0, 0, 1], [0, -1, 2]])
    labels = jnp.array([0, 1])
    got = analyze(
        apply, (weight, 0.5), inputs, labels, inputs, labels, solver=minimal, effort="low"
    )
    np.testing.assert_allclose(got.radius, [0.7, 0.7], rtol=1e-6)
    np.testing.assert_allclose(got.radius_pair, got.radius, rtol=1e-6)
    np.testing.assert_allclose(got.r_opt, 3**0.5 / 2)
    np.testing.assert_allclose(got.rho_net, 7 / 5 / 3**0.5)
    np.testing.assert_allclose(got.rho_span, got.rho_net)
    np.testing.assert_allclose(got.singular_values, [[5], [5]])
    np.testing.assert_allclose(got.midpoint, 1)
    np.testing.assert_array_equal(got.adversarial_label, [1, 0])


def test_lowers_for_tpu_and_cuda():
    arguments = mlp_problem(dtype=jnp.float32)
    call = lambda *args: analyze(mlp, *args, solver=affine, stages=mlp_stages)
    exported = jax.export.export(jax.jit(call), platforms=["tpu", "cuda"])(*arguments)
    assert exported.platforms == ("tpu", "cuda")


@pytest.mark.parametrize(
    ("error", "change"),
    [
        (TypeError, {"inputs": jnp.ones((6, 2, 3), int)}),
        (TypeError, {"labels": jnp.ones(6)}),
        (ValueError, {"labels": jnp.ones(5, int)}),
        (ValueError, {"references": jnp.ones((20, 3, 2))}),
        (ValueError, {"references": jnp.ones((0, 2, 3)), "reference_labels": jnp.ones(0, int)}),
        (ValueError, {"inputs": jnp.ones((0, 2, 3)), "labels": jnp.ones(0, int)}),
        (ValueError, {"ord": 3}),
        (ValueError, {"batch_size": 0}),
        (ValueError, {"bounds": (1.0, 0.0)}),
        (ValueError, {"effort": "none", "solver": minimal}),
    ],
)
def test_misuse_is_an_error(error, change):
    names = ("params", "inputs", "labels", "references", "reference_labels")
    arguments = dict(zip(names, mlp_problem(), strict=True)) | {"solver": affine} | change
    with pytest.raises(error):
        analyze(mlp, **arguments)
