"""Workers of Dask: python with_dask.py tcp://login:8786, or without an address on this machine."""

import sys
from pathlib import Path

from distributed import Client
from lengths import SWEEP

from fracture.sweeps import run

if __name__ == "__main__":
    with Client(*sys.argv[1:]) as client:
        executor = client.get_executor(pure=False)
        print(run(SWEEP, out=Path("lengths"), executor=executor, progress=True))
