"""What is stored: whole, checked before it is believed, and nobody else's files touched."""

import errno
import fcntl
import itertools
import json
import os
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
import xarray as xr

from fracture.sweeps import DamagedFileError, StoreMismatchError, read_dataset, write_dataset
from fracture.sweeps._atomic import PARTIAL, PARTIAL_FOLDER, write_atomically
from fracture.sweeps._notes import computing, remove_notes
from fracture.sweeps._store import chunk_store

PROVENANCE = {"experiment": "toy", "options": "{}", "root": 0}


def everything():
    """A dataset with all that this package stores."""
    nan = np.array([np.nan, -np.nan, 1.5], np.float32)
    variables = {
        "radius": ("example", nan, {"units": "input units", "long_name": ""}),
        "flag": ("example", np.array([True, False, True])),
        "phase": ("example", np.array([1j, 2 - 1j, 0], np.complex64)),
        "count": ("example", np.array([1, -2, 2**40])),
        "byte": (("example", "rank"), np.zeros((3, 2), np.uint8)),
        "name": ("example", np.array(["ant", "", "größe"])),
        "scalar": ((), 0.25),
        "none": ("nothing", np.zeros(0)),
    }
    attrs = {"dims": [4, 8], "one": [4], "text": "", "words": ["a", "b"], "number": 0.1, "n": 3}
    return xr.Dataset(variables, {"layer": ["input", "after"]}, attrs)


@pytest.mark.fast
def test_everything_comes_back_as_it_was(tmp_path):
    write_dataset(tmp_path / "a.nc", everything())
    got = read_dataset(tmp_path / "a.nc", checked=True)
    xr.testing.assert_equal(got, everything())
    assert got.attrs["text"] == ""
    assert list(got.attrs["dims"]) == [4, 8]
    assert "checksum" not in got.attrs
    write_dataset(tmp_path / "a.nc", got)  # again, and over itself
    xr.testing.assert_identical(read_dataset(tmp_path / "a.nc", checked=True), got)


@pytest.mark.fast
def test_an_enumeration_comes_back(tmp_path):
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file["kind"] = h5py.enum_dtype({"ant": 0, "bee": 1}, "u1")  # a named type, no array
        file["a"] = [1.5, 2.5]
        file["a"].dims[0].label = "x"
        file["a"].make_scale("a")
    assert read_dataset(tmp_path / "a.nc")["a"].values.tolist() == [1.5, 2.5]


@pytest.mark.fast
def test_no_flipped_bit_is_believed(tmp_path):
    dataset = xr.Dataset({"a": ("x", np.arange(4.0))}, attrs={"root": 3})
    write_dataset(tmp_path / "whole.nc", dataset)
    content = (tmp_path / "whole.nc").read_bytes()
    expected = read_dataset(tmp_path / "whole.nc", checked=True)
    start = content.index(np.arange(4.0).tobytes())
    name, value = content.index(b"checksum"), content.index(b"root")
    for at in (*range(start, start + 32), *range(name, name + 8), *range(value, value + 4)):
        damaged = bytearray(content)
        damaged[at] ^= 64
        (tmp_path / "damaged.nc").write_bytes(damaged)
        with pytest.raises(DamagedFileError, match=r"damaged\.nc"):
            read_dataset(tmp_path / "damaged.nc", checked=True)
    # Everywhere else, where bits may mean nothing: refused, or what was written.
    for at in np.random.default_rng(0).integers(0, len(content), 40):
        damaged = bytearray(content)
        damaged[at] ^= 1
        (tmp_path / "damaged.nc").write_bytes(damaged)
        try:
            got = read_dataset(tmp_path / "damaged.nc", checked=True)
        except DamagedFileError:
            continue
        xr.testing.assert_identical(got, expected)


@pytest.mark.fast
def test_a_file_that_was_changed_is_refused_unless_it_says_so(tmp_path):
    write_dataset(tmp_path / "a.nc", everything())
    with h5py.File(tmp_path / "a.nc", "r+") as file:
        file["radius"][2] = -2.4e38
    with pytest.raises(DamagedFileError, match=r"a\.nc does not hold what was written"):
        read_dataset(tmp_path / "a.nc")
    with h5py.File(tmp_path / "a.nc", "r+") as file:
        del file.attrs["checksum"]
    assert read_dataset(tmp_path / "a.nc")["radius"][2] < -1e38
    with pytest.raises(DamagedFileError, match="no checksum"):
        read_dataset(tmp_path / "a.nc", checked=True)


def link(file):
    file["a"] = h5py.ExternalLink("/etc/passwd", "/a")


def soft(file):
    file["a"] = h5py.SoftLink("/b")


def group(file):
    file.create_group("a")["b"] = [1.0]


def raw(file):
    file.create_dataset("a", (4,), "u1", external=[("/etc/passwd", 0, 4)])


def virtual(file):
    layout = h5py.VirtualLayout((4,), "f8")
    layout[:] = h5py.VirtualSource("/tmp/other.h5", "a", (4,))
    file.create_virtual_dataset("a", layout)


