"""The networks under attack: trained once with fracture, kept in an .npz, carried to PyTorch.

Two are trained on the first 8,000 digits of `fracture.data.digits()`; the attacked images are the
first test digits that the network classifies correctly. The third is affine, so that the exact
answer is known. The twin in PyTorch has the same weights and is compared with the original before
anything is timed.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from fracture import data, models, training
from fracture.perturbation import affine_radius

SHAPE, CLASSES, TRAIN = (28, 28, 1), 10, 8000
ARCHITECTURES = {
    "mlp": lambda: models.mlp(SHAPE, CLASSES, widths=(256, 256)),
    "cnn": lambda: models.cnn(SHAPE, CLASSES, channels=(16, 32)),
}
STEPS, BATCH = 2000, 128
AFFINE_SHAPE, AFFINE_POINTS = (10, 10, 1), 64
TOLERANCE = 1e-4  # of the logits of the twins


class Victim(NamedTuple):
    """A trained network and the images on which it is attacked, all classified correctly."""

    name: str
    apply: Callable  # apply(params, x) -> logits of one image
    params: Any
    inputs: np.ndarray  # (n, height, width, 1) in [0, 1]
    labels: np.ndarray  # (n,) int32
    accuracy: float  # on the 2,000 test digits

    def fingerprint(self) -> str:
        """Of weights and images: results are comparable only where it agrees."""
        digest = hashlib.sha256()
        for leaf in (*jax.tree.leaves(self.params), self.inputs, self.labels):
            digest.update(np.asarray(leaf).tobytes())
        return digest.hexdigest()[:16]


def load(name: str, num: int, folder: Path) -> Victim:
    """Train the network, or read its parameters from `folder`, and choose `num` test images."""
    if name == "affine":
        return _affine(min(num, AFFINE_POINTS))
    network = ARCHITECTURES[name]()
    path = folder / f"{name}_params.npz"
    train, test = data.split(data.digits(), TRAIN)
    if path.exists():
        params = read_params(path)
    else:
        params = train_network(network, train)
        write_params(path, params)
    answers = np.asarray(jax.jit(jax.vmap(network.apply, (None, 0)))(params, test.inputs).argmax(1))
    right = np.flatnonzero(answers == np.asarray(test.labels))
    if len(right) < num:
        raise ValueError(f"only {len(right)} test images are classified correctly, got {num=}.")
    chosen = right[:num]
    return Victim(
        name,
        network.apply,
        params,
        np.asarray(test.inputs)[chosen],
        np.asarray(test.labels)[chosen],
        len(right) / len(answers),
    )


def _affine(num: int) -> Victim:
    """f(x) = (x - 1/2) W with points so far from the box that it plays no part."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(CLASSES, *AFFINE_SHAPE)).astype(np.float32)
    inputs = rng.uniform(0.25, 0.75, (num, *AFFINE_SHAPE)).astype(np.float32)
    params = {"weight": jnp.asarray(weight), "bias": jnp.asarray(-weight.sum((1, 2, 3)) / 2)}
    labels = np.asarray(jax.vmap(_affine_apply, (None, 0))(params, inputs).argmax(1), np.int32)
    return Victim("affine", _affine_apply, params, inputs, labels, 1.0)


def _affine_apply(params: Any, x: jax.Array) -> jax.Array:
    return jnp.sum(params["weight"] * x[None], axis=(1, 2, 3)) + params["bias"]


def exact(victim: Victim, ord: float) -> np.ndarray:
    """Distances of the points of the affine classifier from its boundary, in double precision."""
    with jax.enable_x64(True):
        weight, bias = (jnp.asarray(victim.params[k], jnp.float64) for k in ("weight", "bias"))
        radius = lambda x, y: affine_radius(weight, bias, x, y, ord=ord, bounds=(0.0, 1.0)).radius
        inputs = jnp.asarray(victim.inputs, jnp.float64)
        return np.asarray(jax.vmap(radius)(inputs, jnp.asarray(victim.labels)))


