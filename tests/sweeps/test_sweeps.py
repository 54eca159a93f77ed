import dataclasses
import errno
import functools
import importlib.util
import os
import signal
import subprocess
import sys
import textwrap
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray as xr

from fracture.sweeps import (
    StoreMismatchError,
    Sweep,
    exclusive,
    read_dataset,
    run,
    run_each,
    status,
)
from fracture.sweeps._notes import NOTES
from fracture.sweeps._store import ChunkStore
from fracture.vocabulary import QUANTITIES, Quantity, Variable


class Cell(NamedTuple):
    draw: jax.Array
    pair: jax.Array


def cell(key, shared, *, dim):
    draw = jax.random.normal(key, (dim,))
    return Cell(jnp.linalg.vector_norm(draw), draw[:2] + shared)


NORM = Quantity("‖z‖", "length of the draw", "m")
VARIABLES = {
    "draw": Variable(NORM),
    "pair": Variable(Quantity("z", "the first two", "m"), ("coordinate",)),
}


def sweep(dims=(3, 5), **changes):
    options = {"seeds": (7, 4), "chunks": (3, 4), **changes}
    shared = lambda dim: jnp.float64(dim)
    return Sweep("toy", cell, {"dim": dims}, variables=VARIABLES, shared=shared, **options)


@pytest.mark.fast
def test_values_are_those_of_a_loop_over_cells():
    told = []
    got = run(sweep(), progress=lambda what, done, total: told.append(done))
    assert list(dict.fromkeys(told)) == [0, 3, 6, 7, 11]  # before and after every chunk
    assert got["draw"].dims == ("dim", "seed")
    assert got["pair"].dims == ("dim", "seed", "coordinate")
    assert got["draw"].attrs == NORM.attrs()
    assert got["dim"].attrs == QUANTITIES["dim"].attrs()
    for dim, seeds in ((3, 7), (5, 4)):
        for seed in range(seeds):
            expected = cell(sweep().cell_key({"dim": dim}, seed), jnp.float64(dim), dim=dim)
            np.testing.assert_allclose(got["draw"].sel(dim=dim, seed=seed), expected.draw)
            np.testing.assert_allclose(got["pair"].sel(dim=dim, seed=seed), expected.pair)
    assert got["draw"].sel(dim=5).isnull().sum() == 3
    assert (got["compile_seconds"] > 0).all()
    assert (got["run_seconds"] > 0).all()


def test_a_cell_may_take_the_number_of_its_seed():
    """Of a dimension with several chunks, the last of which is padded."""

    def numbered(key, shared, *, seed, dim):
        given = cell(key, shared, dim=dim)
        return given._replace(draw=given.draw + 100.0 * seed.astype(given.draw.dtype))

    plain, got = run(sweep()), run(dataclasses.replace(sweep(), cell=numbered, numbered=True))
    moved = plain["draw"].values + 100 * plain["seed"].values
    np.testing.assert_allclose(got["draw"], moved)
    np.testing.assert_array_equal(got["pair"], plain["pair"])


def test_draws_do_not_depend_on_chunks_or_on_other_cells():
    whole = run(sweep())
    np.testing.assert_array_equal(whole["draw"], run(sweep(chunks=(2, 1)))["draw"])
    fewer = run(sweep(seeds=(2, 2)))
    np.testing.assert_array_equal(whole["draw"].isel(seed=slice(2)), fewer["draw"])
    alone = run(sweep(dims=(5,), seeds=(4,), chunks=(4,)))
    np.testing.assert_array_equal(whole["draw"].sel(dim=5)[:4], alone["draw"].sel(dim=5))


def test_settings_of_the_calling_thread_hold():
    with jax.enable_x64(False):
        got = run(dataclasses.replace(sweep(), shared=lambda dim: np.float64(dim)))
    assert got.attrs["float"] == "float32"
    assert got["draw"].dtype == np.float32


