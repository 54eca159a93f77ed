"""Chunks that travel: the bits of a run at home, whoever computes them."""

import contextlib
import dataclasses
import functools
import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import jax
import numpy as np
import pytest
import xarray as xr
from traveling import SWEEP, make

from fracture import experiments
from fracture.sweeps import (
    FailedChunksError,
    _executor,
    _group,
    _run,
    _spec,
    chunk_store,
    exclusive,
    run,
    run_each,
)
from fracture.sweeps._chunk import chunks
from fracture.sweeps._notes import FAILED, NOTES, note_failure, read_note
from fracture.sweeps._store import ChunkStore

TIMINGS = ["compile_seconds", "run_seconds"]


@pytest.fixture(scope="module")
def expected():
    return run(SWEEP).drop_vars(TIMINGS)


@pytest.fixture
def threads():
    """An executor without other processes: what travels is the same."""
    with ThreadPoolExecutor(2) as pool:
        yield pool


def test_other_processes_compute_the_same_bits_and_compile_once(tmp_path, expected):
    (tmp_path / "traces").mkdir()
    traced = make(folder=str(tmp_path / "traces"))
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        xr.testing.assert_identical(run(SWEEP, executor=pool).drop_vars(TIMINGS), expected)
        got = run(traced, executor=pool, out=tmp_path)
    xr.testing.assert_identical(got.drop_vars(TIMINGS), expected)
    compiled = [path.name.split("-") for path in (tmp_path / "traces").iterdir()]
    assert len({(dim, pid) for dim, pid, _ in compiled}) == len(compiled)
    assert str(os.getpid()) not in {pid for _, pid, _ in compiled}
    assert len(list(tmp_path.glob("chunks/toy/dim*.nc"))) == 4
    assert not (tmp_path / "chunks" / "toy" / NOTES).exists()
    xr.testing.assert_identical(run(make(), out=tmp_path), got)  # goes on at home: all is there


def test_of_more_points_than_a_worker_keeps_each_compiles_once(tmp_path, monkeypatch):
    monkeypatch.setattr(_executor, "_KEPT", 2)
    kept = functools.lru_cache(maxsize=2)(_executor._program.__wrapped__)
    monkeypatch.setattr(_executor, "_program", kept)
    sweep = make(folder=str(tmp_path), dims=(2, 3, 4, 5, 6), seeds=6, chunks=2)
    with ThreadPoolExecutor(1) as worker:
        run(sweep, executor=worker)
    compiled = sorted(path.name.split("-")[0] for path in tmp_path.iterdir())
    assert compiled == ["2", "3", "4", "5", "6"]


@pytest.mark.fast
def test_a_worker_that_outlives_its_caller_writes_nothing(tmp_path, monkeypatch):
    """While it computes, the caller ends, and another one begins with other options."""
    old, new = make(), make(root=1)
    with contextlib.ExitStack() as caller, contextlib.ExitStack() as another:
        store = caller.enter_context(chunk_store(tmp_path, old.provenance()))
        task, *_ = _executor._tasks(_executor.Begun(old, store, {}, list(chunks(old))))

        def finished(*_):
            caller.close()
            another.enter_context(chunk_store(tmp_path, new.provenance()))
            return xr.Dataset()

        monkeypatch.setattr(_executor, "finished", finished)
        answer = _executor.compute_chunk(task)
        assert (answer.stored, answer.error) == (False, "")
        assert list(tmp_path.rglob("*.nc")) == []


@pytest.mark.parametrize("seen", [True, False])
def test_chunks_are_stored_by_whoever_sees_the_folder(
    tmp_path, expected, threads, monkeypatch, seen
):
    wrote = []
    write = ChunkStore.write
    monkeypatch.setattr(ChunkStore, "is_seen", lambda store: seen)
    monkeypatch.setattr(ChunkStore, "write", lambda *args: wrote.append(args) or write(*args))
    got = run(SWEEP, executor=threads, out=tmp_path)
    xr.testing.assert_identical(got.drop_vars(TIMINGS), expected)
    assert len(wrote) == 4
    monkeypatch.undo()
    xr.testing.assert_identical(run(SWEEP, out=tmp_path), got)


def test_settings_of_the_caller_hold_in_workers(threads):
    with jax.enable_x64(False):
        narrow = run(SWEEP, executor=threads)
    assert narrow["draw"].dtype == np.float32
    assert run(SWEEP, executor=threads)["draw"].dtype == np.float64


