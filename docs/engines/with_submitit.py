"""Jobs of Slurm, one for each chunk: python with_submitit.py; on this machine without Slurm."""

from pathlib import Path

import submitit
from lengths import SWEEP

from fracture.sweeps import run

if __name__ == "__main__":
    executor = submitit.AutoExecutor("jobs")
    executor.update_parameters(timeout_min=60, cpus_per_task=2)
    print(run(SWEEP, out=Path("lengths"), executor=executor, progress=True))