def test_several_sweeps_are_those_one_by_one_and_let_go_of_their_folders(tmp_path):
    other = dataclasses.replace(sweep(), name="other")
    first, second = run_each([sweep(), other], out=tmp_path)
    xr.testing.assert_equal(first.drop_vars(TIMINGS), run(sweep()).drop_vars(TIMINGS))
    assert (first["draw"] != second["draw"]).any()  # the name enters the keys
    each = run_each([sweep(), other], out=tmp_path)
    xr.testing.assert_identical(next(each), first)  # as stored
    each.close()
    xr.testing.assert_identical(run(other, out=tmp_path), second)


@pytest.mark.parametrize("fault", ["cell", "shared", "store", "chunk"])
def test_a_sweep_that_fails_fails_in_its_turn(tmp_path, fault):
    def refuse(*_, **__):
        raise ArithmeticError("no")

    other = dataclasses.replace(sweep(), name="other")
    if fault in ("store", "chunk"):
        run(dataclasses.replace(other, root=1), out=tmp_path)
        if fault == "chunk":
            (tmp_path / "chunks" / "other" / "sweep.json").unlink()
    else:
        other = dataclasses.replace(other, **{fault: refuse})
    each = run_each([sweep(), other], out=tmp_path)
    first = next(each)
    with pytest.raises(ArithmeticError if fault in ("cell", "shared") else StoreMismatchError):
        next(each)
    xr.testing.assert_identical(run(sweep(), out=tmp_path), first)  # all chunks are there


def test_settings_of_the_calling_thread_hold_where_programs_run():
    def undefined(key, shared, *, dim):
        draw = jax.random.normal(key, (dim,)) * jnp.nan
        return Cell(draw[0], draw[:2])

    undefined_sweep = Sweep("toy", undefined, {"dim": (2,)}, 1, 1, VARIABLES)
    assert np.isnan(run(undefined_sweep)["draw"]).all()
    with jax.debug_nans(True), pytest.raises(Exception, match="'nan'"):
        run(undefined_sweep)


def test_goes_on_from_finished_chunks_with_the_same_bits(tmp_path):
    class Stop(Exception):
        pass

    def stop_after_two(what, done, total):
        if done >= 6:
            raise Stop

    with pytest.raises(Stop):
        run(sweep(), out=tmp_path, progress=stop_after_two)
    finished = [tmp_path / "chunks" / "toy" / f"dim3-seed{start}.nc" for start in (0, 3)]
    for path in set(tmp_path.glob("chunks/toy/*.nc")).difference(finished):
        path.unlink()  # it may have been a chunk or two ahead
    before = [path.stat().st_mtime_ns for path in finished]
    resumed = run(sweep(), out=tmp_path)
    assert [path.stat().st_mtime_ns for path in finished] == before
    xr.testing.assert_identical(resumed.drop_vars(TIMINGS), run(sweep()).drop_vars(TIMINGS))
    # A third run computes nothing: also the timings are those that were stored.
    xr.testing.assert_identical(resumed, run(sweep(), out=tmp_path))


TIMINGS = ["compile_seconds", "run_seconds"]


def test_nothing_computes_or_is_written_once_a_sweep_was_left(tmp_path, monkeypatch):
    began = []

    def slow(key, shared, *, dim):
        def wait(draw):
            began.append(dim)
            time.sleep(0.2)
            return draw

        like = jax.ShapeDtypeStruct((), jnp.float32)
        draw = jax.pure_callback(
            wait, like, jax.random.normal(key, (), like.dtype), vmap_method="sequential"
        )
        return Cell(draw, draw * jnp.ones(2, jnp.float32))

    def leave(what, done, total):
        if done:
            raise KeyboardInterrupt

    def write(*chunk):
        try:
            with exclusive(tmp_path / "chunks" / "toy"):
                held.append(False)
        except BlockingIOError:
            held.append(True)
        original(*chunk)

    held, original = [], ChunkStore.write
    monkeypatch.setattr(ChunkStore, "write", write)
    slow_sweep = Sweep("toy", slow, {"dim": (2,)}, 12, 2, VARIABLES)
    with pytest.raises(KeyboardInterrupt):
        run(slow_sweep, out=tmp_path, progress=leave)
    assert held
    assert all(held)
    assert not list(tmp_path.rglob(NOTES))
    files, calls = sorted(tmp_path.rglob("*")), len(began)
    assert any(path.suffix == ".nc" for path in files)  # what was under way is finished
    time.sleep(0.5)
    assert sorted(tmp_path.rglob("*")) == files
    assert len(began) == calls


