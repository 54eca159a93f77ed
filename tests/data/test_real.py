import gzip
import io
import os
import re
import struct
import zipfile

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture import data

rng = np.random.default_rng(0)


@pytest.fixture(scope="module")
def digits():
    return data.digits()


def test_digits(digits):
    assert digits.inputs.shape == (10000, 28, 28, 1)
    assert digits.inputs.dtype == jnp.float32
    assert digits.labels.dtype == jnp.int32
    assert float(digits.inputs.min()) == 0
    assert float(digits.inputs.max()) == 1
    assert np.bincount(digits.labels).min() > 800
    assert set(np.unique(digits.labels)) == set(range(10))
    train, test = data.split(digits, 8000)
    assert train.inputs.shape[0] == 8000
    assert test.labels.shape == (2000,)


@pytest.mark.parametrize("side", [7, 14, 56])
def test_digits_at_other_resolutions_show_the_same(digits, side):
    resized = data.digits(side, dtype=jnp.float32).inputs
    assert resized.shape == (10000, side, side, 1)
    if side > 28:
        expected = np.repeat(np.repeat(digits.inputs, 2, axis=1), 2, axis=2)
        np.testing.assert_array_equal(resized, expected)
    else:
        blocks = np.asarray(digits.inputs).reshape(10000, side, 28 // side, side, 28 // side)
        np.testing.assert_allclose(resized[..., 0], blocks.mean((2, 4)), atol=1e-6)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("height", "width", "side"), [(28, 28, 20), (5, 7, 3), (3, 2, 7), (4, 4, 4)]
)
def test_area_resize_integrates_the_image(height, width, side):
    image = rng.random((2, height, width, 3))
    fine = np.repeat(np.repeat(image, side, axis=1), side, axis=2)  # cells of both grids align
    cells = fine.reshape(2, side, height, side, width, 3)
    got = jax.jit(lambda x: data.area_resize(x, side))(jnp.asarray(image))
    np.testing.assert_allclose(got, cells.mean((2, 4)), rtol=1e-12)
    np.testing.assert_allclose(got.mean((1, 2)), image.mean((1, 2)), rtol=1e-12)


@pytest.mark.fast
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64, jnp.bfloat16])
def test_area_resize_of_a_constant(dtype):
    got = data.area_resize(jnp.full((6, 9, 1), 0.5, dtype), 4)
    assert got.shape == (4, 4, 1)
    assert got.dtype == dtype
    np.testing.assert_allclose(got.astype(float), 0.5, rtol=4 * float(jnp.finfo(dtype).eps))


@pytest.mark.fast
def test_area_resize_wrong_use():
    with pytest.raises(ValueError, match="side must be an integer of at least 1, got 0"):
        data.area_resize(jnp.zeros((4, 4, 1)), 0)
    with pytest.raises(ValueError, match="side must be an integer of at least 1, got 0"):
        data.digits(0)


def test_area_resize_lowers_for_accelerators():
    shape = jax.ShapeDtypeStruct((3, 28, 28, 1), jnp.float32)
    resize = jax.jit(lambda x: data.area_resize(x, 10))
    jax.export.export(resize, platforms=["tpu", "cuda"])(shape)


@pytest.mark.fast
@pytest.mark.parametrize("names", [("images", "labels"), ("x", "y"), ("inputs", "labels")])
def test_load_npz(tmp_path, names):
    images, labels = rng.integers(0, 256, (5, 4, 4), dtype=np.uint8), np.array([3, 0, 1, 2, 9])
    np.savez(tmp_path / "a.npz", **dict(zip(names, (images, labels), strict=True)))
    got = data.load_npz(tmp_path / "a.npz")
    assert got.inputs.dtype == jnp.float32
    assert got.labels.dtype == jnp.int32
    np.testing.assert_allclose(got.inputs, images / 255, rtol=1e-6)
    np.testing.assert_array_equal(got.labels, labels)


@pytest.mark.fast
def test_load_npz_keeps_floats(tmp_path):
    inputs = rng.normal(size=(3, 7))
    np.savez(tmp_path / "a.npz", x=inputs, y=np.arange(3, dtype=np.uint8))
    got = data.load_npz(str(tmp_path / "a.npz"), dtype=jnp.float64)
    np.testing.assert_array_equal(got.inputs, inputs)


FINE = {"x": np.ones((3, 2)), "y": np.arange(3)}


