"""Strict JAX for every test: 64-bit allowed, no silent rank or dtype promotion."""

import gc
import os
from importlib.metadata import version
from pathlib import Path

# Batched LAPACK calls that run at the same time can wait forever for threads of jaxlib 0.10's CPU
# pool that wait for them; a larger pool has some to spare. Set before JAX is imported.
os.environ.setdefault("NPROC", "16")
# JAX spreads LAPACK calls over the cores; threads of their own would fight for them.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Tests compile much and compute little. LLVM's optimisations would cost more than they save, and so
# does a fusion that goes through MLIR (three quarters of the seconds that a solver compiles for) or
# a program that is cut into pieces for more cores than a worker has. XLA ends the process at a flag
# that it does not know: the last two are for the releases that were seen to have them.
flags = ["--xla_backend_optimization_level=0"]
if version("jaxlib").startswith("0.10."):
    flags += ["--xla_cpu_use_fusion_emitters=false", "--xla_cpu_parallel_codegen_split_count=1"]
os.environ["XLA_FLAGS"] = " ".join([os.environ.get("XLA_FLAGS", ""), *flags])

# What JAX traces leaves cycles of thousands of objects that live as long as the process: looking
# for garbage among them as often as Python does by itself takes a twentieth of all the time.
gc.set_threshold(100_000, 50)

import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_enable_x64", True)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")


MOST_PIECES = 30_000


@pytest.fixture(scope="module", autouse=True)
def not_too_many_programs():
    """XLA maps a dozen pieces of memory for every program, of which a process may have 65,530.

    What is compiled is kept for other modules up to half of them.
    """
    yield
    pieces = Path("/proc/self/maps")
    if not pieces.exists() or pieces.read_bytes().count(b"\n") > MOST_PIECES:
        jax.clear_caches()
        gc.collect()  # programs that cycles of objects still hold
