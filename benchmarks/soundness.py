"""Certified radii of many small random networks against perturbations that were found.

    python benchmarks/soundness.py
    python benchmarks/soundness.py --networks 1000 --methods crown,offset

Each network is certified in float32 by each method. What is found is found in float64, for the same
weights: by `minimal`, and along rays in many directions, with two inputs on a fine polar grid. No
certified radius may be larger.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("NPROC", "16")

import time
from collections import defaultdict
from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import click
import jax
import jax.numpy as jnp
import numpy as np

from fracture.certificates import certify
from fracture.certificates._methods import METHODS
from fracture.norms import norm
from fracture.perturbation import Perturbation, minimal

jax.config.update("jax_enable_x64", True)

CLASSES = 3
SIDES = np.float32(1.6), np.float32(1.3)  # of the box around the inputs, where there is one
RAYS, STEPS, HALVINGS = 720, 64, 40


class Kind(NamedTuple):
    """Networks that share one compiled program."""

    inputs: int
    widths: tuple[int, ...]
    activation: Callable
    ord: float
    boxed: bool

    def __str__(self) -> str:
        layers = "-".join(map(str, (self.inputs, *self.widths, CLASSES)))
        box = "box" if self.boxed else "no box"
        return f"{layers} {self.activation.__name__}, l{self.ord}, {box}"


KINDS = [
    Kind(2, (6,), jax.nn.relu, 2, False),
    Kind(2, (5, 5), jnp.tanh, jnp.inf, True),
    Kind(2, (8,), jax.nn.gelu, 1, True),
    Kind(3, (6, 6), jax.nn.relu, jnp.inf, True),
    Kind(4, (8,), jax.nn.leaky_relu, 2, True),
    Kind(5, (6, 6, 6), jax.nn.relu, 1, False),
    Kind(6, (8, 8), jax.nn.silu, 2, False),
    Kind(8, (10,), jax.nn.elu, jnp.inf, False),
]


def networks(kind: Kind, count: int, seed: int):
    """Weights of all scales, inputs, bounds, and labels: the networks' answers in float64."""
    rng = np.random.default_rng(seed)
    params = []
    for m, n in pairwise((kind.inputs, *kind.widths, CLASSES)):
        scale = 10.0 ** rng.uniform(-0.5, 0.7, (count, 1, 1))
        weight = rng.normal(size=(count, n, m)) * scale / np.sqrt(m)
        params.append((weight.astype(np.float32), rng.normal(size=(count, n)).astype(np.float32)))
    xs = rng.normal(size=(count, kind.inputs)).astype(np.float32)
    bounds = (xs - SIDES[0], xs + SIDES[1]) if kind.boxed else None
    exactly = widened((params, xs))
    logits = jax.jit(jax.vmap(lambda params, x: forward(kind, params, x)))(*exactly)
    return params, xs, bounds, np.argmax(logits, axis=1)


def widened(tree):
    """The same numbers in float64."""
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


def forward(kind: Kind, params, x):
    for weight, bias in params[:-1]:
        x = kind.activation(weight @ x + bias)
    weight, bias = params[-1]
    return weight @ x + bias


def along_rays(kind: Kind, params, x, bounds, label, angle, width):
    """The norm and the angle of the shortest way out along rays, inf where there is none."""
    if kind.inputs == 2:
        angles = angle + width * jnp.linspace(-1, 1, RAYS)
        directions = jnp.stack([jnp.cos(angles), jnp.sin(angles)], axis=1)
    else:
        angles = jnp.zeros(RAYS)
        directions = jax.random.normal(jax.random.key(0), (RAYS, kind.inputs), x.dtype)
    directions /= jnp.linalg.norm(directions, kind.ord, axis=1, keepdims=True)

    def move(direction, length):
        point = x + direction * length
        point = point if bounds is None else jnp.clip(point, *bounds)
        logits = forward(kind, params, point)
        others = jnp.where(jnp.arange(CLASSES) == label, -jnp.inf, logits)
        return norm(point - x, kind.ord), logits[label] - jnp.max(others) <= 0

    lengths = 10 ** jnp.linspace(-3, 1.5, STEPS)

    def first(direction):
        out = jax.vmap(lambda length: move(direction, length)[1])(lengths)
        at = jnp.argmax(out)
        ends = jnp.where(at > 0, lengths[at - 1], 0), lengths[at]

        def halve(_, ends):
            middle = (ends[0] + ends[1]) / 2
            beyond = move(direction, middle)[1]
            return jnp.where(beyond, ends[0], middle), jnp.where(beyond, middle, ends[1])

        _, length = jax.lax.fori_loop(0, HALVINGS, halve, ends)
        size, beyond = move(direction, length)
        return jnp.where(out[at] & beyond, size, jnp.inf)

    sizes = jax.lax.map(first, directions, batch_size=RAYS)
    return jnp.min(sizes), angles[jnp.argmin(sizes)]


def find(kind: Kind, params, x, bounds, label) -> Perturbation:
    """The smallest perturbation that is found, in float64."""
    network = lambda z: forward(kind, params, z)
    found = minimal(network, x, label, ord=kind.ord, bounds=bounds, effort="low")
    given = kind, params, x, bounds, label
    near, angle = along_rays(*given, 0.0, jnp.pi)
    near = jnp.minimum(near, along_rays(*given, angle, 4 * jnp.pi / RAYS)[0])
    return found._replace(norm=jnp.minimum(found.norm, near))


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--networks", "total", type=click.IntRange(len(KINDS)), default=10_000)
@click.option("--methods", default=",".join(METHODS), show_default=True)
@click.option("--effort", default="low", show_default=True)
@click.option("--batch", default=250, show_default=True, help="Networks at a time.")
@click.option("--seed", default=0, show_default=True)
def main(total: int, methods: str, effort: str, batch: int, seed: int) -> None:
    ratios = defaultdict(list)
    for number, kind in enumerate(KINDS):
        given = networks(kind, total // len(KINDS), seed + number)
        mapped = lambda one, *args: jax.jit(
            lambda *args: jax.lax.map(lambda each: one(*each), args, batch_size=batch)
        )(*args)
        found = mapped(lambda *one, kind=kind: find(kind, *one), *widened(given[:-1]), given[-1])
        click.echo(f"{kind}: median found {np.median(found.norm):.3f}")
        for method in methods.split(","):
            started = time.perf_counter()

            def prove(params, x, bounds, label, found, kind=kind, method=method):
                network = lambda z: forward(kind, params, z)
                asked = {"ord": kind.ord, "bounds": bounds, "effort": effort}
                # Up to what is found, and a tenth more: a bound that is wrong shall show.
                above = found._replace(norm=1.1 * found.norm)
                return certify(network, x, label, method=method, found=above, **asked).radius

            radii = np.asarray(mapped(prove, *given, found), float)
            known = np.isfinite(found.norm)
            ratio = radii[known] / np.asarray(found.norm)[known]
            ratios[method].append(ratio)
            click.echo(
                f"    {method:9} {np.sum(ratio > 1)} violations of {len(ratio)}, median "
                f"{np.median(ratio):.3f}, most {np.max(ratio):.6f}, nothing {np.sum(ratio == 0)}, "
                f"{time.perf_counter() - started:.0f} s"
            )
    click.echo("method     networks  violations  certified / found: median  most")
    for method, parts in ratios.items():
        ratio = np.concatenate(parts)
        click.echo(
            f"{method:9} {len(ratio):9} {np.sum(ratio > 1):11} {np.median(ratio):26.3f}  "
            f"{np.max(ratio):.6f}"
        )


if __name__ == "__main__":
    main()
