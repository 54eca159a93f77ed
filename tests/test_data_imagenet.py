"""Photographs: Pillow's own pixels, and lists of labels with mistakes in them."""

import re

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from fracture import data


def picture(path, width, height):
    rows, columns = np.mgrid[:height, :width]
    pixels = np.stack([rows % 256, columns % 256, (rows + 2 * columns) % 256], -1)
    Image.fromarray(pixels.astype(np.uint8)).save(path)


@pytest.mark.fast
@pytest.mark.parametrize(("width", "height"), [(90, 60), (61, 97), (48, 48)])
def test_centre_of_the_resized_picture(tmp_path, width, height):
    picture(tmp_path / "a.png", width, height)
    (tmp_path / "labels.csv").write_text("file,label\na.png, 17\n\n")
    inputs, labels = data.load_photographs(tmp_path, tmp_path / "labels.csv", 16)
    shorter = min(width, height)
    size = (width * 48 // shorter, height * 48 // shorter)
    with Image.open(tmp_path / "a.png") as original:
        resized = np.asarray(original.resize(size, Image.Resampling.BICUBIC))
    top, left = round((size[1] - 16) / 2), round((size[0] - 16) / 2)
    expected = resized[top : top + 16, left : left + 16].astype(np.float32) / np.float32(255)
    assert inputs.shape == (1, 16, 16, 3)
    assert labels.tolist() == [17]
    assert inputs.dtype == jnp.float32
    assert labels.dtype == jnp.int32
    np.testing.assert_array_equal(inputs[0], expected)


def test_modes_are_converted_and_order_is_the_lists(tmp_path):
    Image.fromarray(np.full((50, 50), 51, np.uint8)).save(tmp_path / "grey.png")
    Image.new("RGBA", (40, 70), (255, 0, 0, 255)).save(tmp_path / "clear.png")
    (tmp_path / "labels").write_text("grey.png,3\nclear.png,2\ngrey.png,1\n")
    inputs, labels = data.load_photographs(tmp_path, tmp_path / "labels", 8, dtype=jnp.float64)
    assert labels.tolist() == [3, 2, 1]
    assert inputs.dtype == jnp.float64
    np.testing.assert_allclose(inputs[0], 0.2, rtol=1e-15)
    np.testing.assert_array_equal(inputs[1], np.broadcast_to([1.0, 0, 0], (8, 8, 3)))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "no line FILE,LABEL"),
        ("file,label\n", "no line FILE,LABEL"),
        ("a.png\n", "line 1: got 'a.png', wanted FILE,LABEL"),
        ("file,label\na.png,cat\n", "line 2"),
        ("a.png,cat\n", "line 1"),
        ("a.png,1,2\n", "line 1"),
        ("a.png,-1\n", "line 1"),
        ("labels,1\n", "labels: not a picture"),
    ],
)
def test_mistakes_in_the_list(tmp_path, text, says):
    picture(tmp_path / "a.png", 40, 40)
    (tmp_path / "labels").write_text(text)
    with pytest.raises(ValueError, match=re.escape(says)):
        data.load_photographs(tmp_path, tmp_path / "labels", 8)


def test_missing_files_packages_and_sizes(tmp_path, monkeypatch):
    (tmp_path / "labels").write_text("none.png,1\n")
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        data.load_photographs(tmp_path, tmp_path / "labels", 8)
    with pytest.raises(ValueError, match="side must be at least 1, got 0"):
        data.load_photographs(tmp_path, tmp_path / "labels", 0)
    with pytest.raises(TypeError, match="dtype must be floating"):
        data.load_photographs(tmp_path, tmp_path / "labels", 8, dtype=jnp.int32)
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ModuleNotFoundError, match="Pillow"):
        data.load_photographs(tmp_path, tmp_path / "labels", 8)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="foolbox"):
        data.imagenet_samples()


def test_names_of_the_classes():
    names = data.imagenet_classes()
    assert len(names) == len(set(names)) == 1000
    assert [names[at] for at in (0, 609, 999)] == ["tench", "jeep", "toilet tissue"]
