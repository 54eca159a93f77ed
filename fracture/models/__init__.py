"""Networks as pairs of pure functions, the Flax NNX modules behind them, and closed forms.

`mlp((28, 28, 1), 10)` and its like return a `Network`: `init(key)` makes parameters, a plain
pytree, and `apply(params, x)` maps ONE input to its logits. Any NNX module becomes one by
`functional`; every other part of fracture accepts any callable in its place.
"""

from ._cnn import CNN, cnn
from ._dense import MLP, DeepLinear, deep_linear, mlp
from ._efficientnet_lite import (
    SIZES as EFFICIENTNET_LITE_SIZES,
    EfficientNetLite,
    efficientnet_lite,
)
from ._interpolators import interpolate_hypercube, interpolate_points, linear_apply
from ._network import Network, functional
from ._pretrained import pretrained
from ._resnet import ResNet, resnet
from ._vit import ViT, vit

__all__ = [
    "CNN",
    "EFFICIENTNET_LITE_SIZES",
    "MLP",
    "DeepLinear",
    "EfficientNetLite",
    "Network",
    "ResNet",
    "ViT",
    "cnn",
    "deep_linear",
    "efficientnet_lite",
    "functional",
    "interpolate_hypercube",
    "interpolate_points",
    "linear_apply",
    "mlp",
    "pretrained",
    "resnet",
    "vit",
]
