"""Signals end the command line with one line and 128 + n, wherever they arrive."""

import os
import signal
import subprocess
import sys
import time

import pytest

START = """
import concurrent.futures, gc, time
from fracture._signals import interruptible
from fracture.cli._process import resumable
def ready():
    print("ready", flush=True)
with interruptible(), resumable():
"""
BODIES = {
    "waiting": "ready(); time.sleep(60)",
    # As in JAX: an exception in a callback of the garbage collector is printed and forgotten.
    "collecting": """
    first = [1]
    gc.callbacks.append(lambda *_: first and (first.pop(), ready(), time.sleep(60)))
    gc.collect()
    time.sleep(60)""",
    "caught": """
    while True:
        try:
            ready(); time.sleep(60)
        except BaseException:
            pass""",
    # As in XLA: the main thread is in C, without the interpreter's lock, and runs no handlers.
    "computing": """
    from hashlib import pbkdf2_hmac
    ready(); pbkdf2_hmac("sha256", b"", b"", 10**8)""",
    "compiling": """
    concurrent.futures.ThreadPoolExecutor().submit(time.sleep, 60)
    ready(); time.sleep(60)""",
}
STORED = "Interrupted: what was finished is stored, the same command goes on.\n"


def end(process, number):
    """Send a signal; returns exit code and standard error."""
    began = time.monotonic()
    process.send_signal(number)
    err = process.communicate(timeout=30)[1]
    assert time.monotonic() - began < 20  # the bodies would go on for a minute
    return process.returncode, err


@pytest.mark.fast
@pytest.mark.parametrize(
    ("body", "number"),
    [
        *((body, signal.SIGINT) for body in BODIES),
        ("waiting", signal.SIGTERM),
        ("collecting", signal.SIGHUP),
    ],
)
def test_a_signal_is_one_line_wherever_it_arrives(body, number):
    script = START + "    " + BODIES[body].strip() + "\n"
    heeded = f"import signal; signal.signal({int(number)}, signal.default_int_handler)\n"
    process = subprocess.Popen(  # which may run where the signal is ignored, as under nohup
        [sys.executable, "-c", heeded + script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "ready\n"
    assert end(process, number) == (128 + number, STORED)


@pytest.mark.fast
def test_a_signal_that_is_ignored_stays_ignored():
    script = (
        "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        + START
        + "    signal.raise_signal(signal.SIGHUP)\n"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


@pytest.mark.fast
def test_a_signal_to_a_child_is_none_to_its_parent():
    script = """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, b"!")
        time.sleep(60)
    os.read(reading, 1)
    os.kill(child, signal.SIGTERM)
    status = os.waitpid(child, 0)[1]
    time.sleep(0.3)
    assert os.WTERMSIG(status) == signal.SIGTERM"""
    script = "import os, signal\n" + START + "    " + script.strip() + "\n"
    assert subprocess.run([sys.executable, "-c", script]).returncode == 0


def test_the_command_says_that_what_was_finished_is_stored(tmp_path):
    command = [sys.executable, "-m", "fracture", "sweep", "--quick", "--out", str(tmp_path / "a")]
    environment = {**os.environ, "JAX_PLATFORMS": "cpu"}
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while not (tmp_path / "a" / "chunks").exists():
        assert process.poll() is None
        time.sleep(0.01)
    code, err = end(process, signal.SIGTERM)
    assert code == 128 + signal.SIGTERM
    assert err.endswith(STORED)
    assert "Traceback" not in err
