"""The process around a command: JAX's settings, what is printed, what interrupts it."""

import contextlib
import importlib
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from .._signals import keeping


@contextlib.contextmanager
def resumable() -> Iterator[None]:
    """Say to whoever interrupts that nothing is lost."""
    said = "what was finished is stored, the same command goes on"
    try:
        with keeping(said):
            yield
    except KeyboardInterrupt:
        raise click.Abort(said) from None


def prepare_jax(*, x64: bool, spread: bool = True) -> None:
    """What an application may set, and a library must not; before JAX is imported.

    `spread` is for many small problems, which share the cores; a large network has them all.
    """
    if spread:
        # One CPU device per core, over which sweeps spread their seeds: small operations, of which
        # most cells consist, do not use several threads.
        cores = min(8, len(os.sched_getaffinity(0)) if sys.platform == "linux" else 4)
        flags = os.environ.get("XLA_FLAGS", "")
        if "xla_force_host_platform_device_count" not in flags:
            os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={cores}"
        # Batched LAPACK calls that run at the same time wait for threads that wait for them (jaxlib
        # 0.10, a pool of as many threads as cores): a larger pool has some to spare.
        os.environ.setdefault("NPROC", str(8 * cores))
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import jax

    jax.config.update("jax_enable_x64", x64)
    jax.config.update("jax_compilation_cache_dir", str(compilation_cache()))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)


def compilation_cache() -> Path:
    """The folder of compiled programs, on every backend."""
    import platformdirs

    named = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    return Path(named or platformdirs.user_cache_dir("fracture"))


def show(tables: Sequence[Any], draw: Callable[[], Path]) -> None:
    """Print the tables first: what is drawn may fail. Draw even where no one reads them."""
    from rich.console import Console

    console = Console()
    try:
        for table in tables:
            console.print(table)
    finally:  # rich ends the process where the pipe is closed: no old page beside new results
        page = draw()
    console.print(f"Page: {page}", highlight=False, markup=False, soft_wrap=True)


def load_object(name: str) -> Any:
    """What `module:name` names; modules in the working directory are found too."""
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise click.UsageError(f"got {name!r}, wanted module:function, such as my_model:logits.")
    sys.path.insert(0, os.getcwd())
    try:
        return getattr(importlib.import_module(module), attribute)
    except (Exception, SystemExit) as error:  # the module is the user's: it may raise anything
        raise click.UsageError(
            f"{name} cannot be loaded ({type(error).__name__}: {error})."
        ) from error