@pytest.mark.fast
@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"x": None}, ValueError, "named inputs or images or x, found"),
        ({"labels": np.arange(3)}, ValueError, "one array named labels or y, found"),
        ({"x": np.ones(3)}, ValueError, r"got \(3,\) and \(3,\)"),
        ({"x": np.ones((4, 2))}, ValueError, r"got \(4, 2\) and \(3,\)"),
        ({"y": np.eye(3, dtype=int)}, ValueError, r"got \(3, 2\) and \(3, 3\)"),
        ({"x": np.ones((0, 2)), "y": np.arange(0)}, ValueError, "no items"),
        ({"x": np.ones((3, 0))}, ValueError, "no items"),
        ({"x": np.array([[1.0], [np.nan], [np.inf]])}, ValueError, "2 of 3 inputs are not finite"),
        ({"x": np.full((3, 1), 1e300)}, ValueError, "not finite in float32"),
        ({"y": np.array([0, -1, 2])}, ValueError, "got -1"),
        ({"y": np.array([0, 2**40, 2])}, ValueError, "labels must be 0"),
        ({"y": np.arange(3.0)}, TypeError, "labels must be integers, got float64"),
        ({"x": np.ones((3, 2), np.int64)}, TypeError, "uint8 or floating, got int64"),
        ({"x": np.ones((3, 2), complex)}, TypeError, "uint8 or floating, got complex128"),
        ({"x": np.array([[object()]] * 3)}, ValueError, "not an .npz file"),
    ],
)
def test_load_npz_complains(tmp_path, changed, error, message):
    arrays = {name: value for name, value in (FINE | changed).items() if value is not None}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(error, match=message):
        data.load_npz(tmp_path / "a.npz")


@pytest.mark.fast
def test_load_npz_of_something_else(tmp_path):
    with pytest.raises(FileNotFoundError):
        data.load_npz(tmp_path / "none.npz")
    np.save(tmp_path / "array.npy", np.ones((3, 2)))
    (tmp_path / "text").write_text("hello")
    (tmp_path / "empty").write_bytes(b"")
    np.savez(tmp_path / "whole.npz", **FINE)
    (tmp_path / "cut").write_bytes((tmp_path / "whole.npz").read_bytes()[:200])
    damaged = bytearray((tmp_path / "whole.npz").read_bytes())
    damaged[100:140] = bytes(40)
    (tmp_path / "damaged").write_bytes(damaged)
    for name in ("array.npy", "text", "empty", "cut", "damaged"):
        with pytest.raises(ValueError, match=f"{name}: not an .npz file"):
            data.load_npz(tmp_path / name)


def npy(array, **changes):
    """An array in NumPy's format, whose header says what is not so."""
    content = io.BytesIO()
    described = np.lib.format.header_data_from_array_1_0(array) | changes
    np.lib.format.write_array_header_1_0(content, described)
    return content.getvalue() + array.tobytes()


