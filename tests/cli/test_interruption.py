"""Sweeps that are killed, and the processes that compute for them."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from fracture.sweeps import _notes

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "JAX_PLATFORMS": "cpu", "PYTHONPATH": str(ROOT)}


def test_killed_at_random_moments_it_ends_with_the_same_bits():
    script = [sys.executable, str(ROOT / "benchmarks" / "interruption.py"), "--kills", "20"]
    done = subprocess.run(script, env=ENVIRONMENT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("20 of 20 kills survived")


def test_workers_end_with_a_command_that_is_killed(tmp_path):
    command = [sys.executable, "-m", "fracture", "reproduce", "linear_points", "--dims", "4"]
    command += ["--workers", "1", "--out", str(tmp_path)]
    process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
    deadline, notes = time.monotonic() + 120, []
    while not notes:  # the worker compiles
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.01)
        found = tmp_path.glob(f"chunks/*/{_notes.NOTES}/*{_notes.COMPUTING}")
        notes = [note for note in map(_notes.read_note, found) if note]
    worker = int(notes[0]["pid"])
    assert worker != process.pid
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    while is_alive(worker):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True