def huge(file):
    file.create_dataset("a", (2**40,), "f8", chunks=(2**10,))


def attributes(file):
    file.attrs.create("a", ["x"] * 2000, dtype=h5py.string_dtype())


def undated(file):
    file["a"] = [1e300]
    file["a"].attrs["units"] = "seconds since the beginning"


HOSTILE = [link, soft, group, raw, virtual, huge, attributes, undated]


@pytest.mark.fast
@pytest.mark.parametrize("make", HOSTILE)
def test_hostile_files_are_refused_by_name(tmp_path, make):
    with h5py.File(tmp_path / "hostile.nc", "w") as file:
        make(file)
    with pytest.raises(ValueError, match=r"hostile\.nc cannot be read as netCDF-4"):
        read_dataset(tmp_path / "hostile.nc")


@pytest.mark.fast
def test_one_string_many_times_is_refused(tmp_path):
    with h5py.File(tmp_path / "hostile.nc", "w") as file:
        texts = ["x" * 3000] + [""] * 99
        start = file.create_dataset("a", data=texts, dtype=h5py.string_dtype()).id.get_offset()
    content = bytearray((tmp_path / "hostile.nc").read_bytes())
    content[start : start + 1600] = content[start : start + 16] * 100  # references of 16 bytes
    (tmp_path / "hostile.nc").write_bytes(content)
    with pytest.raises(ValueError, match=r"hostile\.nc .*repeats strings"):
        read_dataset(tmp_path / "hostile.nc")


@pytest.mark.fast
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.nc")
    for path in (tmp_path / "pipe.nc", tmp_path):
        with pytest.raises(ValueError, match=r"is a (pipe|folder)"):
            read_dataset(path)
    with pytest.raises(FileNotFoundError):
        read_dataset(tmp_path / "none.nc")


@pytest.mark.fast
def test_control_characters_do_not_come_out(tmp_path):
    bad = "\x1b]0;owned\x07\x9b2J\u202etxt"
    dataset = xr.Dataset(
        {"name": ("x", [bad])}, attrs={"title": bad, "list": [bad, "b"], "number": 1}
    )
    dataset["name"].attrs["long_name"] = bad
    dataset.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
    got = read_dataset(tmp_path / "a.nc")
    clean = "�]0;owned��2J�txt"
    assert got["name"].values.tolist() == [clean]
    assert got.attrs == {"title": clean, "list": [clean, "b"], "number": 1}
    assert got["name"].attrs == {"long_name": clean}
    write_dataset(tmp_path / "a.nc", dataset)
    assert read_dataset(tmp_path / "a.nc", checked=True).attrs["title"] == clean
    xr.Dataset(attrs={"\x1b[2J": 1}).to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match="invisible characters"):
        read_dataset(tmp_path / "b.nc")


def stored(folder, **changes):
    """A store with chunks of dimensions 8 and 16; returns its folder."""
    with chunk_store(folder, PROVENANCE | changes) as store:
        for dim, start in itertools.product((8, 16), (0, 4)):
            store.write({"dim": dim}, start, xr.Dataset({"a": ("seed", [float(dim + start)])}))
    return folder / "chunks" / "toy"


@pytest.mark.fast
def test_chunks_are_not_believed_for_their_names(tmp_path):
    folder, other = stored(tmp_path / "a"), stored(tmp_path / "b", root=1)
    with chunk_store(tmp_path / "a", PROVENANCE) as store:
        xr.testing.assert_identical(store.read({"dim": 16}, 4), xr.Dataset({"a": ("seed", [20.0])}))
        assert store.read({"dim": 32}, 0) is None
        store.path({"dim": 16}, 0).write_bytes(store.path({"dim": 8}, 0).read_bytes())
        with pytest.raises(StoreMismatchError, match=r"dim16-seed0\.nc.*point = .*8.*; now .*16"):
            store.read({"dim": 16}, 0)
        store.path({"dim": 8}, 0).write_bytes((other / "dim8-seed0.nc").read_bytes())
        with pytest.raises(StoreMismatchError, match=r"root = 1; now root = 0"):
            store.read({"dim": 8}, 0)
        write_dataset(store.path({"dim": 8}, 4), xr.Dataset({"a": ("seed", [12.0])}))  # nobody's
        with pytest.raises(StoreMismatchError, match=r"dim8-seed4\.nc belongs to another sweep"):
            store.read({"dim": 8}, 4)
        for number in ("", "1"):
            store.path({"dim": 16}, 4).write_bytes(b"damaged")
            with pytest.warns(UserWarning, match="made again"):
                assert store.read({"dim": 16}, 4) is None
            assert (folder / f"dim16-seed4.nc.damaged{number}").exists()