@pytest.mark.parametrize("dtype", [jnp.complex64, jnp.complex128])
def test_complex_numbers_come_back_with_the_same_bits(tmp_path, recwarn, dtype):
    def turn(key, shared, *, dim):
        return Cell(jax.random.normal(key, (), dtype), jax.random.normal(key, (dim,), dtype))

    complex_sweep = Sweep("toy", turn, {"dim": (2,)}, 3, 2, VARIABLES, lambda dim: 0.0)
    first, again = (run(complex_sweep, out=tmp_path) for _ in range(2))
    assert first["pair"].dtype == dtype
    xr.testing.assert_identical(again, first)
    assert not list(tmp_path.rglob("*.damaged*"))
    assert not recwarn.list


def test_another_sweep_in_the_same_folder_is_refused(tmp_path):
    run(sweep(), out=tmp_path)
    with pytest.raises(StoreMismatchError, match=r"seeds = \[7, 4\].*now.*seeds = \[8, 4\]"):
        run(sweep(seeds=(8, 4)), out=tmp_path)


def test_a_damaged_chunk_is_set_aside_and_computed_again(tmp_path):
    whole = run(sweep(), out=tmp_path)
    folder = tmp_path / "chunks" / "toy"
    content = (folder / "dim3-seed3.nc").read_bytes()
    (folder / "dim3-seed3.nc").write_bytes(b"not netCDF")
    with pytest.warns(UserWarning, match=r"dim3-seed3\.nc cannot .* dim3-seed3\.nc\.damaged,"):
        again = run(sweep(), out=tmp_path)
    assert (folder / "dim3-seed3.nc.damaged").read_bytes() == b"not netCDF"
    xr.testing.assert_identical(again.drop_vars(TIMINGS), whole.drop_vars(TIMINGS))
    # Without the description of the sweep, its chunks still know whose they are.
    (folder / "sweep.json").unlink()
    with pytest.raises(StoreMismatchError, match=r"dim3-seed0\.nc.*root = 0; now root = 1"):
        run(sweep(root=1), out=tmp_path)
    (folder / "sweep.json").unlink()
    (folder / "dim3-seed0.nc").write_bytes(content)  # another chunk of the same sweep
    with pytest.raises(StoreMismatchError, match=r"chunk_start = 3; now chunk_start = 0"):
        run(sweep(), out=tmp_path)


@pytest.mark.parametrize(
    ("number", "says"),
    [(errno.ENOSPC, "No space .*; make room, and"), (errno.EACCES, "Permission denied; make it")],
)
def test_what_cannot_be_written_is_named_and_what_was_finished_stays(
    tmp_path, monkeypatch, number, says
):
    replace = os.replace

    def fail(unfinished, path):
        if path.name == "dim3-seed6.nc":
            raise OSError(number, os.strerror(number))
        replace(unfinished, path)

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", fail)
        with pytest.raises(OSError, match=rf"{says}.*start again: '.*dim3-seed6\.nc'"):
            run(sweep(), out=tmp_path)
    (failed,) = status(tmp_path)[0].remarks
    assert failed[:2] == ("dim3-seed6", "failed")
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("chunks/toy/*.nc")}
    assert {"dim3-seed0.nc", "dim3-seed3.nc"} <= {path.name for path in times}
    resumed = run(sweep(), out=tmp_path)
    assert {path: path.stat().st_mtime_ns for path in times} == times
    xr.testing.assert_identical(resumed.drop_vars(TIMINGS), run(sweep()).drop_vars(TIMINGS))


