"""Photographs: Pillow's own pixels, and lists of labels with mistakes in them."""

import os
import re
import struct
import zlib

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


def load(folder, name, side=8):
    """What the picture `name` is read as: its central square where it is 40 pixels a side."""
    (folder / "labels").write_text(f"{name},1\n")
    return np.asarray(data.load_photographs(folder, folder / "labels", side).inputs[0])


GREY = np.full((40, 40), 0x8123, np.uint16)


@pytest.mark.parametrize(
    ("name", "write", "expected"),
    [
        ("grey.png", lambda path: Image.fromarray(GREY).save(path), 0x81),
        ("grey.tif", lambda path: Image.fromarray(GREY).save(path), 0x81),
        ("big.tif", lambda path: Image.fromarray(GREY.astype(">u2")).save(path), 0x81),
        (
            "grey.pgm",
            lambda path: path.write_bytes(b"P5 40 40 65535\n" + GREY.astype(">u2").tobytes()),
            0x81,
        ),
        ("white.png", lambda path: Image.fromarray(GREY * 0 + 65535).save(path), 255),
        ("bits.png", lambda path: Image.new("1", (40, 40), 1).save(path), 255),
        ("opaque.png", lambda path: Image.new("LA", (40, 40), (7, 255)).save(path), 7),
        ("palette.gif", lambda path: Image.new("L", (40, 40), 9).convert("P").save(path), 9),
        # Adobe's inks: what cyan 55, magenta 0, yellow 155 and black 51 leave of white.
        (
            "inks.tif",
            lambda path: Image.new("CMYK", (40, 40), (55, 0, 155, 51)).save(path),
            [(255 - ink) * (255 - 51) / 255 for ink in (55, 0, 155)],
        ),
    ],
)
def test_modes_have_their_levels(tmp_path, name, write, expected):
    write(tmp_path / name)
    got = load(tmp_path, name)
    np.testing.assert_allclose(got, np.broadcast_to(np.array(expected) / 255, (8, 8, 3)), atol=4e-3)


@pytest.mark.parametrize("kind", ["jpg", "png", "tif"])
def test_pictures_are_turned_upright(tmp_path, kind):
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:20] = 255
    exif = Image.Exif()
    exif[0x0112] = 6  # the first row is the right side of what was seen
    Image.fromarray(pixels).save(tmp_path / f"a.{kind}", exif=exif)
    got = load(tmp_path, f"a.{kind}")
    np.testing.assert_allclose(got[:, 5:], 1, atol=0.02)
    np.testing.assert_allclose(got[:, :3], 0, atol=0.02)


def transparent_palette(path):
    colours = Image.new("RGB", (40, 40), (9, 9, 9)).quantize(4)
    colours.save(path, transparency=colours.getpixel((0, 0)))


def truncated(path):
    picture(path, 400, 400)
    path.write_bytes(path.read_bytes()[:-5000])


def bomb(path):
    """A PNG file of 70 bytes that says that it is 40000 × 40000."""
    chunk = lambda kind, content: (
        struct.pack(">I", len(content))
        + kind
        + content
        + struct.pack(">I", zlib.crc32(kind + content))
    )
    header = struct.pack(">IIBBBBB", 40000, 40000, 8, 2, 0, 0, 0)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("name", "write", "says"),
    [
        ("f.tif", lambda path: Image.new("F", (40, 40)).save(path), "mode 'F' has no known range"),
        ("i.tif", lambda path: Image.new("I", (40, 40)).save(path), "mode 'I' has no known range"),
        ("lab.tif", lambda path: Image.new("LAB", (40, 40)).save(path), "mode 'LAB'"),
        ("a.png", lambda path: Image.new("RGBA", (40, 40), (9, 9, 9, 254)).save(path), "transpar"),
        ("la.png", lambda path: Image.new("LA", (40, 40), (9, 0)).save(path), "transparent"),
        ("p.png", transparent_palette, "transparent"),
        ("cut.jpg", truncated, "truncated"),
        ("bomb.png", bomb, "DecompressionBomb"),
        ("long.png", lambda path: Image.new("1", (10**7, 1)).save(path), "would become"),
        ("run.eps", lambda path: Image.new("L", (40, 40)).save(path), "not a picture; wanted BMP"),
        ("pipe.png", os.mkfifo, "is a pipe"),
        ("folder.png", os.mkdir, "is a folder"),
    ],
)
def test_pictures_that_would_be_guessed_are_refused_by_name(tmp_path, name, write, says):
    write(tmp_path / name)
    with pytest.raises(ValueError, match=rf"{re.escape(name)}.*{re.escape(says)}"):
        load(tmp_path, name)


def test_lists_in_other_encodings(tmp_path):
    picture(tmp_path / "a.png", 40, 40)
    (tmp_path / "labels").write_bytes(b"\xef\xbb\xbfa.png,3\r\n")  # as spreadsheets write it
    assert data.load_photographs(tmp_path, tmp_path / "labels", 8).labels.tolist() == [3]
    for content in (b"a.png\xff,3\n", b"a.png,3\0\n", b"x" * 200_000):
        (tmp_path / "labels").write_bytes(content)
        with pytest.raises(ValueError, match="labels"):
            data.load_photographs(tmp_path, tmp_path / "labels", 8)
    (tmp_path / "labels").unlink()
    os.mkfifo(tmp_path / "labels")
    with pytest.raises(ValueError, match="labels is a pipe"):
        data.load_photographs(tmp_path, tmp_path / "labels", 8)


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
    with pytest.raises(ValueError, match="side must be an integer of at least 1, got 0"):
        data.load_photographs(tmp_path, tmp_path / "labels", 0)
    with pytest.raises(TypeError, match="dtype must be floating"):
        data.load_photographs(tmp_path, tmp_path / "labels", 8, dtype=jnp.int32)
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ModuleNotFoundError, match="the package pillow is not installed"):
        data.load_photographs(tmp_path, tmp_path / "labels", 8)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="foolbox"):
        data.imagenet_samples()


def test_names_of_the_classes():
    names = data.imagenet_classes()
    assert len(names) == len(set(names)) == 1000
    assert [names[at] for at in (0, 609, 999)] == ["tench", "jeep", "toilet tissue"]
