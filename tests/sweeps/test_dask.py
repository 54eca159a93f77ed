"""Dask's workers on the loopback, one of which is killed while it computes."""

import os
import signal
import subprocess
import sys
import time

import pytest
import xarray as xr
from distributed import Client
from traveling import SWEEP, make

from fracture import experiments
from fracture.sweeps import read_dataset, run

TIMINGS = ["compile_seconds", "run_seconds"]
WITHOUT = ["--no-dashboard", "--interface", "lo"]


@pytest.fixture
def scheduler(tmp_path):
    """The address of a scheduler with two workers, processes of their own."""
    file = tmp_path / "scheduler.json"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "JAX_PLATFORMS": "cpu"}

    def start(command, *options):
        module = f"distributed.cli.dask_{command}"
        called = [sys.executable, "-m", module, "--scheduler-file", str(file), *options]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(called, env=environment, cwd=file.parent, **quiet)

    started = [start("scheduler", "--port", "0", *WITHOUT)]
    options = ["--no-nanny", "--nthreads", "1", *WITHOUT]
    started += [start("worker", *options) for _ in range(2)]
    try:
        deadline = time.monotonic() + 120
        while not file.exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        with Client(scheduler_file=str(file), set_as_default=False) as client:
            client.wait_for_workers(2, timeout=120)
            yield client.scheduler.address
    finally:
        for process in started:
            process.kill()
        for process in started:
            process.wait()


def test_a_worker_that_is_killed_changes_no_bit_and_the_command_line_has_the_other(
    tmp_path, scheduler
):
    traces = tmp_path / "traces"
    traces.mkdir()
    sweep = make(folder=str(traces), fails="5 waits")
    killed = []

    def kill(*_):
        """Kill the worker that compiles the last dimension, for which it takes forever."""
        while not killed:
            time.sleep(0.01)
            killed.extend(int(path.name.split("-")[1]) for path in traces.glob("5-*"))
        if len(killed) == 1:
            os.kill(killed[0], signal.SIGKILL)
            killed.append(None)

    with Client(scheduler, set_as_default=False) as client:
        got = run(sweep, executor=client.get_executor(pure=False), out=tmp_path, progress=kill)
    assert len(killed) == 2
    assert len(list(traces.glob("5-*"))) == 2
    xr.testing.assert_identical(got.drop_vars(TIMINGS), run(SWEEP).drop_vars(TIMINGS))

    command = [sys.executable, "-m", "fracture", "reproduce", "linear_points", "--dims", "4,8"]
    command += ["--seeds", "20", "--out", str(tmp_path), "--dask", scheduler]
    flags = "--xla_force_host_platform_device_count=1 " + os.environ["XLA_FLAGS"]
    done = subprocess.run(command, env={**os.environ, "XLA_FLAGS": flags}, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert b"elsewhere" in done.stderr
    here = experiments.reproduce("linear_points", settings={"dim": (4, 8)}, seeds=20).dataset
    got = read_dataset(tmp_path / "linear_points.nc")
    xr.testing.assert_equal(got.drop_vars(TIMINGS), here.drop_vars(TIMINGS))