def test_a_sweep_that_another_process_runs_is_not_touched(tmp_path):
    with (
        exclusive(tmp_path / "chunks" / "toy"),
        pytest.raises(BlockingIOError, match="another process is writing to"),
    ):
        run(sweep(), out=tmp_path)


@pytest.mark.parametrize(
    "changes",
    [
        {"dims": ()},
        {"dims": (3, 3)},
        {"dims": (3, 0)},
        {"seeds": (1,)},
        {"seeds": (0, 1)},
        {"chunks": (0, 2)},
    ],
)
def test_wrong_axes_are_refused(changes):
    with pytest.raises(ValueError, match=next(iter(changes)).removesuffix("s")):
        sweep(**changes)


def turned(key, shared, *, angle, sign):
    return Cell(
        shared * angle * jax.random.uniform(key), jnp.full(2, {"plus": 1, "minus": -1}[sign])
    )


def test_axes_are_any_and_several(tmp_path):
    """The first may be a length of time or an angle, and a factor words."""
    axes = {"angle": (0.5, 0.25, 2.0), "sign": ("plus", "minus")}
    several = Sweep("toy", turned, axes, (2, 3, 1), 2, VARIABLES, lambda angle, sign: 2.0)
    got = run(several, out=tmp_path)
    assert got["draw"].dims == ("angle", "sign", "seed")
    assert got["pair"].dims == ("angle", "sign", "seed", "coordinate")
    assert got["angle"].values.tolist() == [0.5, 0.25, 2.0]
    assert got["sign"].values.tolist() == ["plus", "minus"]
    assert got.attrs["axes"].tolist() == ["angle", "sign"]
    assert got["draw"].notnull().sum(["sign", "seed"]).values.tolist() == [4, 6, 2]
    for point in several.points():
        uniform = jax.random.uniform(several.cell_key(point, 0))
        np.testing.assert_allclose(got["draw"].sel(point)[0], 2 * point["angle"] * uniform)
    assert (got["pair"].sel(sign="minus").dropna("seed") == -1).all()
    again = run(several, out=tmp_path)
    xr.testing.assert_identical(again, got)
    xr.testing.assert_equal(read_dataset(tmp_path / "toy.nc"), got)
    assert len(list((tmp_path / "chunks" / "toy").glob("angle0.25-signminus-seed*.nc"))) == 2
    # As NumPy has them, they are the same values.
    numpy = dataclasses.replace(several, axes=axes | {"angle": tuple(np.array(axes["angle"]))})
    assert numpy.points() == several.points()
    assert numpy.provenance() == several.provenance()


@pytest.mark.fast
@pytest.mark.parametrize(
    "axes",
    [
        {"word": ("a/../../b", "c")},
        {"word": ("x", "x-b1")},
        {"word": ("", "x")},
        {"angle": (0.5, float("nan"))},
        {"angle": (1, 1.0)},
        {"angle": (True, 2)},
        {"mixed": ("one", 2)},
        {"two words": (1, 2)},
        {"seed": (1, 2)},
        {},
    ],
)
def test_axes_that_files_and_keys_cannot_have_are_refused(axes):
    with pytest.raises(ValueError, match=next(iter(axes), "axes")):
        Sweep("toy", cell, axes, 1, 1, VARIABLES)


@pytest.mark.fast
def test_keys_of_negative_and_of_large_numbers():
    points = [{"a": value} for value in (-1, 2**32, 2**40, 0.5, "word", 1)]
    keys = [jax.random.key_data(sweep().cell_key(point, 0)).tolist() for point in points]
    assert len({str(key) for key in keys}) == len(points)


def test_a_cell_that_fails_leaves_the_folder_to_others(tmp_path):
    def fails(key, shared, *, dim):
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        run(dataclasses.replace(sweep(), cell=fails, options={"steps": -3}), out=tmp_path)
    run(sweep(dims=(3,), seeds=1, chunks=1), out=tmp_path)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../..", "a/b", "a\\b", "/tmp/a", ".bashrc", "a..b", "a\n", "a" * 101]
)
def test_names_that_leave_the_folder_are_refused(name):
    with pytest.raises(ValueError, match="name of a sweep"):
        dataclasses.replace(sweep(), name=name)


