import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture.optimal import nearest_neighbour, nearest_neighbour_by_count

rng = np.random.default_rng(3)
QUERIES, QUERY_LABELS = rng.normal(size=(9, 2, 4)), rng.integers(0, 3, 9)
REFERENCES, REFERENCE_LABELS = rng.normal(size=(37, 2, 4)), rng.integers(0, 3, 37)
ORDERS = [1, 2, np.inf]


def _reference(queries, query_labels, references, labels, ord):
    gaps = (queries[:, None] - references[None]).reshape(len(queries), len(references), -1)
    distance = np.linalg.norm(gaps, ord=ord, axis=-1)
    distance[query_labels[:, None] == labels[None]] = np.inf
    return distance.min(1) / 2, distance.argmin(1)


def _cast(dtype, *arrays):
    return [jnp.asarray(a, dtype) if a.dtype == float else jnp.asarray(a) for a in arrays]


@pytest.mark.fast
@pytest.mark.parametrize("ord", ORDERS)
@pytest.mark.parametrize("chunk_size", [1, 10, 4096])
def test_matches_all_pairs(ord, chunk_size):
    problem = (QUERIES, QUERY_LABELS, REFERENCES, REFERENCE_LABELS)
    got = nearest_neighbour(*problem, ord=ord, chunk_size=chunk_size)
    radius, index = _reference(*problem, ord)
    np.testing.assert_allclose(got.radius, radius, rtol=1e-14)
    np.testing.assert_array_equal(got.index, index)
    assert got.index.dtype == jnp.int32


@pytest.mark.fast
@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_other_dtypes(dtype):
    problem = _cast(dtype, QUERIES, QUERY_LABELS, REFERENCES, REFERENCE_LABELS)
    got = nearest_neighbour(*problem)
    exact = [np.asarray(a, float) if a.dtype == dtype else np.asarray(a) for a in problem]
    radius, _ = _reference(*exact, 2)
    assert got.radius.dtype == dtype
    np.testing.assert_allclose(
        got.radius.astype(float), radius, rtol=4 * float(jnp.finfo(dtype).eps)
    )


@pytest.mark.fast
@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_any_scale(scale):
    problem = _cast(jnp.float32, QUERIES, QUERY_LABELS, REFERENCES, REFERENCE_LABELS)
    unit = nearest_neighbour(*problem)
    problem[0], problem[2] = scale * problem[0], scale * problem[2]
    got = nearest_neighbour(*problem)
    np.testing.assert_allclose(got.radius / scale, unit.radius, rtol=1e-6)
    np.testing.assert_array_equal(got.index, unit.index)


def test_common_offset_and_close_pairs_do_not_cancel():
    dtype, eps = jnp.float32, float(jnp.finfo(jnp.float32).eps)
    base = rng.normal(size=(50, 300)).astype(np.float32) + 1000
    close = base + 1e-2 * rng.normal(size=base.shape).astype(np.float32)
    labels = np.arange(50)
    got = nearest_neighbour(jnp.asarray(base, dtype), labels, jnp.asarray(close, dtype), labels + 1)
    # The point with the same number is of another class except one step round.
    exact, index = _reference(base.astype(float), labels, close.astype(float), labels + 1, 2)
    np.testing.assert_array_equal(got.index, index)
    np.testing.assert_allclose(got.radius, exact, rtol=4 * eps)
    assert float(got.radius.max()) < 0.2


@pytest.mark.fast
def test_labels_decide():
    queries = jnp.array([[0.0], [10.0], [5.0]])
    got = nearest_neighbour(
        queries, jnp.array([0, 1, 0]), jnp.array([[0.0], [4.0], [10.0]]), jnp.array([0, 1, 1])
    )
    np.testing.assert_array_equal(got.radius, [2, 5, 0.5])
    np.testing.assert_array_equal(got.index, [1, 0, 1])


@pytest.mark.fast
def test_touching_classes_have_radius_zero():
    got = nearest_neighbour(jnp.ones((1, 3)), jnp.array([0]), jnp.ones((1, 3)), jnp.array([1]))
    assert got.radius.tolist() == [0]
    assert got.index.tolist() == [0]


