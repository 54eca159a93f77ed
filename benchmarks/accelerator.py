"""What passes, solvers, training, sweeps and photographs cost on the device that is there.

    python benchmarks/accelerator.py
    python benchmarks/accelerator.py solvers training
    python benchmarks/accelerator.py --small

One command that begins nothing after seven minutes; nothing but JAX and fracture is needed. A table
as it goes, and all of it as one JSON object in the last line. Parts for which a package, a file or
the time is missing are named with the reason. The figures are those that docs and benchmarks state
of a CPU: times of compiled calls, without compilation unless the name says so, beside the bare
passes through the network that they contain, and what they found, so that a fast wrong answer
shows. Where PyTorch and adversarial-library or foolbox are installed, their attacks run on the same
images and their loop on the same task, on the same device. `--small` runs everything on little
data, to see that it works; its figures mean nothing.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import re
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import _networks
import _scoring
import jax
import jax.numpy as jnp
import numpy as np
import optax
from _timing import bare_passes, compiling, memory, seconds

import fracture
from fracture import compression, data, models, norms, optimal, perturbation, training

LIMIT = 420.0  # seconds after which no part begins; the longest one takes less than two minutes
COMPILING = 100.0  # and after which no program of a claim begins to compile
PASSES = 20
POINTS = 512  # that networks are trained on
BOX = (0.0, 1.0)


class Figure(NamedTuple):
    """One measured number."""

    name: str
    value: float
    unit: str


class Missing(NamedTuple):
    """What could not be measured here, and why."""

    name: str
    reason: str


class Size(NamedTuple):
    """How much is measured."""

    orders: tuple[float, ...]  # of the affine network's radii
    networks: tuple[str, ...]  # for digits
    batches: tuple[tuple[int, str, str], ...]  # digits, and which of `RUNS` and rivals attack them
    rounding: str  # of `RUNS`: what passes in TF32 change
    train_steps: int  # of the networks for digits
    seeds: int  # networks trained at once
    fit_steps: int
    dims: tuple[int, ...]
    wide: int  # dimension at which products of matrices are all of the training
    their_steps: int  # of the loop in PyTorch, from which the others are extrapolated
    cells: int  # seeds of a sweep
    photographs: int
    classes: int  # whose gradients make a spectrum
    claims: tuple[str, ...] | None  # of which a chunk is measured; None for all


RUNS: dict[str, dict[str, Any]] = {
    "ddn 100, l2": {"solver": perturbation.ddn},
    "fmn 100, l2": {"solver": perturbation.fmn},
    "minimal low, l2": {"effort": "low"},
    "minimal medium, l2": {},
    "minimal high, l2": {"effort": "high"},
    "apgd, linf ball of 0.05": {"solver": perturbation.apgd, "ord": jnp.inf, "radius": 0.05},
    "minimal medium, linf": {"ord": jnp.inf},
}
NETWORK = {"mlp": "MLP", "cnn": "CNN"}
FEW, EVERY = "ddn|low, l2", "."
LIBRARIES = ("adv_lib", "foolbox")
RIVALS = "^(DDN 100|FMN 100|ALMA 1000)$"
SMALL = Size(
    orders=(2,),
    networks=("mlp",),
    batches=((4, "ddn", "^DDN 100$"),),
    rounding="ddn 100, l2",
    train_steps=20,
    seeds=2,
    fit_steps=10,
    dims=(8,),
    wide=16,
    their_steps=5,
    cells=4,
    photographs=1,
    classes=2,
    claims=("linear_points",),
)
CPU = Size(
    orders=(1, 2, jnp.inf),
    networks=("mlp", "cnn"),
    batches=((256, EVERY, "^DDN 100$"),),
    rounding="minimal low, l2",
    train_steps=1000,
    seeds=4,
    fit_steps=500,
    dims=(16, 64),
    wide=256,
    their_steps=50,
    cells=64,
    photographs=4,
    classes=50,
    claims=(),
)
ACCELERATOR = CPU._replace(
    batches=((512, EVERY, RIVALS), (8192, FEW, "^DDN 100$")),
    train_steps=2000,
    seeds=16,
    fit_steps=5000,
    dims=(16, 64, 256),
    wide=1024,
    their_steps=300,
    cells=256,
    photographs=20,
    classes=1000,
    claims=None,
)


def precision(size: Size) -> Iterator[Figure | Missing]:
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


def passes(size: Size) -> Iterator[Figure | Missing]:
    """Bare forward and backward passes: the floor of everything that follows."""
    digits = data.digits().inputs
    images = jax.random.uniform(jax.random.key(0), (size.photographs, 224, 224, 3))
    networks = {
        "MLP": (models.mlp((28, 28, 1), 10), [digits[:batch] for batch, *_ in size.batches]),
        "CNN": (models.cnn((28, 28, 1), 10), [digits[:batch] for batch, *_ in size.batches]),
        "EfficientNet-Lite0": (models.efficientnet_lite("lite0"), [images]),
    }
    for name, (network, batches) in networks.items():
        params = jax.jit(network.init)(jax.random.key(0))
        for inputs in batches:
            labels = jnp.zeros(len(inputs), jnp.int32)
            program, _ = compiling(bare_passes(network.apply, PASSES), params, inputs, labels)
            took = seconds(program, params, inputs, labels) / PASSES
            yield Figure(f"{name}, batch {len(inputs)}", 1e3 * took, "ms a pass")


def solvers(size: Size) -> Iterator[Figure | Missing]:
    """Searches on digits: time, share of it that is passes, and what was found."""
    for name in size.networks:
        for batch, ours, theirs in size.batches:
            yield from _searches(_victim(name, size.train_steps, batch), ours, theirs)


@cache
def _trained(name: str, steps: int) -> tuple[models.Network, Any]:
    train, _ = data.split(data.digits(), _networks.TRAIN)
    network = _networks.ARCHITECTURES[name]()
    return network, _networks.train_network(network, train, steps)


def _victim(name: str, steps: int, batch: int) -> _networks.Victim:
    """The network and the last digits, labelled by its own answers in the precision that holds."""
    network, params = _trained(name, steps)
    xs = np.asarray(data.digits().inputs)[-batch:]  # the 2,000 that it was not trained on come last
    labels = jax.jit(jax.vmap(network.apply, (None, 0)))(params, xs).argmax(1)
    return _networks.Victim(name, network.apply, params, xs, np.asarray(labels, np.int32), np.nan)


def _searches(victim: _networks.Victim, ours: str, theirs: str) -> Iterator[Figure | Missing]:
    """Those of `RUNS` on one batch, and then the rivals; judged against the best of all."""
    where = f"{NETWORK[victim.name]}, batch {len(victim.inputs)}"
    call = victim.params, jnp.asarray(victim.inputs), jnp.asarray(victim.labels)
    bare, _ = compiling(bare_passes(victim.apply, PASSES), *call)
    one = seconds(bare, *call) / PASSES
    yield Figure(f"{where}: a bare pass", 1e3 * one, "ms")
    records: dict[str, _scoring.Record] = {}
    runs = [run for run in RUNS if re.search(ours, run)]
    attacks = [_solving(victim, RUNS[run]) for run in runs]
    for run, (program, compile_seconds) in zip(runs, _compiling(attacks, *call), strict=True):
        took = seconds(program, *call)
        found = program(*call)
        verdict = _judged(victim, found.delta, RUNS[run].get("ord", 2))
        grads, claimed = float(found.num_grads.mean()), float(found.found.mean())
        costs = grads, took, compile_seconds
        records[run] = _scoring.Record(
            run, _scoring.OURS, verdict[0], *costs, *verdict[1:], claimed
        )
        yield Figure(f"{where}, {run}: compilation", compile_seconds, "s")
        yield Figure(f"{where}, {run}: run", took, "s")
        yield Figure(f"{where}, {run}: gradients", grads, "an image")
        yield Figure(f"{where}, {run}: run over its passes", took / (grads * one), "times")
        yield Figure(f"{where}, {run}: memory", memory(program) / 2**20, "MiB")
        yield Figure(f"{where}, {run}: claimed", claimed, "share")
    for rival in _rivals(victim, theirs):
        if isinstance(rival, Missing):
            yield rival
        else:
            name = f"{rival.name} of {rival.library}, l2"
            records[name] = rival
            yield Figure(f"{where}, {name}: run", rival.seconds, "s")
    for kind in ("l2", "linf"):
        compared = {run: record for run, record in records.items() if run.endswith(kind)}
        best = _scoring.best_of(list(compared.values())) if compared else np.array(())
        for run, record in compared.items():
            row = _scoring.statistics(record, best, best)
            yield Figure(f"{where}, {run}: median norm", row["median norm"], "pixels")
            yield Figure(f"{where}, {run}: success", row["success"], "share")
            yield Figure(f"{where}, {run}: within 1 % of the best", row["within 1 %"], "share")


def _compiling(functions: Sequence[Any], *arguments) -> list[tuple[Any, float]]:
    """Programs, and the seconds that tracing and compiling took; side by side on many cores."""

    def traced(function):
        began = time.perf_counter()
        return jax.jit(function).lower(*arguments), time.perf_counter() - began

    def compiled(lowered, tracing):
        began = time.perf_counter()
        return lowered.compile(), tracing + time.perf_counter() - began

    with ThreadPoolExecutor(max(1, (os.cpu_count() or 1) // 4)) as pool:
        made = [pool.submit(compiled, *traced(function)) for function in functions]
        return [one.result() for one in made]


def _solving(victim: _networks.Victim, options: dict[str, Any]) -> Any:
    """All inputs at once."""
    num = len(victim.inputs)
    return partial(perturbation.solve, victim.apply, bounds=BOX, batch_size=num, **options)


def _judged(victim: _networks.Victim, delta: Any, ord: float) -> tuple[np.ndarray, float, float]:
    """`_scoring.judge` of displacements, in full precision."""
    with jax.default_matmul_precision("highest"):
        return _scoring.judge(victim, np.asarray(victim.inputs + delta), ord)


def _rivals(victim: _networks.Victim, which: str) -> Iterator[Any]:
    """Records of attacks of other libraries on the same device."""
    try:
        import minimal_perturbation
        import torch
        from _peers import absent, peers
    except ModuleNotFoundError as error:
        yield Missing(f"rivals on the {NETWORK[victim.name]}", str(error))
        return
    for library in LIBRARIES:
        if library in absent():
            yield Missing(library, absent()[library])
    torch.backends.cudnn.allow_tf32 = False  # as of its other products: answers are judged in full
    with jax.default_matmul_precision("highest"):
        twin = _networks.twin(victim).to("cuda" if torch.cuda.is_available() else "cpu")
        for peer in peers(2):
            if peer.library in LIBRARIES and re.search(which, peer.name):
                with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
                    warnings.simplefilter("ignore")
                    record = minimal_perturbation.run_peer(peer, victim, twin, 2)
                yield record


def rounded(size: Size) -> Iterator[Figure | Missing]:
    """What rounded products change: radii with passes in TF32 beside full ones."""
    batch, *_ = size.batches[0]
    for name in size.networks:
        _trained(name, size.train_steps)  # in the default precision, as for the solvers
        with jax.default_matmul_precision("highest"):
            victim = _victim(name, size.train_steps, batch)
        call = victim.params, jnp.asarray(victim.inputs), jnp.asarray(victim.labels)
        norms = {}
        for precision in ("tensorfloat32", "highest"):
            with jax.default_matmul_precision(precision):
                attack = _solving(victim, RUNS[size.rounding])
                program, _ = compiling(attack, *call)
                took = seconds(program, *call)
                found = program(*call)
            norms[precision] = np.asarray(found.norm)
            judged, *_ = _judged(victim, found.delta, 2)
            what = f"{NETWORK[name]}, batch {batch}, {size.rounding}, in {precision}"
            yield Figure(f"{what}: run", took, "s")
            yield Figure(f"{what}: confirmed in full", float(np.isfinite(judged).mean()), "share")
        change = np.abs(norms["tensorfloat32"] / norms["highest"] - 1)
        what = f"{NETWORK[name]}, radii in TF32 beside full precision"
        yield Figure(f"{what}: median change", float(np.median(change)), "relative")
        yield Figure(f"{what}: 95th percentile", float(np.quantile(change, 0.95)), "relative")


def fits(size: Size) -> Iterator[Figure | Missing]:
    """Two-layer networks of many seeds trained in one call, full batches, as sweeps do."""
    for dim in (*size.dims, size.wide):
        large = dim == size.wide
        steps = size.fit_steps // 10 if large else size.fit_steps
        network = models.mlp((dim,), 1, widths=(2 * dim,))

        def run(keys, dim=dim, network=network, steps=steps):
            def one(key):
                key_data, key_init, key_fit = jax.random.split(key, 3)
                task = data.mixed_hypercube(key_data, dim, POINTS, dtype="float32")
                return training.fit(
                    key_fit,
                    network.apply,
                    network.init(key_init),
                    task.inputs,
                    task.labels,
                    steps=steps,
                    optimizer=optax.adam(3e-3),
                ).accuracy

            return jax.vmap(one)(keys)

        keys = jax.random.split(jax.random.key(0), size.seeds)
        program, compile_seconds = compiling(run, keys)
        began = time.perf_counter()
        accuracy = jax.block_until_ready(program(keys))
        took = time.perf_counter() - began
        what = f"d = {dim}, {size.seeds} seeds, {steps} steps"
        yield Figure(f"{what}: compilation", compile_seconds, "s")
        yield Figure(f"{what}: run", took, "s")
        yield Figure(f"{what}: accuracy", float(accuracy.mean()), "share")
        yield from _products(what, size.seeds, dim, took / steps)
        if large:
            continue
        try:
            theirs = _their_step(dim, size.their_steps) * size.seeds * steps
        except ModuleNotFoundError as error:
            yield Missing("loop in PyTorch", str(error))
            continue
        yield Figure(f"{what}: loop in PyTorch, extrapolated", theirs, "s")
        ours = compile_seconds + took
        yield Figure(f"{what}: loop over this, compilation included", theirs / ours, "times")


def _products(what: str, seeds: int, dim: int, step: float) -> Iterator[Figure | Missing]:
    """How much of a step's time its large products alone take: forward, and of the weights."""
    left = jax.random.normal(jax.random.key(0), (seeds, POINTS, dim))
    right = jax.random.normal(jax.random.key(1), (seeds, dim, 2 * dim))

    def run(left, right):
        def one(_, right):
            hidden = left @ right
            return right + 1e-9 * (left.mT @ hidden)

        return jax.lax.fori_loop(0, PASSES, one, right)

    program, _ = compiling(run, left, right)
    yield Figure(f"{what}: a step", 1e3 * step, "ms")
    share = seconds(program, left, right) / PASSES / step
    yield Figure(f"{what}: share of it that bare products take", share, "share")


