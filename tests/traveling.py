"""Sweeps that other processes can import: this module is on the path of tests."""

import os
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp

from fracture.sweeps import Sweep
from fracture.vocabulary import Quantity, Variable


class Cell(NamedTuple):
    draw: jax.Array
    pair: jax.Array


VARIABLES = {
    "draw": Variable(Quantity("‖z‖", "length of the draw", "m")),
    "pair": Variable(Quantity("z", "the first two", "m"), ("coordinate",)),
}


def cell(key, shared, *, dim):
    draw = jax.random.normal(key, (dim,))
    return Cell(jnp.linalg.vector_norm(draw), draw[:2] * shared)


def other(key, shared, *, dim):
    return cell(key, 2 * shared, dim=dim)


def shared(dim):
    return jnp.ones(()) * dim


def shared_with_traces(dim, *, folder, fails=None):
    """Leaves a file for each compilation; fails, or waits, at one dimension and time."""
    if folder is None:
        return shared(dim)
    tried = len(list(Path(folder).glob(f"{dim}-*")))
    Path(folder, f"{dim}-{os.getpid()}-{tried}").touch()
    if fails in (f"{dim}", f"{dim} once") and not (fails.endswith("once") and tried):
        raise ArithmeticError("no luck")
    if fails == f"{dim} waits" and not tried:
        time.sleep(600)  # to be killed
    return shared(dim)


def make(
    name="toy",
    folder=None,
    fails=None,
    root=0,
    dims=(3, 5),
    seeds=(7, 4),
    chunks=(3, 4),
    other_cell=False,
    claimed=None,
):
    """A sweep, and how others make it; `claimed`, if it is not by these arguments."""
    arguments = {"name": name, "folder": folder, "fails": fails, "root": root}
    arguments |= {"dims": dims, "seeds": seeds, "chunks": chunks}
    given = partial(shared_with_traces, folder=folder, fails=fails)
    return Sweep(
        name,
        other if other_cell else cell,
        {"dim": dims},
        seeds=seeds,
        chunks=chunks,
        variables=VARIABLES,
        shared=given,
        root=root,
        origin=("traveling:make", {**arguments, **(claimed or {})}),
    )


# The same code as with traces, which a stored sweep goes on with.
SHARED = partial(shared_with_traces, folder=None)
SWEEP = Sweep("toy", cell, {"dim": (3, 5)}, (7, 4), (3, 4), VARIABLES, SHARED)