@pytest.mark.fast
@pytest.mark.parametrize("ord", ORDERS)
def test_one_class_and_bad_values(ord):
    x, y = jnp.asarray(QUERIES), jnp.zeros(9, int)
    alone = nearest_neighbour(x, y, x, y, ord=ord)
    assert jnp.isinf(alone.radius).all()
    assert (alone.index == -1).all()

    queries = x.at[1].set(jnp.nan).at[2, 0, 0].set(jnp.inf)
    references = jnp.asarray(REFERENCES).at[5].set(jnp.nan).at[6].set(jnp.inf)
    got = nearest_neighbour(queries, QUERY_LABELS, references, REFERENCE_LABELS, ord=ord)
    kept = np.delete(np.arange(37), [5, 6])
    radius, index = _reference(QUERIES, QUERY_LABELS, REFERENCES[kept], REFERENCE_LABELS[kept], ord)
    bad = np.isin(np.arange(9), [1, 2])
    np.testing.assert_allclose(got.radius, np.where(bad, np.nan, radius), rtol=1e-14)
    np.testing.assert_array_equal(got.index, np.where(bad, -1, kept[index]))


@pytest.mark.fast
def test_bound_falls_with_the_number_of_references():
    counts = (1, 19, 37)
    bad = QUERIES.copy()
    bad[0] = np.nan
    got = nearest_neighbour_by_count(
        bad, QUERY_LABELS, REFERENCES, REFERENCE_LABELS, counts, chunk_size=10
    )
    assert got.radius.shape == got.index.shape == (3, 9)
    for i, count in enumerate(counts):
        radius, index = _reference(
            QUERIES, QUERY_LABELS, REFERENCES[:count], REFERENCE_LABELS[:count], 2
        )
        np.testing.assert_allclose(got.radius[i, 1:], radius[1:], rtol=1e-14)
        index = np.where(np.isinf(radius), -1, index)
        np.testing.assert_array_equal(got.index[i, 1:], index[1:])
    assert jnp.isnan(got.radius[:, 0]).all()
    assert (got.index[:, 0] == -1).all()


@pytest.mark.fast
def test_jit_and_vmap():
    problem = (QUERIES, QUERY_LABELS, REFERENCES, REFERENCE_LABELS)
    alone = nearest_neighbour(*problem, chunk_size=10)
    stacked = [jnp.stack([jnp.asarray(a)] * 2) for a in problem]
    both = jax.jit(jax.vmap(lambda *a: nearest_neighbour(*a, chunk_size=10)))(*stacked)
    for leaf, expected in zip(both, alone, strict=True):
        np.testing.assert_allclose(leaf[1], expected, rtol=1e-14)


@pytest.mark.parametrize("ord", ORDERS)
def test_lowers_for_accelerators(ord):
    f32, i32 = jnp.float32, jnp.int32
    shapes = [((9, 5), f32), ((9,), i32), ((37, 5), f32), ((37,), i32)]
    search = jax.jit(lambda *a: nearest_neighbour(*a, ord=ord, chunk_size=10))
    args = [jax.ShapeDtypeStruct(*shape) for shape in shapes]
    jax.export.export(search, platforms=["tpu", "cuda"])(*args)


def test_references_are_not_copied():
    """100,000 references × 1,000 queries in 3,072 dimensions: less than 4 GB with the data."""
    shapes = [((1000, 3072), "f4"), ((1000,), "i4"), ((100_000, 3072), "f4"), ((100_000,), "i4")]
    args = [jax.ShapeDtypeStruct(*shape) for shape in shapes]
    for ord in (1, 2):
        search = jax.jit(lambda *a, ord=ord: nearest_neighbour(*a, ord=ord))
        memory = search.lower(*args).compile().memory_analysis()
        assert memory.temp_size_in_bytes < 0.3e9


