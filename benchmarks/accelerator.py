"""What passes, solvers, training, sweeps and photographs cost on the device that is there.

    python benchmarks/accelerator.py
    python benchmarks/accelerator.py --small

One command, at most nine minutes; nothing but JAX and fracture is needed. A table as it goes, and
all of it as one JSON object in the last line. Parts for which a package, a file or the time is
missing are named with the reason. The figures are those that docs and benchmarks state of a CPU:
times of compiled calls, without compilation unless the name says so, beside the bare passes through
the network that they contain, and what they found, so that a fast wrong answer shows. `--small`
runs everything on little data, to see that it works; its figures mean nothing.
"""

import argparse
import json
import platform
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import _networks
import jax
import jax.numpy as jnp
import numpy as np
import optax
from _timing import bare_passes, compiling, memory, seconds

import fracture
from fracture import compression, data, models, norms, optimal, perturbation, training

LIMIT = 420.0  # seconds after which no part begins; the longest one takes less than two minutes
PASSES = 20
BOX = (0.0, 1.0)


class Figure(NamedTuple):
    """One measured number."""

    name: str
    value: float
    unit: str


class Size(NamedTuple):
    """How much is measured."""

    orders: tuple[float, ...]  # of the affine network's radii
    networks: tuple[str, ...]  # for digits
    runs: tuple[str, ...]  # solvers, from `RUNS`
    batches: tuple[int, ...]  # digits attacked in one call
    train_steps: int  # of the networks for digits
    seeds: int  # networks trained at once
    fit_steps: int
    dims: tuple[int, ...]
    cells: int  # seeds of a sweep
    photographs: int
    classes: int  # whose gradients make a spectrum


RUNS: dict[str, dict[str, Any]] = {
    "ddn, 100 steps, l2": {"solver": perturbation.ddn},
    "minimal, low, l2": {"effort": "low"},
    "minimal, medium, l2": {},
    "minimal, medium, linf": {"ord": jnp.inf},
}
SEARCHES = (1, 2, jnp.inf), ("mlp", "cnn"), tuple(RUNS)
SMALL = Size((2,), ("mlp",), tuple(RUNS)[:1], (4,), 20, 2, 10, (8,), 4, 1, 2)
CPU = Size(*SEARCHES, (256,), 1000, 4, 500, (16, 64), 64, 4, 50)
ACCELERATOR = Size(*SEARCHES, (512, 8192), 2000, 16, 5000, (16, 64, 256), 256, 20, 50)


def precision(size: Size) -> Iterator[Figure]:
    """How exact products are by default and at most, and the answers that rest on them."""
    rng = np.random.default_rng(0)
    left, right = (rng.normal(size=(512, 512)).astype(np.float32) for _ in range(2))
    exact = left.astype(np.float64) @ right.astype(np.float64)
    for name, level in (("default", None), ("highest", "highest")):
        product = np.asarray(jax.jit(partial(jnp.matmul, precision=level))(left, right))
        error = np.linalg.norm(product - exact) / np.linalg.norm(exact)
        yield Figure(f"error of a product, {name} precision", error, "relative")
    matrix = rng.normal(size=(10, 784)).astype(np.float32)
    values = np.linalg.svd(matrix.astype(np.float64), compute_uv=False)
    for method in ("svd", "qr", "gram"):
        found = np.asarray(jax.jit(partial(compression.spectrum, method=method))(matrix))
        worst = np.abs(found / values - 1).max()
        yield Figure(f"error of singular values, {method}", worst, "relative")
    victim = _networks.load("affine", 64, Path())
    for ord in size.orders:
        found = perturbation.solve(
            victim.apply, victim.params, victim.inputs, victim.labels, bounds=BOX, ord=ord
        )
        excess = np.abs(np.asarray(found.norm) / _networks.exact(victim, ord) - 1).max()
        yield Figure(f"error of minimal on an affine network, l{ord:g}", excess, "relative")


def passes(size: Size) -> Iterator[Figure]:
    """Bare forward and backward passes: the floor of everything that follows."""
    digits = data.digits().inputs
    images = jax.random.uniform(jax.random.key(0), (size.photographs, 224, 224, 3))
    networks = {
        "MLP": (models.mlp((28, 28, 1), 10), [digits[:batch] for batch in size.batches]),
        "CNN": (models.cnn((28, 28, 1), 10), [digits[:batch] for batch in size.batches]),
        "EfficientNet-Lite0": (models.efficientnet_lite("lite0"), [images]),
    }
    for name, (network, batches) in networks.items():
        params = jax.jit(network.init)(jax.random.key(0))
        for inputs in batches:
            labels = jnp.zeros(len(inputs), jnp.int32)
            program, _ = compiling(bare_passes(network.apply, PASSES), params, inputs, labels)
            took = seconds(program, params, inputs, labels) / PASSES
            yield Figure(f"{name}, batch {len(inputs)}", 1e3 * took, "ms a pass")


