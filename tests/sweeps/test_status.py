"""How far a sweep is, by what stands in its folder: chunks, notes, and a lock."""

import json
import os
import platform
import shutil

import pytest
import xarray as xr
from traveling import SWEEP

from fracture.sweeps import chunk_store, status
from fracture.sweeps._notes import COMPUTING, NOTES

POINTS = SWEEP.points()
CHUNK = xr.Dataset({"draw": ("seed", [1.0])})


def whole(folder):
    """All four chunks are there."""
    with chunk_store(folder, SWEEP.provenance()) as store:
        for point, start in ((POINTS[0], 0), (POINTS[0], 3), (POINTS[0], 6), (POINTS[1], 0)):
            store.write(point, start, CHUNK)
    return folder / "chunks" / "toy"


@pytest.mark.fast
def test_done_computing_failed_and_missing(tmp_path):
    here = f"{platform.node()}, process {os.getpid()}, since 2"
    with chunk_store(tmp_path, SWEEP.provenance()) as store:
        (found,) = status(tmp_path)  # before the first chunk there is no description
        assert found.counts == {}
        store.write(POINTS[0], 0, CHUNK)
        with pytest.raises(ArithmeticError), store.computing(POINTS[0], 3):
            raise ArithmeticError("no\x1b[2J luck")
        with store.computing(POINTS[1], 0):
            (found,) = status(tmp_path)
            shutil.copytree(tmp_path, tmp_path / "killed")  # as if it was now
    assert found.name == "toy"
    assert found.holder.startswith(here)
    assert found.counts == {"done": 1, "failed": 1, "missing": 1, "computing": 1}
    (name, state, why), (other, computing, who) = found.remarks
    assert (name, state, other, computing) == ("dim3-seed3", "failed", "dim5-seed0", "computing")
    assert why.startswith(f"ArithmeticError: no�[2J luck ({here}")
    assert who.startswith(here)
    (killed,) = status(tmp_path / "killed")
    assert killed.holder == ""
    assert killed.counts == {"done": 1, "failed": 1, "missing": 2}
    assert killed.remarks[1][:2] == ("dim5-seed0", "missing")
    assert killed.remarks[1][2].startswith(f"interrupted: {here}")
    (after,) = status(tmp_path)
    assert after.counts == {"done": 1, "failed": 1, "missing": 2}
    with chunk_store(tmp_path / "killed", SWEEP.provenance()):
        assert status(tmp_path / "killed")[0].counts == {"done": 1, "missing": 3}


@pytest.mark.fast
def test_what_is_stored_is_checked_and_left_alone(tmp_path):
    folder = whole(tmp_path)
    content = (folder / "dim3-seed0.nc").read_bytes()
    (folder / "dim3-seed3.nc").write_bytes(content[:-1])
    (folder / "dim3-seed6.nc").write_bytes(b"")
    (folder / "dim5-seed0.nc").write_bytes(content)
    (folder / "dim7-seed0.nc").write_bytes(content)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    (found,) = status(tmp_path)
    assert found.counts == {"done": 1, "damaged": 2, "foreign": 2}
    assert [name for name, *_ in found.remarks] == [
        *("dim3-seed3", "dim3-seed6", "dim5-seed0", "dim7-seed0")
    ]
    assert "another sweep" in found.remarks[2][2]
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.fast
@pytest.mark.parametrize(
    "changes",
    [
        *({"grid": grid} for grid in (3, "[", "[1]", "{}", '{"dim": 3}', '{"dim": ["a/b"]}')),
        *({"seeds": seeds} for seeds in (0, [1], ["a", "b"], [10**9, 1], None)),
        {"experiment": ["toy"]},
    ],
)
def test_a_description_of_nobody_is_damaged(tmp_path, changes):
    folder = whole(tmp_path)
    described = json.loads((folder / "sweep.json").read_text())
    (folder / "sweep.json").write_text(json.dumps(described | changes))
    (found,) = status(tmp_path)
    assert found.remarks[0][:2] == ("sweep.json", "damaged")
    assert found.counts == {"done": 4}


@pytest.mark.fast
@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff", b"[" * 10**5])
def test_half_of_a_note_is_no_error(tmp_path, content):
    with chunk_store(tmp_path, SWEEP.provenance()) as store:
        store.write(POINTS[0], 0, CHUNK)
        (store.folder / NOTES / f"dim5-seed0{COMPUTING}").write_bytes(content)
        (found,) = status(tmp_path)
    assert found.remarks == [("dim5-seed0", "computing", "by an unreadable note")]
