"""What measuring an ImageNet network costs beyond the passes through it that are needed.

    python benchmarks/imagenet_floor.py
    python benchmarks/imagenet_floor.py --model lite2 --classes 1000

One photograph at a time, in one compiled call each. The floor is the time of as many bare forward
and backward passes as a search counts gradients; of a spectrum, one forward pass and a backward
pass for each class, as many at a time. Ratios hold between machines better than seconds; both are
printed, with the memory for intermediate results that the compiler states.
"""

from functools import partial

import click
import jax
import jax.numpy as jnp
from _timing import bare_passes, compiling, memory, seconds

from fracture import compression, data, models, perturbation
from fracture.models import EFFICIENTNET_LITE_SIZES as SIZES

PASSES = 20


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--model", type=click.Choice(list(SIZES)), default="lite0")
@click.option("--classes", type=click.IntRange(2, 1000), default=50, show_default=True)
@click.option("--chunk-size", type=click.IntRange(1), default=10, show_default=True)
@click.option("--effort", type=click.Choice(["low", "medium", "high"]), default="low")
def main(model: str, classes: int, chunk_size: int, effort: str) -> None:
    network, params = models.efficientnet_lite(model), models.pretrained(model)
    photograph = jax.tree.map(lambda leaf: leaf[:1], data.imagenet_samples(SIZES[model].side))
    arguments = params, *photograph

    def search(params, inputs, labels, *, ord):
        attack = partial(perturbation.minimal, ord=ord, bounds=(0.0, 1.0), effort=effort)
        return attack(jax.jit(partial(network.apply, params)), inputs[0], labels[0])

    def rows(params, inputs, labels):
        read = lambda x: network.apply(params, x)[:classes]
        return compression.jacobian(read, inputs[0], chunk_size=chunk_size)

    def spectrum(params, inputs, labels):
        return compression.spectrum(rows(params, inputs, labels), method="qr")

    def report(name, function, floor):
        program, compile_seconds = compiling(function, *arguments)
        took = seconds(program, *arguments)
        bare = took if floor is None else floor(program)
        size = memory(program) / 1e6
        numbers = f"{compile_seconds:9.1f} {took:7.2f} {took / bare:6.2f} {size:9.0f}"
        print(f"{name:28} {numbers}", flush=True)
        return took

    device = jax.devices()[0].device_kind
    print(f"EfficientNet-{model.capitalize()}, {device}, jax {jax.__version__}, one photograph")
    print(f"{'':28} {'compile s':>9} {'run s':>7} {'ratio':>6} {'memory MB':>9}")
    one = report(f"{PASSES} bare passes", bare_passes(network.apply, PASSES), None) / PASSES
    for ord in (2, jnp.inf):
        floor = lambda program: float(program(*arguments).num_grads) * one
        report(f"minimal, {effort}, l{ord:g}", partial(search, ord=ord), floor)
    pulled = report(f"{classes} gradients of logits", rows, None)
    report(f"spectrum of {classes} logits", spectrum, lambda _: pulled)


if __name__ == "__main__":
    main()