def test_fields_without_a_label_are_refused():
    unlabelled = Sweep("toy", cell, {"dim": (2,)}, 1, 1, {"draw": Variable(NORM)}, lambda dim: 0.0)
    with pytest.raises(ValueError, match=r"fields \['draw'\], got \['draw', 'pair'\]"):
        run(unlabelled)


SCRIPT = """
    import sys, time
    from pathlib import Path
    import jax
    sys.path.insert(0, {tests!r})
    jax.config.update("jax_enable_x64", True)
    from test_sweeps import run, sweep
    assert len(jax.devices()) == {devices}
    run(sweep(), out=Path({out!r}), progress=lambda *_: time.sleep({pause}))
"""


def count(folder):
    return len(list(folder.glob("dim*.nc")))


def start(out, *, devices=1, pause=0.0):
    tests = os.path.dirname(__file__)
    script = textwrap.dedent(SCRIPT).format(tests=tests, out=str(out), devices=devices, pause=pause)
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    return subprocess.Popen([sys.executable, "-c", script], env=environment)


def test_killed_again_and_again_it_ends_with_the_same_bits(tmp_path):
    folder = tmp_path / "chunks" / "toy"
    for finished in (0, 1, 3):
        process = start(tmp_path, devices=jax.device_count(), pause=0.3)
        deadline = time.monotonic() + 120
        while not (folder / "sweep.json").exists() or count(folder) < finished:
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        assert finished <= count(folder) < 4
    resumed = run(sweep(), out=tmp_path)
    xr.testing.assert_equal(resumed.drop_vars(TIMINGS), run(sweep()).drop_vars(TIMINGS))


def test_eight_devices_give_the_draws_of_one(tmp_path):
    assert start(tmp_path, devices=8).wait() == 0
    chunks = sorted(tmp_path.glob("chunks/toy/*.nc"))
    whole = run(sweep())
    assert len(chunks) == 4
    for path in chunks:
        with xr.open_dataset(path, engine="h5netcdf") as chunk:
            expected = whole["draw"].sel(dim=chunk["dim"], seed=chunk["seed"])
            np.testing.assert_allclose(chunk["draw"], expected, rtol=1e-12)


def test_the_result_is_left_beside_its_chunks_and_a_bar_is_one_word(tmp_path, capfd):
    got = run(sweep(), out=tmp_path, progress=True)
    stored = read_dataset(tmp_path / "toy.nc")
    stored.attrs["axes"] = np.atleast_1d(stored.attrs["axes"])  # netCDF has no list of one
    xr.testing.assert_identical(stored, got)
    said = capfd.readouterr()
    assert said.out == ""
    assert "[0/11] toy, d = 3" in said.err
    assert said.err.endswith("[11/11] toy\n")
    run(sweep(), progress=False)
    assert capfd.readouterr().err == ""


def test_a_sweep_is_of_the_code_of_its_cell(tmp_path):
    """Not of what is said about it."""
    text = 'scale = {}  # Said\ndef cell(key, shared, *, dim):\n    """Said."""\n    return scale\n'

    def code(text, of=lambda cell: cell):
        path = tmp_path / "mine.py"
        path.write_text(text)
        spec = importlib.util.spec_from_file_location("mine", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        sweep = Sweep("s", of(module.cell), {"dim": (2,)}, seeds=1, chunks=1, variables={})
        path.write_text("")  # what is edited meanwhile does not compute
        return sweep.provenance()["code"]

    same = code(text.format(1))
    assert code(text.format(1).replace("Said", "Told")) == same
    assert code(text.format(1), lambda cell: jax.jit(functools.partial(cell, shared=()))) == same
    apart = [
        same,
        code(text.format(2)),
        code(text.format(1).replace("return", "return -")),
        code("cell = lambda key, shared, *, dim: 1"),
        code("cell = lambda key, shared, *, dim: 2"),
    ]
    assert len(set(apart)) == len(apart)
