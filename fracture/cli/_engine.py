"""Where chunks are computed: in this process, in others on this machine, or by Dask's workers."""

import contextlib
import importlib.util
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from .._packages import missing
from ._process import prepare_jax
from ._types import COUNT

if TYPE_CHECKING:
    from ..sweeps import Executor


def engines(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options --workers and --dask."""
    for option in (
        click.option("--dask", metavar="ADDRESS", help="Scheduler of Dask whose workers compute."),
        click.option("--workers", type=COUNT, help="Processes that compute.  [default: this one]"),
    ):
        command = option(command)
    return command


def engine(
    workers: int | None, dask: str | None
) -> contextlib.AbstractContextManager["Executor | None"]:
    """What computes chunks, once JAX is prepared here; None for this process."""
    if workers is not None and dask is not None:
        raise click.UsageError("--workers and --dask exclude each other.")
    if dask is not None and importlib.util.find_spec("distributed") is None:
        raise missing("distributed", "dask", "--dask needs it")
    return _executor(workers, dask)


@contextlib.contextmanager
def _executor(workers: int | None, dask: str | None) -> Iterator["Executor | None"]:
    flags = os.environ.get("XLA_FLAGS", "")
    if workers is not None:
        spawn = multiprocessing.get_context("spawn")  # JAX has threads, which no fork survives
        pool = ProcessPoolExecutor(workers, spawn, initializer=_prepare_process)
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
    elif dask is not None:
        from distributed import Client

        with Client(dask, timeout=10, set_as_default=False) as client:
            client.register_worker_callbacks(setup=partial(prepare_worker, flags))
            yield client.get_executor(pure=False)
    else:
        yield None


def prepare_worker(flags: str) -> None:
    """Prepare a process in which JAX has done nothing yet for chunks of the command line."""
    os.environ["XLA_FLAGS"] = flags  # as many devices as there
    prepare_jax(x64=True)


def _prepare_process() -> None:
    """Prepare a process that ends with its parent, however that one ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    prepare_jax(x64=True)
