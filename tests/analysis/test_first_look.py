"""What is said of a network, images, labels and bounds that hardly belong together."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fracture.analysis import first_look

PIXELS = jnp.asarray(np.random.default_rng(0).integers(0, 256, (20, 4)), jnp.float32)
WEIGHT = jnp.asarray(np.random.default_rng(1).normal(size=(3, 4)), jnp.float32)


def network(params, x):
    """Of pixels in [0, 1]: it sees no difference between larger ones, or very small ones."""
    return params @ jnp.clip(x, 0.1, 1) ** 3


def one_output(params, x):
    return jax.nn.sigmoid(network(params, x)[0])


def softmax(params, x):
    return jax.nn.softmax(network(params, x))


UNIT = PIXELS / 255
LABELS = jax.vmap(network, (None, 0))(WEIGHT, UNIT).argmax(1)
CASES = {
    "right": ({}, None),
    "no more than chance": ({"labels": (LABELS + 1) % 3}, "0 of 20 images classified right is no"),
    "divided by 255": ({"inputs": PIXELS}, r"pixels lie in \[.*were they divided by 255, 20 inst"),
    "multiplied by 255": ({"inputs": UNIT / 255}, "were they multiplied by 255, 20 instead of"),
    "outside": ({"bounds": (0.0, 0.5)}, r"of 20 images lie outside the bounds: images lie in \["),
    "wide": ({"bounds": (0.0, 255.0)}, "more than 50 times as wide as the range of the images"),
    "within": ({"bounds": (0.0, 1.0)}, None),
    "softmax": ({"apply": softmax}, "outputs sum to 1, as those of a softmax"),
    "sigmoid": ({"apply": one_output, "labels": 0 * LABELS}, r"one output lies in \[0, 1\]"),
    "one class": ({"reference_labels": 0 * LABELS}, "all references are of one class"),
    "not finite": ({"inputs": UNIT.at[:3].set(jnp.nan)}, "logits are not finite at 3 of 20 images"),
}


def look(**changes):
    arguments = {"apply": network, "params": WEIGHT, "inputs": UNIT, "labels": LABELS}
    rest = {"reference_labels": LABELS, "bounds": None}
    return first_look(**(arguments | rest | changes))


@pytest.mark.fast
@pytest.mark.parametrize("case", CASES)
def test_each_mistake_has_its_warning(case):
    changes, message = CASES[case]
    if message is None:
        assert look(**changes) == {"accuracy": 1.0}  # a warning would be an error
        return
    with pytest.warns(UserWarning, match=message) as told:
        seen = look(**changes)
    assert seen["warnings"].splitlines() == [str(warning.message) for warning in told]


@pytest.mark.fast
def test_accuracy_is_said():
    said = []
    seen = look(labels=LABELS.at[:5].set((LABELS[:5] + 1) % 3), say=said.append)
    assert said == ["15 of 20 images are classified right (accuracy 75.0%)."]
    assert seen == {"accuracy": 0.75}


@pytest.mark.fast
def test_nothing_finite_is_an_error():
    with pytest.raises(ValueError, match="none of the 20 images is finite"):
        look(inputs=UNIT * jnp.nan)
    with pytest.raises(ValueError, match="logits are finite at none of the 20 images"):
        look(params=WEIGHT * jnp.nan)
