"""Results that are kept in `docs/results`: small, read, judged, and what README and pages say."""

import keep
import numpy as np
import pytest
import xarray as xr
from measured import LINE
from PIL import Image

from fracture import experiments
from fracture.report import verdict_sentences
from fracture.sweeps import read_dataset, write_dataset

STORED = sorted(keep.HERE.glob("*.nc.gz"))


@pytest.fixture(scope="module")
def findings():
    return keep.load()


def test_all_together_are_small_and_of_claims_that_there_are(findings):
    assert sum(path.stat().st_size for path in STORED) < 2e6
    assert len(findings) == len(STORED)
    for name, found in findings.items():
        attrs = found.dataset.attrs
        assert attrs["experiment"] == name
        assert attrs["claim"] in experiments.names()
        assert attrs["command"].startswith("fracture reproduce")
        assert all(attrs[said] for said in ("created", "version", "commit", "precision"))
        assert all(len(v.law) + len(v.finding) < LINE for v in found.verdicts), name


def test_the_readme_says_what_the_stored_results_say(findings):
    assert 0 < len(verdict_sentences(findings)) <= 10
    wanted = keep.map_text(findings)
    assert wanted in keep.README.read_text(), "run `python docs/results/keep.py`"
    for path in keep.PICTURES.values():  # the figure says of which numbers it is
        with Image.open(path) as picture:
            assert picture.info["Description"] in wanted


@pytest.mark.fast
def test_rounding_keeps_four_digits_and_what_is_not_finite():
    values = np.array([0.0, -1 / 3, 1e-30, 2e30, np.inf, -np.inf, np.nan, 1 - 2**-14])
    dataset = xr.Dataset(
        {"a": ("at", values), "b": ("at", np.arange(8))}, attrs={"title": "made up"}
    )
    got = keep.rounded(dataset)
    assert got["a"].dtype == np.float32
    assert got["b"].dtype == np.int64
    np.testing.assert_allclose(got["a"], values, rtol=keep.RELATIVE_ERROR)
    mantissa, _ = np.frexp(got["a"].values[np.isfinite(values)])
    np.testing.assert_array_equal(mantissa * 2**keep.BITS % 1, 0)
    for scale in (1e30, 1e-10):  # 2e60 and 1e-40, which would be inf and of few bits
        with pytest.raises(ValueError, match="range of float32"):
            keep.rounded(dataset * scale)


def test_what_is_no_result_of_a_claim_or_smaller_is_left_out(tmp_path, monkeypatch):
    with keep.unpacked() as folder:
        whole = read_dataset(folder / "digits.nc")
    monkeypatch.setattr(keep, "HERE", tmp_path / "kept")
    keep.HERE.mkdir()

    def written(name, dataset):
        write_dataset(tmp_path / name, dataset)
        return tmp_path / name

    without = lambda name: whole.drop_attrs(deep=False).assign_attrs(
        {key: value for key, value in whole.attrs.items() if key != name}
    )
    assert keep.why_not(written("analysis.nc", whole)) == "no result of a claim"
    assert keep.why_not(written(".hidden.nc", whole)) == "no result of a claim"
    assert keep.why_not(written("own.nc", without("claim"))).startswith("a sweep of one's own")
    assert keep.why_not(written("python.nc", without("command"))).startswith("not made by")
    path = written("digits.nc", whole)
    assert keep.why_not(path) == ""
    keep.keep(path)
    assert keep.why_not(path) == ""
    quick = written("digits.nc", whole.assign_attrs(seeds=[6, 6]))
    assert keep.why_not(quick).startswith("12 seeds in all, fewer than the 24")
