"""Samples of a law that is known, as a sweep over dimensions gives them."""

import numpy as np
import xarray as xr

from fracture import theory
from fracture.vocabulary import quantity

DIMS = (8, 32, 128)


def sample(draw, *, seeds=400, name="ratio"):
    rng = np.random.default_rng(0)
    values = np.stack([draw(rng, dim, seeds) for dim in DIMS])
    coords = {"dim": list(DIMS), "seed": np.arange(seeds)}
    return xr.DataArray(values, coords, ("dim", "seed"), name, quantity("ratio").attrs())


def beta(rng, dim, seeds):
    return np.sqrt(rng.beta(0.5, (dim - 1) / 2, seeds))


LAWS = {dim: theory.compression(dim) for dim in DIMS}