@pytest.mark.parametrize("fails", ["5 once", "5"])
def test_a_chunk_that_fails_is_tried_again_and_the_others_go_on(tmp_path, threads, fails):
    (tmp_path / "traces").mkdir()
    sweeps = [make(folder=str(tmp_path / "traces"), fails=fails), make(name="other")]
    folder = tmp_path / "chunks" / "toy"
    each = run_each(sweeps, executor=threads, out=tmp_path)
    if fails == "5":
        assert next(each).attrs["experiment"] == "other"
        with pytest.raises(FailedChunksError, match=r"toy .*d = 5, seeds 0 to 3: Arith"):
            next(each)
        note = read_note(folder / NOTES / f"dim5-seed0{FAILED}")
        assert note["error"].startswith("ArithmeticError: no luck (on ")
        assert len(list(folder.glob("dim3-*.nc"))) == 3
        each = run_each([make(), make(name="other")], executor=threads, out=tmp_path)
    assert [one.attrs["experiment"] for one in each] == ["toy", "other"]
    assert not (folder / NOTES).exists()


def test_what_is_not_submitted_in_time_is_not_computed(tmp_path, threads):
    """Whoever closes the generator waits for nothing but what runs."""
    each = run_each([make(), make(name="other")], executor=threads, out=tmp_path)
    next(each)
    each.close()
    with exclusive(tmp_path / "chunks" / "other"):
        pass


@pytest.mark.fast
def test_a_worker_with_another_sweep_says_what_differs(threads):
    with pytest.raises(FailedChunksError, match=r"another sweep .*root = 1; now root = 0"):
        run(make(claimed={"root": 1}), executor=threads)
    with pytest.raises(FailedChunksError, match=r"cell = other, code = .*; now cell = cell"):
        run(make(claimed={"other_cell": True}), executor=threads)


class Later:
    """As of submitit: no future of Python's, and nothing that can be cancelled."""

    def __init__(self, function, argument):
        self.asked, self.call = 0, lambda: function(argument)

    def done(self):
        self.asked += 1
        return self.asked > 2

    def result(self):
        return self.call()


class Resembling:
    submit = staticmethod(Later)


def test_whatever_submits_is_an_executor(expected):
    said = []
    got = run(SWEEP, executor=Resembling(), progress=lambda *what: said.append(what))
    xr.testing.assert_identical(got.drop_vars(TIMINGS), expected)
    assert [done for _, done, _ in said][-1] == 11
    assert {total for *_, total in said} == {11}
    assert said[0][0] == "toy, d = 3, elsewhere"


class Dying:
    """Its workers die, as of a pool of processes for which the memory is too small."""

    def __init__(self):
        self.submitted = []

    def submit(self, function, argument):
        if len(self.submitted) == 4:
            raise BrokenExecutor("a child process terminated abruptly")
        self.submitted.append(Future())
        self.submitted[-1].set_exception(BrokenExecutor())
        return self.submitted[-1]


@pytest.mark.fast
def test_an_executor_that_breaks_is_one_line():
    with pytest.raises(ChildProcessError, match=r"is broken, .* terminated abruptly\)\."):
        run(SWEEP, executor=Dying())


@pytest.mark.fast
@pytest.mark.parametrize(
    "changes", [{"root": 1}, {"cell": lambda key, shared, dim: None}, {"cell": max}]
)
def test_a_sweep_that_cannot_be_imported_is_refused(threads, changes):
    with pytest.raises(ValueError, match="other processes cannot make the sweep toy"):
        run(dataclasses.replace(SWEEP, **changes), executor=threads)


@pytest.mark.fast
def test_a_folder_at_which_another_process_is_stays_untouched(tmp_path, threads):
    with (
        exclusive(tmp_path / "chunks" / "toy"),
        pytest.raises(BlockingIOError, match="another process is writing to"),
    ):
        run(SWEEP, executor=threads, out=tmp_path)


def test_a_script_is_imported_by_its_file(tmp_path):
    """What `python script.py` runs is called __main__ there, and only there."""
    (tmp_path / "script.py").write_text(SCRIPT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, env=environment, check=True)


SCRIPT = """
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
import jax.numpy as jnp
from traveling import Cell, VARIABLES
from fracture.sweeps import Sweep, run

def cell(key, shared, *, dim):
    return Cell(1.0 * dim, jnp.zeros(2) + shared)

SWEEP = Sweep("toy", cell, {"dim": (3,)}, 2, 2, VARIABLES, lambda dim: 3.0)

if __name__ == "__main__":
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        assert (run(SWEEP, executor=pool)["draw"] == 3).all()
"""


class Noting:
    """Computes nothing."""

    def __init__(self):
        self.tasks = []

    def submit(self, function, task):
        self.tasks.append(task)
        return Resembling.submit(lambda _: _executor.Answer(None, False, "no"), task)


def test_every_claim_travels():
    """A worker makes the same sweep from what is sent, whatever the settings were given as."""
    executor, plan = Noting(), {name: {} for name in experiments.names()}
    plan["linear_hypercube"] = {"layers": "2", "dim": np.array([8, 16])}
    with pytest.raises(FailedChunksError):
        list(experiments.reproduce_each(plan, size="quick", root=3, executor=executor))
    sent = {task.sweep for task in executor.tasks}
    assert len(sent) == len(plan)
    made = [_executor._sweep(one) for one in sent]
    assert {sweep.root for sweep in made} == {3}


