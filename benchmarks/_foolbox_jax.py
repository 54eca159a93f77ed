"""foolbox's DDN on JAX, compiled: the fair rival in JAX. Run as a process of its own, with -O.

`python -O` removes the assertion that reads values in foolbox's check of the bounds, without which
its attacks can be traced; nothing else in this benchmark should lose its assertions.
"""

import sys
import time
from pathlib import Path

import foolbox
import jax
import numpy as np
from _networks import load

STEPS = 100


def main(name: str, num: str, folder: str, path: str) -> None:
    victim = load(name, int(num), Path(folder))

    @jax.jit
    def attack(params, images, labels):
        network = lambda x: jax.vmap(victim.apply, (None, 0))(params, x)
        model = foolbox.JAXModel(network, bounds=(0, 1))
        ddn = foolbox.attacks.DDNAttack(steps=STEPS)
        return ddn.run(model, images, foolbox.Misclassification(labels))

    arguments = (victim.params, jax.numpy.asarray(victim.inputs), jax.numpy.asarray(victim.labels))
    times = []
    for _ in range(2):
        began = time.perf_counter()
        images = jax.block_until_ready(attack(*arguments))
        times.append(time.perf_counter() - began)
    np.savez(path, images=images, seconds=times[1], compile_seconds=times[0] - times[1])


if __name__ == "__main__":
    main(*sys.argv[1:])