def solvers(size: Size) -> Iterator[Figure]:
    """Searches on digits: time, share of it that is passes, and what was found."""
    inputs = data.digits().inputs
    train, _ = data.split(data.digits(), _networks.TRAIN)
    for name in size.networks:
        network = _networks.ARCHITECTURES[name]()
        params = _networks.train_network(network, train, size.train_steps)
        answer = jax.jit(jax.vmap(network.apply, (None, 0)))
        for batch in size.batches:
            xs = inputs[-batch:]  # those that it was not trained on come last
            labels = answer(params, xs).argmax(1).astype(jnp.int32)
            bare, _ = compiling(bare_passes(network.apply, PASSES), params, xs, labels)
            one = seconds(bare, params, xs, labels) / PASSES
            for run in size.runs:
                attack = partial(
                    perturbation.solve,
                    network.apply,
                    bounds=BOX,
                    batch_size=batch,
                    **RUNS[run],
                )
                what = f"{name.upper()}, batch {batch}, {run}"
                program, compile_seconds = compiling(attack, params, xs, labels)
                took = seconds(program, params, xs, labels)
                found = program(params, xs, labels)
                checked = perturbation.verify(network.apply, params, xs, labels, found, bounds=BOX)
                grads = float(found.num_grads.mean())
                yield Figure(f"{what}: compilation", compile_seconds, "s")
                yield Figure(f"{what}: run", took, "s")
                yield Figure(f"{what}: run over its passes", took / (grads * one), "times")
                yield Figure(f"{what}: memory", memory(program) / 2**20, "MiB")
                yield Figure(f"{what}: median norm", float(np.median(found.norm)), "pixels")
                yield Figure(f"{what}: found", float(found.found.mean()), "share")
                yield Figure(f"{what}: confirmed", float(checked.confirmed.mean()), "share")


def fits(size: Size) -> Iterator[Figure]:
    """Two-layer networks of many seeds trained in one call, full batches, as sweeps do."""
    for dim in size.dims:
        network = models.mlp((dim,), 1, widths=(2 * dim,))

        def run(keys, dim=dim, network=network):
            def one(key):
                key_data, key_init, key_fit = jax.random.split(key, 3)
                task = data.mixed_hypercube(key_data, dim, 512, dtype="float32")
                return training.fit(
                    key_fit,
                    network.apply,
                    network.init(key_init),
                    task.inputs,
                    task.labels,
                    steps=size.fit_steps,
                    optimizer=optax.adam(3e-3),
                ).accuracy

            return jax.vmap(one)(keys)

        keys = jax.random.split(jax.random.key(0), size.seeds)
        program, compile_seconds = compiling(run, keys)
        began = time.perf_counter()
        accuracy = jax.block_until_ready(program(keys))
        what = f"d = {dim}, {size.seeds} seeds, {size.fit_steps} steps"
        yield Figure(f"{what}: compilation", compile_seconds, "s")
        yield Figure(f"{what}: run", time.perf_counter() - began, "s")
        yield Figure(f"{what}: accuracy", float(accuracy.mean()), "share")


def cells(size: Size) -> Iterator[Figure]:
    """Cells of a sweep, vmapped: the radius of a random ReLU network over the norm of its input."""
    for dim in size.dims:

        def cell(key, dim=dim):
            key_x, key_hidden, key_out = jax.random.split(key, 3)
            x = jax.random.normal(key_x, (dim,))
            hidden = jax.random.normal(key_hidden, (2 * dim, dim)) / dim**0.5
            out = jax.random.normal(key_out, (2 * dim,)) / dim**0.5
            network = lambda z: out @ jax.nn.relu(hidden @ z)
            label = jnp.where(network(x) > 0, 0, 1)
            return perturbation.minimal(network, x, label, effort="low").norm / norms.norm(x)

        keys = jax.random.split(jax.random.key(0), size.cells)
        program, compile_seconds = compiling(jax.vmap(cell), keys)
        scaled = float(np.median(program(keys))) * dim**0.5
        what = f"d = {dim}, {size.cells} seeds"
        yield Figure(f"{what}: compilation", compile_seconds, "s")
        yield Figure(f"{what}: run", seconds(program, keys), "s")
        yield Figure(f"{what}: median radius over norm, times root d", scaled, "")


