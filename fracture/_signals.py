"""Signals that end the command line: one line says so, and the exit code is 128 + n."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
_KEPT: list[str] = []  # what becomes of the work, if the process ends now
_BEFORE: dict[int, Any] = {}  # the handlers that were there, while others are


@contextlib.contextmanager
def keeping(what: str) -> Iterator[None]:
    """What a signal within the block says about the work that was done."""
    _KEPT.append(what)
    try:
        yield
    finally:
        _KEPT.remove(what)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """End the process at once, with one line, where a signal arrives within the block.

    No exception is raised: it would be lost in a callback of the garbage collector (JAX has one),
    in a finaliser or under a library's `except`, crashes modules of C that are being imported, and
    waits for programs that compile. What is stored is whole at every moment. Signals that the
    parent process chose to ignore (`nohup`) stay ignored.
    """
    if os.name != "posix" or threading.current_thread() is not threading.main_thread():
        yield
        return
    ending = threading.Lock()
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    numbers = [getattr(signal, name) for name in _ENDING]
    handlers = {number: signal.getsignal(number) for number in numbers}
    _BEFORE.update((n, old) for n, old in handlers.items() if old is not signal.SIG_IGN)
    waked = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    # The main thread runs handlers between two of its instructions, which may be a minute apart
    # where it computes; the pipe wakes another one.
    threading.Thread(target=_watch, args=(reading, tuple(_BEFORE), ending), daemon=True).start()
    try:
        for number in _BEFORE:
            signal.signal(number, lambda number, _: _end(number, ending))
        yield
    finally:
        _restore(waked)
        os.close(writing)  # which ends the other thread


def _restore(waked: int = -1) -> None:
    for number, handler in _BEFORE.items():
        signal.signal(number, handler)
    if _BEFORE:
        signal.set_wakeup_fd(waked)
    _BEFORE.clear()


if hasattr(os, "register_at_fork"):  # a signal to a child is none to this process
    os.register_at_fork(after_in_child=_restore)


def _watch(reading: int, numbers: tuple[int, ...], ending: threading.Lock) -> None:
    while received := os.read(reading, 1):
        if received[0] in numbers:
            _end(received[0], ending)
    os.close(reading)


def _end(number: int, ending: threading.Lock) -> None:
    if not ending.acquire(blocking=False):
        return  # the other thread is about to
    line = ": ".join(("Interrupted", *_KEPT[-1:])) + ".\n"
    with contextlib.suppress(OSError):  # after SIGHUP there may be no terminal
        if os.isatty(2):
            line = f"\x1b[?25h\n{line}"  # a progress bar hides the cursor
        terminal = os.dup(2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # other threads have no word after this one
        os.write(terminal, line.encode())
    os._exit(128 + number)
