"""Signals that end the command line: one line says so, and the exit code is 128 + n."""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from typing import Any, NoReturn

_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
_AGAIN = 0.5  # seconds after which a signal that did not arrive is repeated


class Interrupted(BaseException):
    """Raised in the main thread by a signal; its arguments say what becomes of the work."""

    def __init__(self, number: int):
        super().__init__()
        self.number = number


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """End the process with one line where a signal arrives within the block.

    An exception that a signal raises is lost where nothing can catch it: in a callback of the
    garbage collector (JAX has one), in a finaliser, under a library's `except`. So the signal is
    repeated until it arrives here. Signals that the parent process chose to ignore (`nohup`) stay
    ignored.
    """
    if os.name != "posix" or threading.current_thread() is not threading.main_thread():
        yield
        return
    caught: list[int] = []
    hook = sys.unraisablehook

    def repeat(number: int) -> None:
        if signal.getsignal(number) is interrupt:  # the block has not ended meanwhile
            os.kill(os.getpid(), number)

    def interrupt(number: int, frame: Any) -> NoReturn:
        caught.append(number)
        again = threading.Timer(_AGAIN, repeat, (number,))
        again.daemon = True
        again.start()
        raise Interrupted(number)

    def report_lost(lost: Any) -> None:
        if not isinstance(lost.exc_value, Interrupted):  # that one comes again
            hook(lost)

    numbers = [getattr(signal, name) for name in _ENDING]
    handlers = {number: signal.getsignal(number) for number in numbers}
    before = {n: handler for n, handler in handlers.items() if handler is not signal.SIG_IGN}
    sys.unraisablehook = report_lost
    try:
        for number in before:
            signal.signal(number, interrupt)
        yield
    except Interrupted as error:
        _end(error.number, error.args)
    except BaseException:
        if caught:  # a library made another exception of it
            _end(caught[0], ())
        raise
    finally:
        sys.unraisablehook = hook
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(number: int, said: tuple[Any, ...]) -> NoReturn:
    """Without the interpreter's last steps, which wait for programs that still compile."""
    with contextlib.suppress(OSError, ValueError):  # after SIGHUP there may be no terminal
        sys.stdout.flush()
        sys.stderr.write(": ".join(("Interrupted", *said)) + ".\n")
        sys.stderr.flush()
    os._exit(128 + number)