@pytest.mark.fast
@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b"3", b"{", b"[" * 10**5, b"\xff\xfe", b"{}" + b" " * 2**21]
)
def test_a_damaged_description_is_set_aside(tmp_path, content):
    folder = stored(tmp_path)
    (folder / "sweep.json").write_bytes(content)
    with (
        pytest.warns(UserWarning, match=r"sweep\.json cannot be read"),
        chunk_store(tmp_path, PROVENANCE) as store,
    ):
        assert store.read({"dim": 8}, 0) is not None
    assert json.loads((folder / "sweep.json").read_text()) == PROVENANCE
    assert (folder / "sweep.json.damaged").read_bytes() == content


@pytest.mark.fast
def test_a_pipe_in_place_of_a_chunk_is_set_aside(tmp_path):
    folder = stored(tmp_path)
    (folder / "dim8-seed0.nc").unlink()
    os.mkfifo(folder / "dim8-seed0.nc")
    with chunk_store(tmp_path, PROVENANCE) as store, pytest.warns(UserWarning, match="a pipe"):
        assert store.read({"dim": 8}, 0) is None


@pytest.mark.fast
def test_only_its_own_old_files_are_removed(tmp_path):
    folder = stored(tmp_path)
    partial = folder / PARTIAL_FOLDER
    partial.mkdir()
    (folder / ".ipynb_checkpoints").mkdir()
    old, young, notes = partial / f"a{PARTIAL}", partial / f"b{PARTIAL}", partial / "notes.txt"
    kept = [folder / ".gitignore", folder / ".bashrc", folder / ".dim8-seed0-x.nc", young, notes]
    for path in (*kept, old):
        path.write_text("mine")
    for path in (*kept, old):
        if path != young:
            os.utime(path, (time.time() - 7200,) * 2)
    with chunk_store(tmp_path, PROVENANCE) as store:
        store.write({"dim": 8}, 0, xr.Dataset())
    assert not old.exists()
    assert all(path.read_text() == "mine" for path in kept)
    assert (folder / ".ipynb_checkpoints").is_dir()


@pytest.mark.fast
def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "file.txt"
    write_atomically(path, lambda name: name.write_text("old"))

    def fail(name):
        name.write_text("half of the n")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, fail)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.fast
def test_a_full_disk_leaves_no_half_of_a_file(tmp_path):
    """Of the operating system: files may not grow, and HDF5 itself would not say so."""
    path = tmp_path / "a.nc"
    small, large = (xr.Dataset({"a": ("x", np.arange(float(n)))}) for n in (1, 10**4))
    write_dataset(path, small)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(OSError, match=r"File too large; .* and start again: '.*a\.nc'"):
            write_dataset(path, large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.fast
@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_truncated_chunk_is_set_aside(tmp_path, share):
    folder = stored(tmp_path)
    path = folder / "dim8-seed0.nc"
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with chunk_store(tmp_path, PROVENANCE) as store:
        with pytest.warns(UserWarning, match=r"dim8-seed0\.nc .* now called .*, and made again"):
            assert store.read({"dim": 8}, 0) is None
        assert store.read({"dim": 8}, 4) is not None
    assert (folder / "dim8-seed0.nc.damaged").stat().st_size == int(share * len(content))


@pytest.mark.fast
def test_a_locked_chunk_is_no_damaged_one(tmp_path):
    folder = stored(tmp_path)
    path = folder / "dim8-seed0.nc"
    with chunk_store(tmp_path, PROVENANCE) as store:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)  # as HDF5 does while it writes
            with pytest.raises(BlockingIOError, match=r"dim8-seed0\.nc"):
                store.read({"dim": 8}, 0)
        assert store.read({"dim": 8}, 0) is not None
    assert not list(folder.glob("*.damaged*"))


@pytest.mark.parametrize("error", [BlockingIOError(errno.EAGAIN, "locked"), MemoryError()])
def test_what_cannot_be_read_now_is_not_damaged(tmp_path, monkeypatch, error):
    """Another process may have locked it: its file stays where it is."""

    def fail(*_, **__):
        raise error

    with chunk_store(tmp_path, PROVENANCE) as store:
        store.write({"dim": 8}, 0, xr.Dataset({"a": 1.0}))
        with monkeypatch.context() as patched:
            patched.setattr(xr, "load_dataset", fail)
            with pytest.raises(OSError, match=r"dim8-seed0\.nc"):
                store.read({"dim": 8}, 0)
        assert store.read({"dim": 8}, 0) is not None


def test_more_strings_than_a_file_can_hold_are_not_read(tmp_path):
    with h5py.File(tmp_path / "many.nc", "w") as file:  # none of them was written
        file.create_dataset("names", (10**9,), h5py.string_dtype())
    with pytest.raises(DamagedFileError, match=r"many\.nc .*more strings than it can hold"):
        read_dataset(tmp_path / "many.nc")


@pytest.mark.fast
def test_files_beside_each_other_do_not_miss_the_folders_that_others_remove(tmp_path):
    def write(number):
        for _ in range(300):
            with computing(tmp_path, str(number)):
                write_atomically(tmp_path / str(number), Path.touch)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    remove_notes(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set("0123")
