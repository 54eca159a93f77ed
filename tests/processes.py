"""Several processes of a test, on the loopback."""

import socket

import pytest


def free_address():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


def ended(processes, *codes):
    """What each process printed, and said on standard error."""
    try:
        said = [process.communicate(timeout=240) for process in processes]
    finally:
        for process in processes:
            process.kill()
    if [process.returncode for process in processes] != list(codes):
        each = zip(processes, said, strict=True)
        listed = [f"exit code {p.returncode}:\n{out}{err}" for p, (out, err) in each]
        pytest.fail("\n".join(listed), pytrace=False)  # whole: of what is asserted, the end is cut
    return said
