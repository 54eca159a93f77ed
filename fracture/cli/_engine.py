"""Where chunks are computed: here, in processes of this machine, by Dask, by a group of equals."""

import contextlib
import functools
import importlib.util
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from .._packages import missing
from ._process import prepare_jax
from ._types import COUNT

if TYPE_CHECKING:
    from ..sweeps import Executor

_OPTIONS = (
    click.option("--workers", type=COUNT, help="Processes that compute.  [default: this one]"),
    click.option("--dask", metavar="ADDRESS", help="Scheduler of Dask whose workers compute."),
    click.option(
        "--coordinator",
        metavar="HOST:PORT|auto",
        help="This is one of several processes, which compute one sweep into one folder: where the "
        "first of them listens; auto where JAX finds out, as under Slurm.",
    ),
    click.option("--processes", type=COUNT, help="How many processes there are."),
    click.option("--process", type=click.IntRange(0), help="Which of them this is, from 0."),
)


class Engine(NamedTuple):
    """What was asked for."""

    workers: int | None
    dask: str | None
    coordinator: str | None
    processes: int | None
    process: int | None


def engines(command: Callable[..., None]) -> Callable[..., None]:
    """The options of an `Engine`, which the command takes as `engine`."""

    @functools.wraps(command)
    def with_engine(**options: Any) -> None:
        engine = Engine(*(options.pop(name) for name in Engine._fields))
        _check(engine)
        command(**options, engine=engine)

    for option in reversed(_OPTIONS):
        with_engine = option(with_engine)
    return with_engine


def _check(engine: Engine) -> None:
    if sum(one is not None for one in engine[:3]) > 1:
        raise click.UsageError("--workers, --dask and --coordinator exclude each other.")
    by_hand = engine.coordinator not in (None, "auto")
    if any((number is not None) != by_hand for number in (engine.processes, engine.process)):
        raise click.UsageError("--coordinator HOST:PORT, --processes, --process need each other.")
    if by_hand and not (engine.process or 0) < (engine.processes or 0):
        raise click.UsageError("--process counts from 0 and must be less than --processes.")
    if engine.dask is not None and importlib.util.find_spec("distributed") is None:
        raise missing("distributed", "dask", "--dask needs it")


def join(engine: Engine) -> int:
    """Join the other processes, once JAX is prepared; returns which of them this is."""
    if engine.coordinator is None:
        return 0
    import jax

    jax.config.update("jax_enable_preemption_service", False)  # it takes SIGTERM for a warning
    if engine.coordinator != "auto":
        jax.distributed.initialize(engine.coordinator, engine.processes, engine.process)
    else:
        try:
            jax.distributed.initialize()
        except (ValueError, RuntimeError) as error:
            raise click.UsageError(
                f"--coordinator auto needs a cluster that JAX knows, as Slurm's, and finds none "
                f"({error}); else give --coordinator HOST:PORT, --processes and --process."
            ) from error
    return jax.process_index()


@contextlib.contextmanager
def executor(engine: Engine) -> Iterator["Executor | None"]:
    """What computes chunks, once JAX is prepared here; None for this process."""
    if engine.workers is not None:
        spawn = multiprocessing.get_context("spawn")  # JAX has threads, which no fork survives
        pool = ProcessPoolExecutor(engine.workers, spawn, initializer=_prepare_process)
        try:
            yield pool
        finally:
            pool.shutdown(cancel_futures=True)
    elif engine.dask is not None:
        from distributed import Client

        flags = os.environ.get("XLA_FLAGS", "")
        with Client(engine.dask, timeout=10, set_as_default=False) as client:
            client.register_worker_callbacks(setup=functools.partial(prepare_worker, flags))
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
