"""Certified radii and verdicts on networks of the literature, from a folder of .npz files.

    python benchmarks/verification.py small FOLDER        # exact radii of small ReLU networks
    python benchmarks/verification.py mnist FOLDER        # verdicts on VNN-COMP's mnist_fc
    python benchmarks/verification.py robust FOLDER       # l∞ radii of Salman et al. (2019)
    python benchmarks/verification.py lipschitz FOLDER    # l2, digits certified at radius 1
    python benchmarks/verification.py table FOLDER        # every method on all but mnist_fc

The networks are multilayer perceptrons with ReLU, saved as `NAME_W0`, `NAME_b0` and so on. Of the
small ones brackets of the exact radii are known, of the others verdicts of other tools or tables.
The properties of mnist_fc are those of the competition of 2021, and so are the verdicts that are
compared with; in 2022 other images had the same names.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("NPROC", "16")

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import click
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from fracture._problem import pose
from fracture.certificates import certify
from fracture.certificates._branch import EFFORTS, Effort, branch
from fracture.certificates._outputs import prepare, seeds_of
from fracture.certificates._result import wanted
from fracture.perturbation import minimal

jax.config.update("jax_enable_x64", True)  # rounding is bounded for any order of summation

PUBLISHED = {"2_100_NOR": 15.11, "2_100_ADV": 43.76, "2_100_LPD": 85.33, "9_100_NOR": 11.92}
SMALL = EFFORTS["high"]
MOST_ROUNDS = 1_000_000  # where time decides

# Of prop_0 to prop_14: whether it holds or is violated, or no tool said so. Answers of a tool that
# was judged incorrect are left out, and one "holds" of a violated property (256x2, prop_14_0.03).
# https://github.com/stanleybak/vnncomp2021_results
VERDICTS_2021 = {
    ("256x2", "0.03"): "hhhhhhhvhhhhhhv",
    ("256x2", "0.05"): "vvhvhvhvvvhhvvv",
    ("256x4", "0.03"): "h?vhhhh?hhhhhh?",
    ("256x4", "0.05"): "?vvvh?hvh?hh??v",
    ("256x6", "0.03"): "h?h?hhh?h?hhhh?",
    ("256x6", "0.05"): "?vhvh?hv?vhh???",
}


def perceptron(saved: Mapping[str, np.ndarray], prefix: str) -> Callable[[Array], Array]:
    """The network whose weights are saved under a prefix."""
    layers = []
    while f"{prefix}W{len(layers)}" in saved:
        weight, bias = (saved[f"{prefix}{kind}{len(layers)}"] for kind in "Wb")
        layers.append((jnp.asarray(weight, jnp.float64), jnp.asarray(bias, jnp.float64)))

    def logits(x):
        x = x.ravel()
        for weight, bias in layers[:-1]:
            x = jax.nn.relu(weight @ x + bias)
        return layers[-1][0] @ x + layers[-1][1]

    return logits


def closing(logits_fn: Callable, ord: float, bounds, effort: Effort, **how):
    """Branch and bound up to a given radius, compiled."""

    @jax.jit
    def run(x, label, most):
        problem = pose(logits_fn, x, label, ord, bounds, None)
        known, room = prepare(problem)
        return branch(problem, known, room, seeds_of(problem), wanted(problem), most, effort, **how)

    return run


class Clock:
    """Until when there is time, which a compiled program can ask."""

    def __init__(self) -> None:
        self.end = 0.0

    def start(self, seconds: float) -> None:
        """So much time from now on."""
        self.end = time.monotonic() + seconds

    def left(self, count: Array) -> Array:
        """Whether there is some; of the count of rounds, so that each round asks anew."""
        told = lambda _: np.asarray(time.monotonic() < self.end)
        return jax.pure_callback(told, jax.ShapeDtypeStruct((), bool), count)


@click.group(help=__doc__.split("\n\n")[0])
def main() -> None:
    pass


@main.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
def small(folder: Path) -> None:
    """Exact radii, from what `minimal` finds."""
    saved = np.load(folder / "small_relu.npz")
    click.echo("network  norm  box  closed  contradictions  farther found  seconds: mean, most")
    for name in ("moons", "mid8", "digits"):
        logits_fn, box = perceptron(saved, f"{name}_"), jnp.asarray(saved[f"{name}_box"])
        xs, labels = saved[f"{name}_x"], saved[f"{name}_y"]
        for ord, written in ((2, "2"), (jnp.inf, "inf")):
            for boxed in ("nobox", "box"):
                bounds = (box[0], box[1]) if boxed == "box" else None
                find = jax.jit(
                    lambda x, y, o=ord, b=bounds, f=logits_fn: minimal(f, x, y, ord=o, bounds=b)
                )
                run = closing(logits_fn, ord, bounds, SMALL)
                above, below = (saved[f"{name}_{written}_{boxed}_{end}"] for end in ("ub", "lb"))
                jax.block_until_ready(run(xs[0], labels[0], above[0]))
                closed, wrong, farther, spent = 0, 0, 0, []
                for x, label, most, least in zip(xs, labels, above, below, strict=True):
                    if not 0 < most < np.inf:
                        continue
                    found = find(x, label).norm
                    started = time.perf_counter()
                    got = jax.block_until_ready(run(x, label, found))
                    spent.append(time.perf_counter() - started)
                    closed += float(got.radius) >= least * (1 - 1e-4)
                    wrong += float(got.radius) > most * (1 + 1e-7)
                    farther += float(found) > most * (1 + 1e-5)
                click.echo(
                    f"{name:8} {written:4} {boxed:5}  {closed}/{len(spent)}  {wrong}  {farther}  "
                    f"{np.mean(spent):.2f}, {max(spent):.2f}"
                )


@main.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--name", "names", multiple=True, default=("256x2", "256x4", "256x6"))
@click.option("--eps", "sizes", multiple=True, default=("0.03", "0.05"))
@click.option("--every", default=1, show_default=True, help="Of the images, each so many-th.")
@click.option("--seconds", default=300.0, show_default=True, help="For one image, compiled.")
@click.option("--batch", default=32, show_default=True)
@click.option("--steps", default=20, show_default=True)
@click.option("--confined", default=24, show_default=True, help="Steps for adversarial points.")
@click.option("--narrow/--no-narrow", default=False)
def mnist(
    folder: Path,
    names,
    sizes,
    every: int,
    seconds: float,
    batch: int,
    steps: int,
    confined: int,
    narrow: bool,
) -> None:
    """Verdicts within a time."""
    saved = np.load(folder / "mnist_fc.npz")
    bounds = jnp.zeros(()), jnp.ones(())
    for name in names:
        logits_fn = perceptron(saved, f"{name}_")
        find = jax.jit(lambda x, y, f=logits_fn: minimal(f, x, y, ord=jnp.inf, bounds=bounds))
        effort = Effort(MOST_ROUNDS, batch, 4096, steps, 40, confined, narrow, 0.0)
        clock, verdicts = Clock(), {}
        run = closing(logits_fn, jnp.inf, bounds, effort, decide=True, more=clock.left)
        for eps in sizes:
            for at in range(0, len(saved["labels"]), every):
                low, high = saved[f"low_{eps}"][at], saved[f"high_{eps}"][at]
                x = np.where(low > 0, low + float(eps), high - float(eps)).astype(np.float64)
                given = x, saved["labels"][at], jnp.asarray(float(eps))
                if not verdicts:
                    jax.block_until_ready((find(*given[:2]), run(*given)))
                started, spent = time.perf_counter(), time.process_time()
                clock.start(seconds)
                verdict = verdicts[eps, at] = _verdict(find, run, *given)
                known = {"h": "robust", "v": "not robust"}.get(VERDICTS_2021[name, eps][at], "open")
                wrong = "open" not in (verdict, known) and verdict != known
                click.echo(
                    f"{name} {eps} {at:2} {verdict:10} (known: {known:10}) "
                    f"{time.perf_counter() - started:.1f} s, {time.process_time() - spent:.1f} s "
                    f"of CPU {'CONTRADICTION' if wrong else ''}"
                )
        decided = sum(verdict != "open" for verdict in verdicts.values())
        click.echo(f"{name}: {decided} of {len(verdicts)} decided")


def _verdict(find: Callable, run: Callable, x, label, most) -> str:
    """Whether a point within a radius is adversarial, as far as that is found out in time."""
    if float(find(x, label).norm) <= most:
        return "not robust"
    got = jax.block_until_ready(run(x, label, most))
    if float(got.radius) >= most:
        return "robust"
    return "not robust" if float(got.norm) <= most else "open"


@main.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--method", default="offset", show_default=True)
@click.option("--effort", default="medium", show_default=True)
def robust(folder: Path, method: str, effort: str) -> None:
    """Mean l∞ radii without and with the box of pixels, in units of 0.001."""
    saved = np.load(folder / "robust_mlp.npz")
    images = saved["images"].astype(np.float64)
    for name, published in PUBLISHED.items():
        logits_fn, means = perceptron(saved, f"{name}_"), []
        for bounds in (None, (jnp.zeros(()), jnp.ones(()))):
            one = lambda x, y, f=logits_fn, b=bounds: certify(
                f, x, y, ord=jnp.inf, bounds=b, method=method, effort=effort
            )
            run = jax.jit(lambda xs, ys, one=one: jax.lax.map(lambda pair: one(*pair), (xs, ys)))
            means.append(float(jnp.mean(run(images, saved[f"{name}_label"]).radius)) * 1e3)
        click.echo(f"{name}: {means[0]:.2f}, boxed {means[1]:.2f} (LP-last {published}, unboxed)")


@main.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--method", default="offset", show_default=True)
@click.option("--effort", default="medium", show_default=True)
def lipschitz(folder: Path, method: str, effort: str) -> None:
    """The share of digits that are certified at l2 radius 1."""
    saved = np.load(folder / "lipschitz_mlp.npz")
    logits_fn = perceptron(saved, "")
    images = saved["images"].reshape(len(saved["images"]), -1).astype(np.float64)
    one = lambda x, y: certify(logits_fn, x, y, method=method, effort=effort).radius
    run = jax.jit(lambda xs, ys: jax.lax.map(lambda pair: one(*pair), (xs, ys)))
    started = time.perf_counter()
    radii = np.asarray(run(images, saved["labels"]))
    click.echo(
        f"certified at 1: {np.mean(radii >= 1):.1%}, mean radius {radii.mean():.3f}, "
        f"{time.perf_counter() - started:.0f} s with compilation"
    )


METHODS = ("interval", "crown", "offset", "alpha", "shor", "branch")
ORDERS = {"1": 1, "2": 2, "inf": jnp.inf}


class Known(NamedTuple):
    """A network with its inputs and labels, the auto_LiRPA radii, and the exact ones, by norm."""

    name: str
    logits_fn: Callable[[Array], Array]
    xs: np.ndarray
    labels: np.ndarray
    exact: dict[str, np.ndarray]
    lirpa: dict[str, dict[str, np.ndarray]]


def every_network(folder: Path) -> Iterator[Known]:
    """All but those of mnist_fc."""
    saved = np.load(folder / "small_relu.npz")
    for name in ("moons", "mid8", "digits"):
        exact = {norm: saved[f"{name}_{norm}_nobox_lb"] for norm in ("2", "inf")}
        lirpa = {
            norm: {kind: saved[f"{name}_lirpa_{kind}_{norm}"] for kind in ("ibp", "crown", "alpha")}
            for norm in ("2", "inf")
        }
        xs, labels = saved[f"{name}_x"].astype(np.float64), saved[f"{name}_y"]
        yield Known(name, perceptron(saved, f"{name}_"), xs, labels, exact, lirpa)
    saved = np.load(folder / "robust_mlp.npz")
    xs = saved["images"].reshape(len(saved["images"]), -1).astype(np.float64)
    for name in PUBLISHED:
        yield Known(name, perceptron(saved, f"{name}_"), xs, saved[f"{name}_label"], {}, {})
    saved = np.load(folder / "lipschitz_mlp.npz")
    xs = saved["images"].reshape(len(saved["images"]), -1).astype(np.float64)[:32]
    yield Known("lipschitz", perceptron(saved, ""), xs, saved["labels"][:32], {}, {})


@main.command()
@click.argument("folder", type=click.Path(exists=True, path_type=Path))
@click.option("--name", "names", multiple=True, help="Networks; all by default.")
@click.option("--method", "methods", multiple=True, default=METHODS)
@click.option("--norm", "norms", multiple=True, default=("2", "inf"), type=click.Choice([*ORDERS]))
@click.option("--effort", default="medium", show_default=True)
def table(folder: Path, names, methods, norms, effort: str) -> None:
    """Certified over exact radii, or over found ones, without a box: medians and the least."""
    click.echo(
        "network    norm  of     method       median  least  CPU seconds an input, to compile"
    )
    for network in every_network(folder):
        if names and network.name not in names:
            continue
        for norm in norms:
            _rows(network, norm, methods, effort)


def _rows(network: Known, norm: str, methods: Sequence[str], effort: str) -> None:
    logits_fn, ord = network.logits_fn, ORDERS[norm]
    find = jax.jit(jax.vmap(lambda x, y: minimal(logits_fn, x, y, ord=ord)))
    found = find(network.xs, network.labels)
    best = network.exact.get(norm, np.asarray(found.norm))
    of = "exact" if norm in network.exact else "found"
    right = (best > 0) & (best < np.inf)

    def show(method: str, radii: np.ndarray, spent: str) -> None:
        share = np.asarray(radii)[right] / best[right]
        click.echo(
            f"{network.name:10} {norm:5} {of:6} {method:12} {np.median(share):.4f} "
            f"{np.min(share):.4f}  {spent}"
        )

    for kind, radii in network.lirpa.get(norm, {}).items():
        show(f"LiRPA {kind}", radii, "")
    for method in methods:
        if method == "shor" and norm != "2":
            continue

        def one(given, method=method):
            x, label, known = given
            known = known if method == "branch" else None
            asked = {"ord": ord, "method": method, "effort": effort, "found": known}
            return certify(logits_fn, x, label, **asked).radius

        run = jax.jit(lambda *given, one=one: jax.lax.map(one, given))
        spent = []
        for _ in range(2):
            started = time.process_time()
            radii = jax.block_until_ready(run(network.xs, network.labels, found))
            spent.append(time.process_time() - started)
        show(method, radii, f"{spent[1] / len(radii):.3f}, {spent[0] - spent[1]:.1f}")


if __name__ == "__main__":
    main()
