"""Images of any number of channels as what can be drawn."""

import numpy as np
import xarray as xr


def pixels(images: xr.DataArray) -> np.ndarray:
    """Grey values, or three colours along the last axis; other channels as their mean.

    Channels are the dimension `channel`, else the last of three dimensions beside `example`.
    """
    if "channel" in images.dims:
        images = images.transpose(..., "channel")
    values = np.asarray(images, float)
    if not channels(images):
        return values
    return values if values.shape[-1] == 3 else values.mean(axis=-1)


def channels(images: xr.DataArray) -> int:
    """How many channels the images have; 0 for those without the axis."""
    if "channel" in images.dims:
        return images.sizes["channel"]
    sizes = [size for name, size in images.sizes.items() if name != "example"]
    return sizes[-1] if len(sizes) == 3 else 0
