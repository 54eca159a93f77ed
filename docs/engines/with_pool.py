"""Processes of this machine: python with_pool.py."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from lengths import SWEEP

from fracture.sweeps import run

if __name__ == "__main__":
    # Spawned, since JAX has threads, which no fork survives.
    with ProcessPoolExecutor(2, get_context("spawn")) as executor:
        print(run(SWEEP, out=Path("lengths"), executor=executor, progress=True))