def _their_step(dim: int, steps: int) -> float:
    """Seconds of one step of one network in PyTorch, on the device, warm."""
    import _torch_loop
    import torch

    gpu = torch.cuda.is_available()
    with torch.device("cuda" if gpu else "cpu"):
        inputs, signs = _torch_loop.mixed_hypercube(0, dim, POINTS)
        for num in (steps // 5, steps):
            began = time.perf_counter()
            network = _torch_loop.trained(inputs, signs, num)
            float(network[0].bias.detach().sum())  # waits for the device
            took = time.perf_counter() - began
    return took / steps


def cells(size: Size) -> Iterator[Figure | Missing]:
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


def measures(size: Size) -> Iterator[Figure | Missing]:
    """Spectra of a batch of Jacobians, and nearest neighbours among digits."""
    few = max(size.batches[0][0] // 8, 1)
    jacobians = jax.random.normal(jax.random.key(0), (few, 100, 784))
    for method in ("svd", "qr", "gram"):
        program, _ = compiling(jax.vmap(partial(compression.spectrum, method=method)), jacobians)
        what = f"singular values of {jacobians.shape}, {method}"
        yield Figure(what, seconds(program, jacobians), "s")
    task, many = data.digits(), size.batches[-1][0]
    queries, labels = task.inputs[-many:], task.labels[-many:]
    search = partial(optimal.nearest_neighbour, queries, labels, task.inputs, task.labels)
    took = seconds(lambda: search())
    yield Figure(f"nearest of {len(task.labels)} digits, {len(labels)} queries", took, "s")


def photographs(size: Size) -> Iterator[Figure | Missing]:
    """EfficientNet-Lite0 with its published weights: searches and spectra."""
    network, params = models.efficientnet_lite("lite0"), models.pretrained("lite0")
    photos = data.imagenet_samples()
    inputs, labels = photos.inputs[: size.photographs], photos.labels[: size.photographs]
    answers = jax.jit(jax.vmap(network.apply, (None, 0)))(params, inputs).argmax(1)
    right = np.flatnonzero(np.asarray(answers == labels))
    yield Figure("classified correctly", len(right), f"of {len(labels)} photographs")
    inputs, labels = inputs[right], labels[right].astype(jnp.int32)
    runs = ("ddn 100, l2", "fmn 100, l2", "minimal low, l2")[: size.photographs]
    together = 1 if jax.default_backend() == "cpu" else len(labels)
    attacks = [
        partial(perturbation.solve, network.apply, bounds=BOX, batch_size=together, **RUNS[run])
        for run in runs
    ]
    call = params, inputs, labels
    for run, (program, compile_seconds) in zip(runs, _compiling(attacks, *call), strict=True):
        began = time.perf_counter()
        found = jax.block_until_ready(program(*call))
        what = f"{len(labels)} photographs, {run}"
        yield Figure(f"{what}: compilation", compile_seconds, "s")
        yield Figure(f"{what}: run", time.perf_counter() - began, "s")
        yield Figure(f"{what}: memory", memory(program) / 2**20, "MiB")
        yield Figure(f"{what}: median norm", float(np.median(found.norm)), "pixels")

    rows_at_once = 10 if jax.default_backend() == "cpu" else 100

    def spectrum(params, x):
        read = lambda z: network.apply(params, z)[: size.classes]
        rows = compression.jacobian(read, x, chunk_size=min(rows_at_once, size.classes))
        return compression.spectrum(rows, method="qr")

    program, compile_seconds = compiling(spectrum, params, inputs[0])
    what = f"spectrum of {size.classes} logits"
    yield Figure(f"{what}: compilation", compile_seconds, "s")
    yield Figure(f"{what}: run", seconds(program, params, inputs[0]), "s")


def claims(size: Size) -> Iterator[Figure | Missing]:
    """All claims at their default size: the last point of each, and the rest by extrapolation.

    Programs compile in threads, as many as there are cores, and take the seconds of one of them;
    nothing compiles while chunks are timed.
    """
    from fracture import experiments
    from fracture.sweeps._chunk import compiled, lower

    names = experiments.names() if size.claims is None else size.claims
    if not names:
        raise _Skip("for an accelerator alone")
    pool, compiling_ = ThreadPoolExecutor(os.cpu_count()), {}
    totals = np.zeros(2)
    try:
        with jax.enable_x64(True):
            for name in names:
                sweep = experiments.sweep_of(*_settled(name))
                traced = lower(sweep, sweep.points()[-1])
                compiling_[pool.submit(compiled, traced)] = sweep
            wait(compiling_, COMPILING)
            for future, sweep in list(compiling_.items()):
                if future.cancel():
                    del compiling_[future]
                    yield Missing(sweep.name, f"its turn to compile was not within {COMPILING:g} s")
            wait(compiling_)
            for future, sweep in compiling_.items():
                program = future.result()
                points, last = sweep.points(), sweep.points()[-1]
                took = seconds(program.compute, 0)
                chunks = sum(-(-num // chunk) for num, chunk in map(sweep.size, points))
                whole = np.array([program.seconds * len(points), took * chunks])
                totals += whole
                what = f"{sweep.name}, {last}"
                yield Figure(f"{what}: tracing and compilation", program.seconds, "s")
                yield Figure(f"{what}: {sweep.size(last)[1]} seeds", took, "s")
                yield Figure(f"{sweep.name}, {len(points)} points like it: programs", whole[0], "s")
                yield Figure(f"{sweep.name}, {chunks} chunks like it: run", whole[1], "s")
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
    yield Figure(f"{len(compiling_)} claims, every point like its last: programs", totals[0], "s")
    yield Figure(f"{len(compiling_)} claims, every chunk like its last: run", totals[1], "s")


def _settled(name: str) -> tuple[Any, ...]:
    from fracture import experiments

    claim = experiments.claim(name)
    return claim, *experiments.settle(claim)


def devices(size: Size) -> Iterator[Figure | Missing]:
    """One batch on one device, and shared among all."""
    if jax.device_count() == 1:
        raise _Skip("there is one device")
    network = models.mlp((28, 28, 1), 10)
    params = network.init(jax.random.key(0))
    inputs = data.digits().inputs[: size.batches[-1][0]]
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
    "photographs": photographs,
    "rounding": rounded,
    "sweep": cells,
    "measures": measures,
    "claims": claims,
    "devices": devices,
}


class _Skip(Exception):
    """A part that cannot be measured here."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--small", action="store_true", help="little of everything, as a test")
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="all if none is named")
    parser.add_argument(
        "--limit", type=float, default=LIMIT, help="seconds, %(default)s if left out"
    )
    chosen = parser.parse_args()
    small, parts, limit = chosen.small, chosen.parts or list(PARTS), chosen.limit
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
    for part in parts:
        if time.perf_counter() - began > limit:
            skipped[part] = "no time left"
            continue
        try:
            for figure in PARTS[part](size):
                if isinstance(figure, Missing):
                    skipped[figure.name] = figure.reason
                    continue
                value = figure.value if np.isfinite(figure.value) else None  # JSON has no NaN
                figures.append({"part": part, **figure._asdict(), "value": value})
                print(f"{part:12} {figure.name:70} {figure.value:12.4g} {figure.unit}", flush=True)
                if time.perf_counter() - began > limit:
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