def zipped(path, member, *, compression=zipfile.ZIP_DEFLATED, **changes):
    """An archive of `x` and `y` whose `x` has these bytes, and other entries in the directory."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("x.npy", member)
        archive.writestr("y.npy", npy(np.arange(3)))
        for name, value in changes.items():
            setattr(archive.infolist()[0], name, value)


LONG = np.zeros((3, 10**6))


def bomb(path):
    """Half a megabyte of archive in which 5 GB of zeros say that they are as many."""
    row = npy(np.zeros((1, 1)), shape=(3, 2 * 10**8))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", row + bytes(10**6))
        archive.writestr("y.npy", npy(np.arange(3)))
        archive.infolist()[0].file_size = len(row) - 8 + 48 * 10**8


@pytest.mark.fast
@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda path: zipped(path, npy(LONG[:, :2], shape=(3, 10**9))), "its header needs 24000"),
        (bomb, "it claims to hold 4,800,"),
        (lambda path: zipped(path, b"no array"), "magic string"),
        (lambda path: zipped(path, b"\x93NUMPY\x01\0\xff\xff{" + b"[" * 60000), "not an .npz"),
        (lambda path: zipped(path, npy(LONG), flag_bits=1), "encrypted"),
        (
            lambda path: zipped(path, npy(LONG), compression=zipfile.ZIP_BZIP2),
            "compressed by another method",
        ),
        (
            lambda path: zipped(path, npy(LONG[:, :2]), compress_size=10**12, file_size=10**12),
            "it claims to hold 1,000,000,000,000 bytes",
        ),
        (os.mkfifo, "is a pipe"),
    ],
)
def test_hostile_archives_are_refused_by_name(tmp_path, write, says):
    write(tmp_path / "hostile.npz")
    with pytest.raises(ValueError, match=rf"hostile\.npz.*{re.escape(says)}"):
        data.load_npz(tmp_path / "hostile.npz")


@pytest.mark.fast
def test_no_damage_of_an_archive_is_a_traceback(tmp_path):
    np.savez_compressed(tmp_path / "whole.npz", x=rng.random((3, 40)), y=np.arange(3))
    content = (tmp_path / "whole.npz").read_bytes()
    expected = data.load_npz(tmp_path / "whole.npz")
    refused = accepted = 0
    for at in range(0, len(content), 9):
        for bit in (1, 128):
            damaged = bytearray(content)
            damaged[at] ^= bit
            (tmp_path / "damaged.npz").write_bytes(damaged)
            try:
                got = data.load_npz(tmp_path / "damaged.npz")
            except ValueError as error:
                refused += "damaged.npz" in str(error)  # any other exception fails the test
            else:
                accepted += 1
                np.testing.assert_array_equal(got.inputs, expected.inputs)
    assert refused + accepted == 2 * len(range(0, len(content), 9))
    assert refused > accepted


@pytest.mark.fast
def test_idx_files_that_claim_more_than_they_hold(tmp_path):
    (tmp_path / "labels").write_bytes(_idx(np.arange(2, dtype=np.uint8), 8))
    head = bytes([0, 0, 8, 3]) + struct.pack(">3I", 2, 2**20, 2**20)
    for content in (head, gzip.compress(head)):
        (tmp_path / "images").write_bytes(content)
        with pytest.raises(ValueError, match=r"images: (16 bytes, but|it claims to hold 2,199,)"):
            data.load_idx(tmp_path / "images", tmp_path / "labels")
    damaged = bytearray(gzip.compress(_idx(rng.integers(0, 99, (9, 9, 9), np.uint8), 8)))
    damaged[30:60] = bytes(30)
    (tmp_path / "images").write_bytes(damaged)
    with pytest.raises(ValueError, match="images: damaged gzip"):
        data.load_idx(tmp_path / "images", tmp_path / "labels")


def _idx(array: np.ndarray, code: int) -> bytes:
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.mark.fast
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_load_idx(tmp_path, pack):
    images, labels = rng.integers(0, 256, (5, 3, 4), dtype=np.uint8), np.arange(5, dtype=np.int32)
    (tmp_path / "images").write_bytes(pack(_idx(images, 0x08)))
    (tmp_path / "labels").write_bytes(pack(_idx(labels, 0x0C)))
    got = data.load_idx(tmp_path / "images", tmp_path / "labels")
    np.testing.assert_allclose(got.inputs[..., 0], images / 255, rtol=1e-6)
    np.testing.assert_array_equal(got.labels, labels)
    assert got.inputs.shape == (5, 3, 4, 1)


@pytest.mark.fast
def test_load_idx_of_floats(tmp_path):
    images = rng.normal(size=(5, 3)).astype(np.float32)
    (tmp_path / "images").write_bytes(_idx(images, 0x0D))
    (tmp_path / "labels").write_bytes(_idx(np.arange(5, dtype=np.int16), 0x0B))
    got = data.load_idx(tmp_path / "images", tmp_path / "labels")
    np.testing.assert_array_equal(got.inputs, images)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file: it starts with nothing"),
        (b"\x89PNG....", "not an IDX file"),
        (b"\0\0\x08\x03\0\0", "truncated in the header"),
        (
            _idx(np.ones((2, 3, 3), np.uint8), 8)[:-1],
            r"33 bytes, but its shape \(2, 3, 3\) needs 34",
        ),
        (_idx(np.ones((2, 3, 3), np.uint8), 8) + b"!", "35 bytes, but"),
        (gzip.compress(_idx(np.ones((2, 3, 3), np.uint8), 8), mtime=0)[:-9], "damaged gzip"),
        (_idx(np.ones((3, 3, 3), np.uint8), 8), r"got \(3, 3, 3, 1\) and \(2,\)"),
        (_idx(np.ones((0, 3, 3), np.uint8), 8), r"got \(0, 3, 3, 1\)"),
    ],
)
def test_load_idx_complains(tmp_path, content, message):
    (tmp_path / "images").write_bytes(content)
    (tmp_path / "labels").write_bytes(_idx(np.arange(2, dtype=np.uint8), 8))
    with pytest.raises(ValueError, match=message):
        data.load_idx(tmp_path / "images", tmp_path / "labels")
