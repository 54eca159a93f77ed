"""The analysis of photographs: a linear network, whose numbers are known, on small pictures."""

import io
import json
import os
import re
import subprocess
import sys
import textwrap
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

from fracture import report
from fracture.analysis import Images, _photographs, digest, of_photographs, program
from fracture.perturbation import Status, affine
from fracture.sweeps import StoreMismatchError

NAMES = ("ant", "bee", "cat", "dog", "emu")
WEIGHT = jnp.asarray(np.random.default_rng(0).normal(size=(5, 48)), jnp.float32)


def apply(weight, x):
    return jnp.matmul(weight, x.ravel() - 0.5, precision="highest")


def stages(weight):
    return [lambda x: x.ravel() - 0.5, lambda h: jnp.matmul(weight, h, precision="highest")]


def problem(number=7):
    pixels = np.random.default_rng(1).uniform(0.3, 0.7, (number, 4, 4, 3))
    inputs = jnp.asarray(pixels, jnp.float32)
    labels = jax.vmap(apply, (None, 0))(WEIGHT, inputs).argmax(1).astype(jnp.int32)
    return Images(inputs, labels.at[0].set((labels[0] + 1) % 5))  # the first one is wrong


def run(queries, **options):
    options = {"names": NAMES, "model": "Linear", "solver": affine, **options}
    return of_photographs(apply, WEIGHT, queries, **options)


def test_every_number_of_a_linear_network():
    queries = problem()
    said = []
    dataset = run(queries, stages=stages, num_classes=3, progress=lambda *step: said.append(step))
    assert dataset.sizes["example"] == 7
    assert dataset["status"].values[0] == Status.MISCLASSIFIED
    assert said[0] == ("Linear, image 1: compiling", 0, 7)
    assert said[-1] == ("Linear", 7, 7)
    for at in range(1, 7):
        logits = np.asarray(WEIGHT @ (queries.inputs[at].ravel() - 0.5), float)
        label = int(queries.labels[at])
        rows = np.asarray(WEIGHT, float)
        margins, gradients = logits[label] - logits, rows[label] - rows
        others = [c for c in range(5) if c != label]
        l2 = [margins[c] / np.linalg.norm(gradients[c]) for c in others]
        linf = [margins[c] / np.abs(gradients[c]).sum() for c in others]
        np.testing.assert_allclose(dataset["radius"][at], min(l2), rtol=1e-3)
        np.testing.assert_allclose(dataset["radius_inf"][at], min(linf), rtol=1e-3)
        fooled = others[int(np.argmin(l2))]
        assert dataset["label_name"].values[at] == NAMES[label]
        assert dataset["adversarial_label_name"].values[at] == NAMES[fooled]
        odds = np.exp(logits - logits.max())
        np.testing.assert_allclose(
            dataset["probability"][at], (odds / odds.sum())[label], rtol=1e-4
        )
        after = rows @ (np.asarray(dataset["adversarial_images"][at], float).ravel() - 0.5)
        odds = np.exp(after - after.max())
        np.testing.assert_allclose(
            dataset["adversarial_probability"][at], (odds / odds.sum())[fooled], rtol=1e-4
        )
    assert dataset["singular_values"].shape == (7, 2)
    assert dataset["layer_rho"].shape == (7, 2)
    for words in ("6 of 7 images are classified right", "of 255 steps", "Law E", "0.097"):
        assert words in dataset.attrs["description"]
    whole = run(queries, num_classes=None, layer_classes=3, orders=(2,))
    np.testing.assert_allclose(
        whole["singular_values"][1],
        np.linalg.svd(WEIGHT - WEIGHT.mean(0, keepdims=True), compute_uv=False)[:4],
        rtol=1e-5,
    )
    assert (whole["span_rank"] == 4).all()
    assert "radius_inf" not in whole


RESUME = """
    import sys
    from pathlib import Path
    import jax
    sys.path.insert(0, {tests!r})
    jax.config.update("jax_enable_x64", True)
    from fracture.analysis import _photographs
    from test_photographs import problem, run
    assert len(jax.devices()) == 3
    _photographs.analyze = None  # nothing is analysed again
    run(problem(3), num_classes=3, orders=(2,), out=Path({out!r}))
"""


@pytest.mark.filterwarnings("ignore:.*no more than chance")  # of another network
def test_goes_on_where_it_stopped(tmp_path, monkeypatch):
    queries = problem(3)
    options = {"num_classes": 3, "orders": (2,), "out": tmp_path}
    first = run(queries, **options)
    next(tmp_path.rglob("*seed1.nc")).unlink()
    done = []
    original = _photographs.analyze
    monkeypatch.setattr(
        _photographs, "analyze", lambda *args, **kw: done.append(1) or original(*args, **kw)
    )
    again = run(queries, **options)
    assert len(done) == 1
    assert again.drop_attrs().equals(first.drop_attrs())
    script = textwrap.dedent(RESUME).format(tests=os.path.dirname(__file__), out=str(tmp_path))
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=3"
    environment = {**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", script], env=environment, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr.decode()
    with pytest.raises(StoreMismatchError, match="num_classes"):
        run(queries, **options | {"num_classes": 4})
    for solver in ("pgd", partial(affine, num_classes=2)):
        with pytest.raises(StoreMismatchError, match="solver"):
            run(queries, **options | {"solver": solver})
    with pytest.raises(StoreMismatchError, match="data"):
        run(Images(queries.inputs, (queries.labels + 1) % 5), **options)


def test_what_identifies_a_network():
    x, y = jnp.zeros(3), jnp.ones((2, 3))

    def identity(params, constant, stages=None):
        network = lambda params, x: params["w"] @ jnp.tanh(x) + constant
        return digest(params, program(network, params, stages, x))

    same = identity({"w": y}, jnp.zeros(2))
    assert same == identity({"w": y}, jnp.zeros(2))
    split = lambda params: (lambda x: jnp.tanh(x), lambda h: params["w"] @ h)
    others = (
        identity({"w": y.at[0, 0].add(1e-12)}, jnp.zeros(2)),
        identity({"w": y}, jnp.zeros(2).at[1].set(1e-12)),  # a weight that the function captures
        identity({"w": y, "unused": jax.random.key(0)}, jnp.zeros(2)),
        identity({"w": y, "unused": jax.random.key(1)}, jnp.zeros(2)),
        identity({"w": y}, jnp.zeros(2), split),
    )
    assert len({same, *others}) == 6


def test_names_must_fit_the_network():
    with pytest.raises(ValueError, match="Linear has 5 classes, but 2 are named"):
        run(problem(2), names=NAMES[:2])


def test_the_page_has_a_card_for_every_image(tmp_path):
    dataset = run(problem(3), stages=stages, num_classes=3)
    assert json.loads(dataset.attrs["options"])["solver"] == "affine"
    page = report.page({}, tmp_path, analyses={"photographs": dataset}).read_text()
    assert page.count('<article class="card">') == 3
    assert page.count("data:image/jpeg;base64,") == 1 + 2 * 3  # the wrong one was not attacked
    name = dataset["label_name"].values[1]
    assert f"{name}: " in page
    console = Console(file=io.StringIO(), width=120)
    console.print(*report.tables({}, analyses={"photographs": dataset}))
    fooled = dataset["adversarial_label_name"].values[1]
    assert re.search(rf"1 +{name} +{fooled} +found", console.file.getvalue())
    assert "what was added, ×" in page
    assert "before anything is changed" in page
    assert not (tmp_path / "figures" / "photographs-gallery.png").exists()
