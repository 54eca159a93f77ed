"""What the processes of one run under `jax.distributed` tell each other.

They do so through the service that JAX connects them by, which needs neither devices nor clocks and
ends with them: what earlier runs left in a folder is not heard. Where a process dies without a
word, the service ends the others.
"""

import itertools
from typing import Any

import jax

_RUNS = itertools.count()


def next_run() -> str:
    """A name for a run, the same in all processes: they make the same calls in the same order."""
    return f"fracture/{next(_RUNS)}"


def tell(about: str, said: str) -> None:
    """Let all processes know something, in place of what this one said of it before."""
    _service().key_value_set(f"{about}/{jax.process_index()}", said, allow_overwrite=True)


def told(about: str) -> dict[int, str]:
    """What was said up to now, by the number of the process that said it."""
    found = _service().key_value_dir_get(f"{about}/")
    return {int(key.rpartition("/")[2]): said for key, said in found}


def _service() -> Any:
    from jax._src import distributed  # JAX has no public name for its service

    return distributed.global_state.client