def measures(size: Size) -> Iterator[Figure]:
    """Spectra of a batch of Jacobians, and nearest neighbours among digits."""
    jacobians = jax.random.normal(jax.random.key(0), (max(size.batches[0] // 8, 1), 100, 784))
    for method in ("svd", "qr", "gram"):
        program, _ = compiling(jax.vmap(partial(compression.spectrum, method=method)), jacobians)
        what = f"singular values of {jacobians.shape}, {method}"
        yield Figure(what, seconds(program, jacobians), "s")
    task = data.digits()
    queries, labels = task.inputs[-size.batches[-1] :], task.labels[-size.batches[-1] :]
    search = partial(optimal.nearest_neighbour, queries, labels, task.inputs, task.labels)
    took = seconds(lambda: search())
    yield Figure(f"nearest of {len(task.labels)} digits, {len(labels)} queries", took, "s")


def photographs(size: Size) -> Iterator[Figure]:
    """EfficientNet-Lite0 with its published weights: searches and spectra."""
    network, params = models.efficientnet_lite("lite0"), models.pretrained("lite0")
    photos = data.imagenet_samples()
    inputs, labels = photos.inputs[: size.photographs], photos.labels[: size.photographs]
    answers = jax.jit(jax.vmap(network.apply, (None, 0)))(params, inputs).argmax(1)
    yield Figure("classified correctly", float((answers == labels).mean()), "share")
    labels = answers.astype(jnp.int32)
    for run in size.runs[:2]:
        attack = partial(
            perturbation.solve,
            network.apply,
            bounds=BOX,
            batch_size=1 if jax.default_backend() == "cpu" else len(labels),
            **RUNS[run],
        )
        program, compile_seconds = compiling(attack, params, inputs, labels)
        began = time.perf_counter()
        found = jax.block_until_ready(program(params, inputs, labels))
        what = f"{len(labels)} photographs, {run}"
        yield Figure(f"{what}: compilation", compile_seconds, "s")
        yield Figure(f"{what}: run", time.perf_counter() - began, "s")
        yield Figure(f"{what}: memory", memory(program) / 2**20, "MiB")
        yield Figure(f"{what}: median norm", float(np.median(found.norm)), "pixels")

    def spectrum(params, x):
        read = lambda z: network.apply(params, z)[: size.classes]
        rows = compression.jacobian(read, x, chunk_size=min(10, size.classes))
        return compression.spectrum(rows, method="qr")

    program, compile_seconds = compiling(spectrum, params, inputs[0])
    what = f"spectrum of {size.classes} logits"
    yield Figure(f"{what}: compilation", compile_seconds, "s")
    yield Figure(f"{what}: run", seconds(program, params, inputs[0]), "s")


def devices(size: Size) -> Iterator[Figure]:
    """One batch on one device, and shared among all."""
    if jax.device_count() == 1:
        raise _Skip("there is one device")
    network = models.mlp((28, 28, 1), 10)
    params = network.init(jax.random.key(0))
    inputs = data.digits().inputs[: size.batches[-1]]
    labels = jax.jit(jax.vmap(network.apply, (None, 0)))(params, inputs).argmax(1)
    mesh = jax.make_mesh((jax.device_count(),), ("batch",))
    call = partial(perturbation.solve, network.apply, params, inputs, labels.astype(jnp.int32))
    alone = seconds(lambda: call(solver=perturbation.ddn))
    shared = seconds(lambda: call(solver=perturbation.ddn, mesh=mesh))
    what = f"ddn of {len(inputs)} digits on {jax.device_count()} devices"
    yield Figure(f"{what}: speed-up", alone / shared, "times")


PARTS = {
    "precision": precision,
    "passes": passes,
    "solvers": solvers,
    "training": fits,
    "sweep": cells,
    "measures": measures,
    "photographs": photographs,
    "devices": devices,
}


class _Skip(Exception):
    """A part that cannot be measured here."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--small", action="store_true", help="little of everything, as a test")
    small = parser.parse_args().small
    began = time.perf_counter()
    device = jax.devices()[0]
    size = SMALL if small else CPU if device.platform == "cpu" else ACCELERATOR
    about = {
        "fracture": fracture.__version__,
        "jax": jax.__version__,
        "python": platform.python_version(),
        "device": device.device_kind,
        "platform": device.platform,
        "devices": jax.device_count(),
        "small": small,
    }
    print(", ".join(f"{name} {value}" for name, value in about.items()), flush=True)
    figures, skipped, failed = [], {}, False
    for part, measure in PARTS.items():
        if time.perf_counter() - began > LIMIT:
            skipped[part] = "no time left"
            continue
        try:
            for figure in measure(size):
                value = figure.value if np.isfinite(figure.value) else None  # JSON has no NaN
                figures.append({"part": part, **figure._asdict(), "value": value})
                print(f"{part:12} {figure.name:70} {figure.value:12.4g} {figure.unit}", flush=True)
                if time.perf_counter() - began > LIMIT:
                    skipped[part] = "the rest of it: no time left"
                    break
        except (_Skip, ModuleNotFoundError, FileNotFoundError) as reason:
            skipped[part] = str(reason)
        except Exception as error:  # such as too little memory: what is measured is not lost
            failed = True
            skipped[part] = f"{type(error).__name__}: {error}"[:300]
    for part, reason in skipped.items():
        print(f"{part:12} skipped: {reason}")
    took = time.perf_counter() - began
    print(json.dumps({**about, "seconds": took, "figures": figures, "skipped": skipped}))
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
