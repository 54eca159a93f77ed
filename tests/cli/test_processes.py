"""Several processes of one sweep, each with its devices, on the loopback."""

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import xarray as xr

from fracture.sweeps import read_dataset

ROOT = Path(__file__).parents[2]


@pytest.fixture
def lengths(tmp_path, monkeypatch):
    """Start the command for a small claim of another package, on two devices."""
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")  # which the script sets too
    monkeypatch.setattr(sys, "path", sys.path[:])
    spec = importlib.util.spec_from_file_location("i", ROOT / "benchmarks" / "interruption.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    script.claim_of_another_package(tmp_path)
    flags = "--xla_force_host_platform_device_count=2 " + os.environ["XLA_FLAGS"]
    path = os.pathsep.join((str(ROOT), str(tmp_path)))
    environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": path}

    def start(out, *options):
        command = [sys.executable, "-m", "fracture", "reproduce", "lengths", "--out", str(out)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([*command, *options], env=environment, **pipes)

    return start


def test_two_processes_of_two_devices_give_the_bits_of_one(tmp_path, lengths):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    several = ["--coordinator", f"127.0.0.1:{port}", "--processes", "2", "--process"]
    started = [lengths(tmp_path / "two", *several, str(number)) for number in range(2)]
    started.append(lengths(tmp_path / "one"))
    said = [process.communicate(timeout=240) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    assert all("lengths, by all processes" in err for _, err in said[:2])
    assert said[1][0] == ""  # the first one prints, and draws the page
    assert (tmp_path / "two" / "index.html").exists()
    one, two = (read_dataset(tmp_path / name / "lengths.nc") for name in ("one", "two"))
    assert "--process 0" in two.attrs["command"]
    assert one.attrs["backend"] == "cpu x 2"
    timings = ["compile_seconds", "run_seconds"]
    one, two = (r.drop_vars(timings).assign_attrs(created="", command="") for r in (one, two))
    xr.testing.assert_identical(one, two)
