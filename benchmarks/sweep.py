"""Where the time of a sweep goes, and what the same sweep takes as a loop in PyTorch.

    python benchmarks/sweep.py                  # both
    python benchmarks/sweep.py claims --size quick
    python benchmarks/sweep.py loop

`claims` measures the claims of the main job with an empty compilation cache and prints, for each
program, the seconds to trace, lower and compile it, then those to run and to draw. `loop` trains
two-layer ReLU networks on the mixed hypercube and attacks them by DeepFool and DDN, at several
dimensions and seeds: in PyTorch one after the other, here all seeds of a dimension in one compiled
call. Both sides run in one go on the same cores; the ratio is what to compare between machines.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("NPROC", str(8 * (os.cpu_count() or 1)))
_CORES = f"--xla_force_host_platform_device_count={min(8, os.cpu_count() or 1)}"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {_CORES}"

import collections
import time
from typing import NamedTuple

import click
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from fracture import data, experiments, models, perturbation
from fracture.sweeps import Sweep, run
from fracture.training import fit
from fracture.vocabulary import variables

jax.config.update("jax_enable_compilation_cache", False)  # as for a newcomer

DIMS, SEEDS, POINTS, STEPS, ATTACKED = (16, 32, 64, 128, 256), 8, 512, 500, 64
RATE = 3e-3
BAR = dict(zip(DIMS, (8, 8, 3, 1.2, 1.2), strict=True))  # warm, times as fast as PyTorch
STAGES = {
    "/jax/core/compile/jaxpr_trace_duration": "trace",
    "/jax/core/compile/jaxpr_to_mlir_module_duration": "lower",
    "/jax/core/compile/backend_compile_duration": "compile",
}
MAIN = ("linear_points", "linear_hypercube", "trained", "digits")


@click.group(invoke_without_command=True, help=__doc__.split("\n\n")[0])
@click.pass_context
def main(context: click.Context) -> None:
    if context.invoked_subcommand is None:
        context.invoke(claims, size="quick", least=0.5)
        context.invoke(loop)


@main.command()
@click.option("--size", type=click.Choice(["quick", "default"]), default="quick", show_default=True)
@click.option("--least", default=0.5, show_default=True, help="Seconds of a program to be listed.")
def claims(size: str, least: float) -> None:
    """Seconds of each program of the main job."""
    spent: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)

    def listen(event: str, seconds: float, fun_name: str = "", **_) -> None:
        if event in STAGES:
            spent[fun_name.removeprefix("jit(").removesuffix(")")][STAGES[event]] += seconds

    jax.monitoring.register_event_duration_secs_listener(listen)
    began, drawn = time.perf_counter(), 0.0
    print("Seconds since the start, of running, and of the figures:")
    with jax.enable_x64(True):
        plan: dict = {name: {} for name in MAIN}
        for found in experiments.reproduce_each(plan, size=size):
            measured = time.perf_counter()
            name = found.dataset.attrs["claim"]
            for drawing in experiments.claim(name).draw(found).values():
                drawing.encode("svg")
            figures = time.perf_counter() - measured
            drawn += figures
            ran = float(found.dataset["run_seconds"].sum())
            print(f"  {name:40} {measured - began:7.1f} {ran:7.1f} {figures:7.1f}", flush=True)
    whole = time.perf_counter() - began
    print(f"\n  {'program':40} {'trace':>7} {'lower':>7} {'compile':>7}")
    total: collections.Counter = collections.Counter()
    for program, stages in spent.items():
        total.update(stages)
        if sum(stages.values()) >= least:
            _row(program, stages)
    _row("all programs", total)
    print(f"\nmain job, {size}, cold, figures apart: {whole - drawn:.1f} s")


def _row(program: str, stages: collections.Counter) -> None:
    print(f"  {program:40} " + " ".join(f"{stages[stage]:7.2f}" for stage in STAGES.values()))


class Cell(NamedTuple):
    """One trained network: accuracy, and the median radius of two attacks."""

    accuracy: Float[Array, ""]
    radius: Float[Array, ""]


def cell(key, shared, *, dim):
    """What the loop in PyTorch does for one seed."""
    key_data, key_init, key_fit = jax.random.split(key, 3)
    task = data.mixed_hypercube(key_data, dim, POINTS, dtype="float32")
    network = models.mlp((dim,), 1, widths=(2 * dim,))
    trained = fit(
        key_fit,
        network.apply,
        network.init(key_init),
        task.inputs,
        task.labels,
        loss="mse",
        steps=STEPS,
        optimizer=optax.adam(RATE),
    )

    def attack(x, label):
        logits_fn = lambda z: network.apply(trained.params, z)
        found = [
            perturbation.deepfool(logits_fn, x, label).norm,
            perturbation.ddn(logits_fn, x, label, steps=100).norm,
        ]
        return jnp.minimum(*found)

    norms = jax.vmap(attack)(task.inputs[:ATTACKED], task.labels[:ATTACKED])
    return Cell(trained.accuracy, jnp.median(norms))


@main.command()
def loop() -> None:
    """The sweep that a PyTorch user would write, on both sides."""
    import _torch_loop
    import torch

    sweep = Sweep("loop", cell, {"dim": DIMS}, SEEDS, SEEDS, variables(Cell))
    began = time.perf_counter()
    found = run(sweep)
    cold = time.perf_counter() - began
    print(f"\ntwo-layer ReLU, {POINTS} points, {SEEDS} seeds, {STEPS} steps, {ATTACKED} attacked")
    print(f"  {'d':>4} {'PyTorch s':>9} {'here s':>8} {'compile s':>9} {'times':>6} {'bar':>5}")
    rival = 0.0
    for dim in DIMS:
        began = time.perf_counter()
        theirs = [
            _torch_loop.cell(seed, dim, points=POINTS, steps=STEPS, attacked=ATTACKED)
            for seed in range(SEEDS)
        ]
        seconds = time.perf_counter() - began
        rival += seconds
        ours = found.sel(dim=dim)
        warm = float(ours["run_seconds"])
        print(
            f"  {dim:4} {seconds:9.2f} {warm:8.2f} {float(ours['compile_seconds']):9.2f} "
            f"{seconds / warm:6.1f} {BAR[dim]:5}   median radius {np.median(theirs):.3g} there, "
            f"{float(ours['radius'].median()):.3g} here",
            flush=True,
        )
    print(
        f"cold, compilation included: {cold:.1f} s here, {rival:.1f} s there, {rival / cold:.2f} "
        f"times; torch {torch.__version__}, jax {jax.__version__}, {os.cpu_count()} cores"
    )


if __name__ == "__main__":
    main()
