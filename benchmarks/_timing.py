"""What benchmarks of compiled programs share: their time, their memory, and the floor of both."""

import time

import jax

from fracture import perturbation

REPEATS = 3
LONG_ENOUGH = 0.3  # seconds: shorter runs are repeated more often
LONG = 3.0  # seconds of all runs after which there is no other one


def seconds(compiled, *arguments) -> float:
    """Shortest of a few runs, or the only one if it is long, after one that does not count."""
    jax.block_until_ready(compiled(*arguments))
    times: list[float] = []
    while sum(times) < LONG and (
        len(times) < REPEATS or (sum(times) < LONG_ENOUGH and len(times) < 10 * REPEATS)
    ):
        began = time.perf_counter()
        jax.block_until_ready(compiled(*arguments))
        times.append(time.perf_counter() - began)
    return min(times)


def compiling(function, *arguments):
    """The compiled program of a function, and the seconds that compiling it took."""
    began = time.perf_counter()
    program = jax.jit(function).lower(*arguments).compile()
    return program, time.perf_counter() - began


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
