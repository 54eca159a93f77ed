"""Ranks of MPI: mpiexec -n 3 python -m mpi4py.futures with_mpi.py; one submits, two compute."""

from pathlib import Path

from lengths import SWEEP
from mpi4py.futures import MPIPoolExecutor

from fracture.sweeps import run

if __name__ == "__main__":
    with MPIPoolExecutor() as executor:
        print(run(SWEEP, out=Path("lengths"), executor=executor, progress=True))
