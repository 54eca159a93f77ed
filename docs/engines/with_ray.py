"""Workers of Ray: python with_ray.py on a node of the cluster, or anywhere for a local one."""

import os
import sys
from pathlib import Path

import ray
from lengths import SWEEP

from fracture.sweeps import run


class RayExecutor:
    """All that a sweep needs of an executor."""

    def submit(self, function, *arguments):
        return ray.remote(function).remote(*arguments).future()


if __name__ == "__main__":
    ray.init(runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}})
    print(run(SWEEP, out=Path("lengths"), executor=RayExecutor(), progress=True))
