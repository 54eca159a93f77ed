"""What a solver costs beyond the passes through the network that it needs.

    python benchmarks/solver_overhead.py
    python benchmarks/solver_overhead.py --batch 8192 --only ddn

Every solver runs on one batch of digits in one compiled call; its time is divided by that of as
many bare forward and backward passes as it counts gradients, in the same run. Ratios hold between
machines better than seconds; both are printed. So is the memory for intermediate results, over that
of the bare passes, as the compiler states it.
"""

import time

import click
import jax
import jax.numpy as jnp

from fracture import data, models, perturbation

REPEATS = 3


def seconds(compiled, *arguments) -> float:
    """Shortest of a few runs."""
    jax.block_until_ready(compiled(*arguments))
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        times.append(time.perf_counter() - began)
    return min(times)


def memory(compiled) -> int:
    """Bytes of intermediate results."""
    return compiled.memory_analysis().temp_size_in_bytes


def bare_passes(apply, num: int):
    """`num` gradients of the margin of every input of a batch, one after the other."""

    def run(params, inputs, labels):
        def margin(x, label):
            return perturbation.margin(apply(params, x), label)

        gradient = jax.vmap(jax.grad(margin))
        step = lambda _, xs: xs - 1e-6 * gradient(xs, labels)
        return jax.lax.fori_loop(0, num, step, inputs)

    return run


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
        bare = jax.jit(bare_passes(network.apply, num)).lower(*arguments).compile()
        one = seconds(bare, *arguments) / num
        for solver in solvers:
            solve = perturbation.SOLVERS[solver]

            def attack(params, inputs, labels, solve=solve, apply=network.apply):
                return jax.vmap(lambda x, y: solve(lambda z: apply(params, z), x, y))(
                    inputs, labels
                )

            began = time.perf_counter()
            compiled = jax.jit(attack).lower(*arguments).compile()
            compile_seconds = time.perf_counter() - began
            took = seconds(compiled, *arguments)
            gradients = float(compiled(*arguments).num_grads.mean())
            print(
                f"{name:20} {solver:10} {gradients:9.0f} {compile_seconds:9.1f} {took:7.2f} "
                f"{took / (gradients * one):6.2f} {memory(compiled) / memory(bare):6.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