@pytest.mark.fast
@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({0: QUERIES[0, 0]}, ValueError, "must agree, got"),
        ({2: REFERENCES[:, :1]}, ValueError, r"must agree, got \(9, 2, 4\), \(37, 1, 4\)"),
        ({1: QUERY_LABELS[:3]}, ValueError, r"labels must have shapes \(9,\) and \(37,\)"),
        ({2: REFERENCES[:0], 3: REFERENCE_LABELS[:0]}, ValueError, "references are empty"),
        ({0: QUERIES.astype(np.float32)}, TypeError, "share a floating dtype, got float32"),
        ({0: QUERIES.astype(int), 2: REFERENCES.astype(int)}, TypeError, "floating dtype"),
        ({3: REFERENCE_LABELS.astype(float)}, TypeError, "labels must be integers, got float64"),
        ({"ord": 3}, ValueError, "ord must be 1, 2 or inf, got 3"),
        ({"chunk_size": 0}, ValueError, "chunk_size must be an integer of at least 1"),
    ],
)
def test_wrong_use(change, error, message):
    problem = [QUERIES, QUERY_LABELS, REFERENCES, REFERENCE_LABELS]
    problem = [change.get(i, array) for i, array in enumerate(problem)]
    options = {name: value for name, value in change.items() if isinstance(name, str)}
    with pytest.raises(error, match=message):
        nearest_neighbour(*problem, **options)


@pytest.mark.fast
@pytest.mark.parametrize("counts", [(), (0, 3), (3, 3), (5, 38)])
def test_wrong_counts(counts):
    with pytest.raises(ValueError, match="counts must increase from 1 to at most 37"):
        nearest_neighbour_by_count(QUERIES, QUERY_LABELS, REFERENCES, REFERENCE_LABELS, counts)


def _far_from_the_origin():
    """Queries and references where products of coordinates say nothing of distances."""
    draw = np.random.default_rng(7)
    queries, references = draw.normal(size=(24, 20)), draw.normal(size=(150, 20))
    labels = np.arange(24) % 3, np.arange(150) % 3
    outlier = lambda size: np.concatenate([references[:-1], np.full((1, 20), size)])
    apart = np.concatenate([np.zeros((75, 20)), np.full((75, 20), 1e4)])
    for each in (
        (queries, references + apart),
        (queries + apart[63:87], references + apart),
        (queries + 1e5, references + 1e5),
        (np.concatenate([queries[:-1], np.full((1, 20), 1e6)]), references),
        (queries, outlier(1e19)),
        (queries, outlier(3e38)),
        (3e37 * queries, 3e37 * references),
    ):
        yield each[0].astype(np.float32), labels[0], each[1].astype(np.float32), labels[1]


@pytest.mark.parametrize("ord", ORDERS)
def test_certain_at_any_place_and_beside_any_other(ord):
    for problem in _far_from_the_origin():
        got = nearest_neighbour(*problem, ord=ord, chunk_size=40)
        wide = [a.astype(float) if a.dtype == np.float32 else a for a in problem]
        radius, index = _reference(*wide, ord)
        np.testing.assert_allclose(got.radius, radius, rtol=1e-6)
        np.testing.assert_array_equal(got.index, index)


@pytest.mark.fast
def test_no_query_depends_on_another():
    references = np.zeros((8, 3), np.float32)
    references[:, 0] = [1, 2, 3, 4, 0.5, 0.1, 0.2, 5]
    queries, labels = np.array([[0, 0, 0], [1e6, 0, 0]], np.float32), np.zeros(2, int)
    for num in (1, 2):
        got = nearest_neighbour(queries[:num], labels[:num], references, np.ones(8, int))
        np.testing.assert_allclose(got.radius[0], 0.05)
        assert got.index[0] == 5


def test_radius_has_the_derivative_of_half_the_distance():
    radius = lambda x, r: nearest_neighbour(x, QUERY_LABELS, r, REFERENCE_LABELS).radius.sum()
    along, back = jax.grad(radius, argnums=(0, 1))(jnp.asarray(QUERIES), jnp.asarray(REFERENCES))
    _, index = _reference(QUERIES, QUERY_LABELS, REFERENCES, REFERENCE_LABELS, 2)
    gap = QUERIES - REFERENCES[index]
    unit = gap / np.linalg.norm(gap.reshape(9, -1), axis=1)[:, None, None]
    np.testing.assert_allclose(along, unit / 2, rtol=1e-12)
    expected = np.zeros_like(REFERENCES)
    np.add.at(expected, index, -unit / 2)
    np.testing.assert_allclose(back, expected, rtol=1e-12, atol=1e-15)
