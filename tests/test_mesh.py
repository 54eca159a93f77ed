"""Inputs that several processes share, as docs/engines/with_mesh.py does: the bits of one."""

import os
import subprocess
import sys
from pathlib import Path

from processes import ended, free_address

ROOT = Path(__file__).parents[1]


def start(devices, *arguments):
    flags = f"--xla_force_host_platform_device_count={devices} {os.environ.get('XLA_FLAGS', '')}"
    path = os.pathsep.join((str(ROOT), *sys.path))
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu", "PYTHONPATH": path}
    command = [sys.executable, ROOT / "docs" / "engines" / "with_mesh.py", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, **pipes)


def test_two_processes_of_two_devices_give_the_bits_of_one_with_four():
    address = free_address()
    said = ended([start(4), *(start(2, address, "2", number) for number in "01")], 0, 0, 0)
    # Gloo's threads write to the same pipe, sometimes half a line each; what is measured comes
    # after them, in whole lines.
    one, *two = (
        [line for line in out.splitlines() if line.startswith(("radii ", "ratios "))]
        for out, _ in said
    )
    assert [line.split()[0] for line in one] == ["radii", "ratios"]
    assert all(len(line.split()) == 17 for line in one)
    assert two == [one, one]
