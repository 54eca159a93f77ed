"""Several processes of one sweep, each with its devices, on the loopback."""

import importlib.util
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import xarray as xr
from processes import ended, free_address

from fracture.sweeps import read_dataset

ROOT = Path(__file__).parents[2]
UNLUCKY = '''
"""The same, but the second process has no luck, both of two have none, and one takes forever."""
import sys
import time
from . import lengths
from .lengths import *

def measure(key, shared, options, *, dim):
    if "--process 1" in " ".join(sys.argv) or "--processes 2" in " ".join(sys.argv):
        raise ArithmeticError("no luck")
    if "--processes 1" in " ".join(sys.argv):
        print("waits", file=sys.stderr, flush=True)
        time.sleep(200)
    return lengths.measure(key, shared, options, dim=dim)
'''


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Start the command for small claims of another package, on two devices."""
    folder = tmp_path_factory.mktemp("package")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_PLATFORMS", "cpu")  # which the script sets too
        patch.setattr(sys, "path", sys.path[:])
        spec = importlib.util.spec_from_file_location("i", ROOT / "benchmarks" / "interruption.py")
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        script.claim_of_another_package(folder)
        flags = "--xla_force_host_platform_device_count=2 " + os.environ["XLA_FLAGS"]
        path = os.pathsep.join((str(ROOT), str(folder)))
        environment = {**os.environ, "XLA_FLAGS": flags, "PYTHONPATH": path}
    (folder / "lengths_claims" / "unlucky.py").write_text(UNLUCKY.lstrip())
    for name in [name for name in environment if name.startswith(("SLURM_", "OMPI_", "KUBERN"))]:
        del environment[name]

    def start(out, *options):
        command = [sys.executable, "-m", "fracture", "reproduce", *options, "--out", str(out)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, env=environment, **pipes)

    return start


@pytest.fixture(scope="module")
def alone(tmp_path_factory, start):
    """What one process of two devices measures."""
    folder = tmp_path_factory.mktemp("alone")
    ended([start(folder, "lengths")], 0)
    return read_dataset(folder / "lengths.nc")


@pytest.mark.parametrize("count", [2, 4])
def test_processes_of_two_devices_give_the_bits_of_one(tmp_path, start, alone, count):
    """A second claim fails in one of the four, and another computes that; or in both of the two,
    which both say so when the first claim is complete.
    """
    group = ["--coordinator", free_address(), "--processes", str(count), "--process"]
    claims = "lengths", "unlucky"
    started = [start(tmp_path, *claims, *group, str(number)) for number in range(count)]
    fails = count == 2
    said = ended(started, *[2 if fails else 0] * count)
    assert all("lengths, by all processes" in err for _, err in said)
    if fails:
        line = "process 0: ArithmeticError: no luck, process 1: ArithmeticError: no luck"
        assert all("chunks of unlucky failed twice (d = 2, seeds 0 to" in err for _, err in said)
        assert all(line in err for _, err in said)
    else:
        assert (tmp_path / "index.html").exists()
        assert (tmp_path / "unlucky.nc").exists()
    assert all(out == "" for out, _ in said[1:])  # the first one prints, and draws the page
    together = read_dataset(tmp_path / "lengths.nc")
    assert "--process 0" in together.attrs["command"]
    assert alone.attrs["backend"] == "cpu x 2"
    timings = ["compile_seconds", "run_seconds"]
    one, other = (
        found.drop_vars(timings).assign_attrs(created="", command="") for found in (alone, together)
    )
    xr.testing.assert_identical(one, other)


def test_a_process_of_several_ends_when_it_is_told_to(tmp_path, start):
    """JAX's service for processes takes SIGTERM for a warning, unless told otherwise."""
    alone = ["--coordinator", free_address(), "--processes", "1", "--process", "0"]
    process = start(tmp_path, "unlucky", *alone)
    hangs = threading.Timer(240, process.kill)
    hangs.start()
    while "waits" not in process.stderr.readline():
        assert process.poll() is None
    hangs.cancel()
    process.terminate()
    ((_, err),) = ended([process], 128 + signal.SIGTERM)
    assert err.startswith("Interrupted: ")


def test_where_there_is_no_cluster_one_line_says_so(tmp_path, start):
    ((_, err),) = ended([start(tmp_path, "lengths", "--coordinator", "auto")], 2)
    assert "--coordinator auto needs a cluster that JAX knows" in err
    assert err.count("\n") == 1