class Service:
    """What JAX connects processes by, and what another process said there."""

    def __init__(self, **said):
        self.said = said

    def key_value_set(self, key, value, *, allow_overwrite):
        self.said[key] = value

    def key_value_dir_get(self, folder):
        return [(key, value) for key, value in self.said.items() if key.startswith(folder)]


@pytest.fixture
def second_of_two(monkeypatch):
    """Be the second of two processes; what is told stands in the result."""
    service = Service()
    monkeypatch.setattr(_group, "_service", lambda: service)
    monkeypatch.setattr(_run, "next_run", lambda: "run")
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    return service.said


NAMES = [f"dim{dim}-seed{start}" for dim, start in ((3, 0), (3, 3), (3, 6), (5, 0))]


@pytest.fixture
def whole(tmp_path):
    """The folder of a sweep, with all that the first of two processes computes."""
    run(SWEEP, out=tmp_path)
    for name in NAMES[1::2]:
        (tmp_path / "chunks" / "toy" / f"{name}.nc").unlink()
    return tmp_path


def test_one_of_several_processes_computes_each_second_chunk(whole, expected, second_of_two):
    with pytest.raises(ValueError, match="several processes need a folder"):
        run(SWEEP)
    folder = whole / "chunks" / "toy"
    second_of_two.clear()
    with exclusive(folder):  # the other process is at it
        got = run(SWEEP, out=whole)
    xr.testing.assert_identical(got.drop_vars(TIMINGS), expected)
    assert second_of_two == {}
    # What is the other's is waited for, until it says that it failed; an old note says nothing.
    (folder / f"{NAMES[2]}.nc").unlink()
    note_failure(folder, NAMES[2], "of an earlier run")
    second_of_two["run/toy/failed/0"] = "it could not begin"
    with pytest.raises(FailedChunksError, match=r"of toy failed \(process 0: it could not"):
        run(SWEEP, out=whole)
    # A chunk that failed there is computed here.
    second_of_two.clear()
    second_of_two["run/toy/0-6/0"] = "ArithmeticError: no luck"
    got = run(SWEEP, out=whole)
    xr.testing.assert_identical(got.drop_vars(TIMINGS), expected)
    assert list(second_of_two) == ["run/toy/0-6/0"]
    # Of one that stops early the others await nothing.
    second_of_two.clear()
    each = run_each([SWEEP, make(name="later")], out=whole)
    assert next(each).attrs["experiment"] == "toy"
    each.close()
    assert second_of_two == {"run/later/failed/1": "it ended before the others"}


def test_who_cannot_do_its_share_tells_the_others_and_goes_on(tmp_path, whole, second_of_two):
    """Of a sweep that cannot begin nothing is awaited; of one that failed, all that did not."""
    (tmp_path / "traces").mkdir()
    unlucky = make(name="unlucky", folder=str(tmp_path / "traces"), fails="3")
    held = make(name="held")
    failing = [f"run/unlucky/{chunk}" for chunk in ("0-0", "0-3", "0-6")]
    told = {f"{about}/0": "ArithmeticError: none here" for about in failing}
    second_of_two.update(told)
    each = run_each([unlucky, SWEEP, held], out=whole)
    with exclusive(whole / "chunks" / "held", process=1):
        assert next(each).attrs["experiment"] == "toy"
        mine = {f"{about}/1": "ArithmeticError: no luck" for about in failing}
        gone = {"run/held/failed/1": "it could not begin, its own error says why"}
        assert second_of_two == {**told, **mine, **gone}
        with pytest.raises(BlockingIOError):
            next(each)
    assert [path.stem for path in (whole / "chunks" / "unlucky").glob("*.nc")] == ["dim5-seed0"]
    said = r"3 chunks of unlucky failed twice \(.*seeds 0 to 2: process 0: .*none here, process 1"
    with pytest.raises(FailedChunksError, match=said) as failed:
        run(unlucky, out=whole)
    assert isinstance(failed.value.__cause__.__cause__, ArithmeticError)


def test_a_folder_that_is_not_that_of_the_others_is_told(whole, second_of_two, monkeypatch):
    monkeypatch.setattr(_run, "_PATIENCE", 0)
    (whole / "chunks" / "toy" / f"{NAMES[2]}.nc").unlink()
    second_of_two["run/toy/holder/0"] = "a token that stands in no note"
    with pytest.raises(FailedChunksError, match=r"process 1: .*toy is not the folder of"):
        run(SWEEP, out=whole)
    assert "run/toy/failed/1" in second_of_two


@pytest.mark.fast
def test_what_voids_no_stored_chunk_is_there():
    package = Path(_spec.__file__).parents[1]
    assert all((package / name).exists() for name in _spec._CONCLUDING)