def train_network(network: models.Network, task: data.Digits, steps: int = STEPS) -> Any:
    """Parameters after so many steps of Adam on minibatches."""
    key_init, key_fit = jax.random.split(jax.random.key(0))
    fit = jax.jit(
        lambda params, inputs, labels: training.fit(
            key_fit,
            network.apply,
            params,
            inputs,
            labels,
            loss="cross_entropy",
            steps=steps,
            batch_size=BATCH,
            optimizer=optax.adam(optax.cosine_decay_schedule(2e-3, steps)),
        )
    )
    return fit(network.init(key_init), task.inputs, task.labels).params


def write_params(path: Path, params: Any) -> None:
    """Nested dicts of arrays as an .npz whose keys are the paths, joined by slashes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    leaves = jax.tree_util.tree_leaves_with_path(params)
    np.savez(path, **{"/".join(str(part.key) for part in where): leaf for where, leaf in leaves})


def read_params(path: Path) -> Any:
    """What `write_params` wrote; keys that are numbers become integers again."""
    params: dict = {}
    with np.load(path) as archive:
        for name, leaf in archive.items():
            *folders, last = [int(p) if p.isdigit() else p for p in name.split("/")]
            inner = params
            for folder in folders:
                inner = inner.setdefault(folder, {})
            inner[last] = jnp.asarray(leaf)
    return params


def twin(victim: Victim) -> Any:
    """The same network as a `torch.nn.Module` on images (n, 1, height, width), checked on all.

    Raises
    ------
    AssertionError
        If a logit differs by more than `TOLERANCE`.
    """
    import torch

    build = {"mlp": _torch_mlp, "cnn": _torch_cnn, "affine": _torch_affine}[victim.name]
    module = build(victim.params).eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)
    images = torch.tensor(victim.inputs.transpose(0, 3, 1, 2).copy())
    theirs = module(images).numpy()
    ours = np.asarray(jax.jit(jax.vmap(victim.apply, (None, 0)))(victim.params, victim.inputs))
    worst = np.abs(theirs - ours).max()
    assert worst < TOLERANCE, f"the logits of the twin of {victim.name} differ by {worst}"
    return module


def _linear(params: Any, kernel: np.ndarray | None = None) -> Any:
    import torch

    kernel = np.asarray(params["kernel"]) if kernel is None else kernel
    layer = torch.nn.Linear(*kernel.shape)
    layer.weight.data = torch.tensor(kernel.T.copy())
    layer.bias.data = torch.tensor(np.asarray(params["bias"]))
    return layer


def _torch_affine(params: Any) -> Any:
    import torch

    kernel = np.asarray(params["weight"]).reshape(CLASSES, -1).T
    return torch.nn.Sequential(torch.nn.Flatten(), _linear(params, kernel))


def _torch_mlp(params: Any) -> Any:
    import torch

    layers: list = [torch.nn.Flatten()]  # (n, 1, 28, 28) flattens like (n, 28, 28, 1)
    for i in sorted(params["layers"]):
        layers += [_linear(params["layers"][i]), torch.nn.ReLU()]
    return torch.nn.Sequential(*layers, _linear(params["head"]))


def _torch_cnn(params: Any) -> Any:
    import torch

    layers: list = []
    side = SHAPE[0]
    for i in sorted(params["layers"]):
        kernel = np.asarray(params["layers"][i]["kernel"])  # rows, columns, in, out
        size, _, channels, features = kernel.shape
        # "SAME" with stride 2 pads one more at the end than at the beginning.
        total = (-(-side // 2) - 1) * 2 + size - side
        low, high = total // 2, total - total // 2
        convolution = torch.nn.Conv2d(channels, features, size, stride=2)
        convolution.weight.data = torch.tensor(kernel.transpose(3, 2, 0, 1).copy())
        convolution.bias.data = torch.tensor(np.asarray(params["layers"][i]["bias"]).ravel())
        layers += [torch.nn.ZeroPad2d((low, high, low, high)), convolution, torch.nn.ReLU()]
        side = -(-side // 2)
    # The head reads (row, column, channel); PyTorch flattens to (channel, row, column).
    kernel = np.asarray(params["head"]["kernel"])
    kernel = kernel.reshape(side, side, -1, CLASSES).transpose(2, 0, 1, 3).reshape(-1, CLASSES)
    return torch.nn.Sequential(*layers, torch.nn.Flatten(), _linear(params["head"], kernel))
