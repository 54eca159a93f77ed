"""What an analysis is of, so that no other takes its place in a folder."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .._concluding import concluding
from .._files import open_regular
from .._typing import Apply
from ..sweeps import StoreMismatchError, compare, read_dataset


def digest_of_file(path: Path) -> str:
    """A short digest of what a file holds."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]


def digest(arrays: Any, text: str = "") -> str:
    """Digest of given arrays and a text; of nothing that was computed, whose last bits may vary."""
    leaves, tree = jax.tree.flatten(arrays)
    found = hashlib.blake2b(f"{tree}\n{text}".encode(), digest_size=8)
    for leaf in leaves:
        key = jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key)
        array = np.asarray(jax.random.key_data(leaf) if key else leaf)
        found.update(f"{array.dtype} {array.shape}".encode() + array.tobytes())
    return found.hexdigest()


def program(apply: Apply, params: Any, stages: Any, x: jax.Array) -> str:
    """The network as XLA gets it, with the weights that are not in `params`, and its stages."""

    def outputs(params, x):
        made = [apply(params, x)]
        for stage in () if stages is None else stages(params):
            x = stage(x)
            made.append(x)
        return made

    return jax.jit(outputs).lower(params, x).as_text()


def claim(path: Path, identity: Mapping[str, Any]) -> dict[str, str]:
    """The attribute that says what an analysis is of, for the one that will be stored at `path`.

    Raises
    ------
    StoreMismatchError
        Where the one that is stored there is of something else, or does not say of what.
    """
    identity = json.loads(json.dumps(identity))
    if path.exists():
        attribute = read_dataset(path).attrs.get("identity")
        if attribute is None:
            raise StoreMismatchError(
                f"{path.parent} holds an analysis of an earlier version, which did not say of "
                "what: choose another folder."
            )
        with concluding(path):
            stored = dict(json.loads(attribute))
        compare(stored, identity, f"{path.parent} holds another analysis")
    return {"identity": json.dumps(identity)}
