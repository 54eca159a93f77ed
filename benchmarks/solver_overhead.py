"""What a solver costs beyond the passes through the network that it needs.

    python benchmarks/solver_overhead.py
    python benchmarks/solver_overhead.py --batch 8192 --only ddn

Every solver runs on one batch of digits in one compiled call; its time is divided by that of as
many bare forward and backward passes as it counts gradients, in the same run. Ratios hold between
machines better than seconds; both are printed. So is the memory for intermediate results, over that
of the bare passes, as the compiler states it.
"""

import click
import jax
import jax.numpy as jnp
from _timing import REPEATS, bare_passes, compiling, memory, seconds

from fracture import data, models, perturbation


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--batch", type=click.IntRange(1, 10000), default=256, show_default=True)
@click.option("--only", default="", help="Solvers to run, separated by commas; default all.")
def main(batch: int, only: str) -> None:
    solvers = only.split(",") if only else list(perturbation.SOLVERS)
    unknown = set(solvers) - set(perturbation.SOLVERS)
    if unknown:
        raise click.UsageError(f"--only: {', '.join(unknown)} is no solver.")
    inputs = data.digits().inputs[:batch]
    networks = {
        "MLP 784-256-256-10": models.mlp((28, 28, 1), 10),
        "CNN 16-32": models.cnn((28, 28, 1), 10),
    }
    device = jax.devices()[0].device_kind
    print(f"{batch} digits, l2, no box, {device}, jax {jax.__version__}, best of {REPEATS}")
    print(
        f"{'network':20} {'solver':10} {'gradients':>9} {'compile s':>9} {'run s':>7} "
        f"{'ratio':>6} {'memory':>6}"
    )
    for name, network in networks.items():
        params = network.init(jax.random.key(0))
        labels = jax.vmap(network.apply, (None, 0))(params, inputs).argmax(-1).astype(jnp.int32)
        arguments = (params, inputs, labels)
        num = 20
        bare, _ = compiling(bare_passes(network.apply, num), *arguments)
        one = seconds(bare, *arguments) / num
        for solver in solvers:
            solve = perturbation.SOLVERS[solver]

            def attack(params, inputs, labels, solve=solve, apply=network.apply):
                return jax.vmap(lambda x, y: solve(lambda z: apply(params, z), x, y))(
                    inputs, labels
                )

            compiled, compile_seconds = compiling(attack, *arguments)
            took = seconds(compiled, *arguments)
            gradients = float(compiled(*arguments).num_grads.mean())
            print(
                f"{name:20} {solver:10} {gradients:9.0f} {compile_seconds:9.1f} {took:7.2f} "
                f"{took / (gradients * one):6.2f} {memory(compiled) / memory(bare):6.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
