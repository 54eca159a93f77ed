"""What holds for every claim of the registry, and for one of another package."""

import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from typing import NamedTuple

import keep
import numpy as np
import pytest
import xarray as xr
from measured import LINE, measured, small
from reported import own_sweep

from fracture import _registry, experiments, statistics
from fracture._code import digest_of_names
from fracture.sweeps import read_dataset, write_dataset
from fracture.vocabulary import variables

NAMES = experiments.names()


@pytest.fixture(scope="module", params=NAMES)
def found(request):
    """A claim in small."""
    try:
        experiments.settle(experiments.claim(request.param), settings=small(request.param)[0])
    except ModuleNotFoundError as error:
        pytest.skip(str(error))
    return measured(request.param)


def test_every_claim_says_what_it_measured(found):
    dataset, summary = found.dataset, found.summary
    what = experiments.claim(dataset.attrs["claim"])
    assert all([what.source, what.title, what.text])
    for name, variable in variables(what.cell).items():
        assert dataset[name].dims == (*statistics.axes(dataset), "seed", *variable.dims)
        assert dataset[name].attrs == variable.quantity.attrs()
    for name, variable in summary.data_vars.items():
        assert all([variable.attrs["symbol"], variable.attrs["long_name"]]), name
    assert found.verdicts
    assert all(verdict.law and verdict.finding for verdict in found.verdicts)
    assert all(len(verdict.finding) + len(verdict.law) < LINE for verdict in found.verdicts)


def test_every_claim_is_undecided_where_nothing_was_measured(found):
    nothing = found.dataset.copy()
    for name, variable in nothing.data_vars.items():
        nothing[name] = xr.full_like(variable, np.nan, float)
    what = experiments.claim(found.dataset.attrs["claim"])
    judged = what.judge(nothing)
    assert {verdict.word for verdict in judged.verdicts} == {"undecided"}
    for drawing in what.draw(judged).values():
        drawing.draw("light")


def test_every_claim_is_judged_again_alike_and_drawn_in_both_themes(found, tmp_path):
    experiments.save(found, tmp_path)
    (loaded,) = experiments.load(tmp_path).values()
    xr.testing.assert_equal(loaded.dataset, found.dataset)
    for name, value in found.dataset.attrs.items():  # a list of one is read as what is in it
        assert np.array_equal(np.atleast_1d(loaded.dataset.attrs[name]), np.atleast_1d(value))
    xr.testing.assert_identical(loaded.summary, found.summary)
    assert loaded.fits == found.fits
    assert str(loaded.verdicts) == str(found.verdicts)  # numbers may be NaN
    drawings = experiments.claim(found.dataset.attrs["claim"]).draw(loaded)
    assert drawings
    for drawing in drawings.values():
        assert all([drawing.title, drawing.caption, drawing.alt])
        assert drawing.encode("png", "light") != drawing.encode("png", "dark")


def test_every_stored_result_is_what_is_measured_now(found):
    """Seeds at points that were measured above, or else one at the smallest of the stored."""
    name = found.dataset.attrs["claim"]
    with keep.unpacked() as folder:
        every = [read_dataset(path) for path in folder.glob(f"{name}*.nc")]  # and a variant
    for stored in (dataset for dataset in every if dataset.attrs["claim"] == name):
        now, axes = found.dataset, statistics.axes(stored)
        shared = {axis: np.intersect1d(now[axis], stored[axis]) for axis in axes}
        known = stored.attrs["options"] == now.attrs["options"]
        if not (known and all(values.size for values in shared.values())):
            shared = {axis: stored[axis].values[:1] for axis in axes}
            settings = shared | json.loads(stored.attrs["options"])
            now = experiments.reproduce(name, settings=settings, seeds=1).dataset
        now = now.sel(shared)
        for variable in now.data_vars:
            if variable not in stored:  # an option since then, and not asked for
                assert now[variable].isnull().all(), variable
                continue
            seeds = {"seed": np.intersect1d(now["seed"], stored["seed"])}
            was = stored[variable].sel(shared | seeds)
            close = np.isclose(now[variable].sel(seeds), was, rtol=1e-2, atol=1e-6, equal_nan=True)
            # Training may magnify rounding where an input is at a kink, for one of two seeds, say;
            # of other draws, hardly any would be that close.
            assert close.mean() >= 0.5, variable


@pytest.mark.fast
def test_folders_without_results_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no results"):
        experiments.load(tmp_path)
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.raises(ValueError, match=r"other\.nc holds no result"):
        experiments.load(tmp_path)


@pytest.mark.fast
def test_a_sweep_of_ones_own_is_loaded_beside_claims(tmp_path):
    dataset = own_sweep()
    write_dataset(tmp_path / "mine.nc", dataset)
    (loaded,) = experiments.load(tmp_path).values()
    assert loaded.dataset.attrs["title"] == "Random networks"
    xr.testing.assert_identical(loaded.summary, statistics.summarise(dataset))
    assert loaded.fits == statistics.exponents(dataset)
    assert loaded.verdicts == ()
    write_dataset(tmp_path / "titled.nc", dataset.assign_attrs(title="Mine"))
    assert experiments.load(tmp_path)["titled"].dataset.attrs["title"] == "Mine"
    write_dataset(tmp_path / "broken.nc", dataset.rename(dim="width"))
    with pytest.raises(ValueError, match=r"broken\.nc does not hold what this version stores"):
        experiments.load(tmp_path)


@pytest.mark.fast
def test_a_file_of_nobody_beside_results_is_a_warning(tmp_path):
    write_dataset(tmp_path / "mine.nc", own_sweep())
    xr.Dataset({"a": 1}).to_netcdf(tmp_path / "other.nc", engine="h5netcdf")
    with pytest.warns(UserWarning, match=r"other\.nc holds no result"):
        assert len(experiments.load(tmp_path)) == 1


CLAIM = '''
"""A twist of two axes is half the sum of their angles.

Nothing is claimed here but that a file is enough.
"""
from typing import Annotated, NamedTuple
import jax, xarray as xr
from jaxtyping import Array, Float
from fracture import statistics
from fracture.drawing import against_axis
from fracture.experiments import Findings, Size, verdicts
from fracture.vocabulary import Quantity

SOURCE = "nobody, nowhere"

class Options(NamedTuple):
    scale: float = 2.0

class Cell(NamedTuple):
    twist: Annotated[Float[Array, ""], Quantity("θ", "angle of the twist", "rad")]

AXES = {"width": (3, 5, 7), "loss": ("mse", "mae")}
SIZES = dict.fromkeys(("quick", "default", "full"), Size(AXES, 12, 4))

def measure(key, shared, options, *, width, loss):
    return Cell(options.scale * width * jax.random.uniform(key, minval=0.98, maxval=1.02))

def judge(dataset):
    middle = lambda one: statistics.median_table(one, ["twist"])
    levels = dict(statistics.levels(dataset))
    fits = {name: statistics.exponent(one["twist"], 1.0) for name, one in levels.items()}
    found = tuple(verdicts.scaling(f"Twist, {level}", fit) for level, fit in fits.items())
    fits = tuple(fit._replace(level=level) for level, fit in fits.items() if fit is not None)
    return Findings(dataset, statistics.each_level(dataset, middle), fits, found)

def draw(findings):
    return {"twist": against_axis(findings.summary, ["twist"], title="Twist", fits=findings.fits)}
'''


@pytest.fixture
def elsewhere(tmp_path):
    """A package with one claim, as another project would install it; and how to run fracture."""
    site = tmp_path / "site"
    (site / "knots").mkdir(parents=True)
    (site / "knots" / "__init__.py").touch()
    (site / "knots" / "twist.py").write_text(CLAIM)
    info = site / "knots-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: knots\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[fracture.claims]\nknots = knots\n")
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "JAX_PLATFORMS": "cpu", "COLUMNS": "120"}
    command = [sys.executable, "-m", "fracture"]

    def start(*arguments):
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen([*command, *arguments], env=environment, **pipes)

    start.claim = site / "knots" / "twist.py"
    return start


def test_a_claim_of_another_package_is_one_file(elsewhere, tmp_path):
    """Listed, run, resumed after a kill, judged, drawn, reported: no other file is touched."""
    assert len(CLAIM.strip().splitlines()) <= 40
    listed, err = elsewhere("reproduce", "--list").communicate()
    assert "twist" in listed, err
    assert "half the sum of their angles (nobody, nowhere)" in listed
    out = tmp_path / "out"
    run = ("reproduce", "twist", "--set", "scale=3", "--out", str(out))
    process, chunks = elsewhere(*run), out / "chunks" / "twist"
    while not list(chunks.glob("*.nc")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = {path: path.stat().st_mtime_ns for path in chunks.glob("*.nc")}
    assert before
    # The caption is no reason to measure again, and a formula is.
    text = elsewhere.claim.read_text()
    elsewhere.claim.write_text(text.replace('title="Twist"', 'title="The twist"'))
    said, err = elsewhere(*run).communicate()
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert said.count("holds") >= 2, (said, err)
    assert "Twist, mse" in said
    page = (out / "index.html").read_text()
    assert "half the sum" in page
    assert "θ" in page
    assert "The twist" in page
    assert (out / "figures" / "twist-twist.svg").exists()
    elsewhere.claim.write_text(text.replace("options.scale * width", "options.scale / width"))
    process = elsewhere(*run)
    _, err = process.communicate()
    assert process.returncode == 2
    assert "holds another twist sweep (code = " in err
    assert len(err.splitlines()) == 1


CODE = """
    '''Docs.'''
    from ._other import draw_all as drawn, TITLE
    NOTE, SIZE = "a caption", 3
    def measure(x):
        '''More.'''
        return helper(x) + drawn(x)
    def helper(x): return x + SIZE
    def judge(x): return TITLE, 1
"""
OTHER = "def draw_all(x): return _inner(x)\ndef _inner(x): return 2 * x\nTITLE = 'a title'\n"


@pytest.mark.fast
def test_only_what_measures_counts_as_code(tmp_path):
    def digest(changed=("", ""), other=("", "")):
        (tmp_path / "a.py").write_text(textwrap.dedent(CODE).replace(*changed))
        (tmp_path / "_other.py").write_text(OTHER.replace(*other))
        return digest_of_names(tmp_path / "a.py", ["measure"])

    base = digest()
    assert digest(("return helper(x)", "# why\n\n    return helper(x)")) == base
    assert digest(("More.", "Less.")) == base
    assert digest(("TITLE, 1", "TITLE, 2")) == base
    assert digest(other=("a title", "another")) == base
    assert digest(("x + SIZE", "x - SIZE")) != base
    assert digest(("3", "4")) != base
    assert digest(other=("2 * x", "3 * x")) != base
    through = ("from ._other import draw_all as drawn, TITLE", "from . import _other as beside")

    def reached(other=("", "")):
        (tmp_path / "_other.py").write_text(OTHER.replace(*other))
        text = textwrap.dedent(CODE).replace(*through).replace("drawn(x)", "beside.draw_all(x)")
        (tmp_path / "a.py").write_text(text)
        return digest_of_names(tmp_path / "a.py", ["measure"])

    assert reached(("a title", "another")) == reached()
    assert reached(("2 * x", "3 * x")) != reached()


IMPORTS = """
    import sys
    from fracture import _registry as registry
    print([registry.statement(entry.path) for entry in registry.entries().values()])
    assert "jax" not in sys.modules
"""


@pytest.mark.fast
def test_the_registry_imports_nothing():
    script = [sys.executable, "-c", textwrap.dedent(IMPORTS)]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "√d" in done.stdout


class Several(NamedTuple):
    """Options of all kinds."""

    rate: float = 1e-3
    widths: tuple[int, ...] = (4, 4)
    bias: bool = False
    decay: float | None = None
    loss: str = "mse"


@pytest.mark.fast
@pytest.mark.parametrize(
    ("settings", "options", "axis"),
    [
        ({"rate": "1", "widths": "8, 16", "decay": "0.5"}, Several(1.0, (8, 16), False, 0.5), None),
        ({"bias": "true", "decay": "none", "loss": " mae"}, Several(bias=True, loss="mae"), None),
        ({"rate": np.float32(0.5), "widths": (np.int64(3),)}, Several(0.5, (3,)), None),
        ({"width": "2,0.5"}, Several(), (2, 0.5)),
        ({"width": np.array([1, 2])}, Several(), (1, 2)),
    ],
)
def test_settings_are_read_by_their_annotations(settings, options, axis):
    what = experiments.claim("digits")._replace(
        options=Several,
        check=lambda options, axes: None,
        sizes={"default": experiments.Size({"width": (1, 2)}, 4, 4)},
    )
    got, size = experiments.settle(what, settings=settings)
    assert got == options
    assert size.axes["width"] == (axis or (1, 2))
    for wrong in ({"bias": 2}, {"widths": "a"}, {"rate": True}, {"width": "a,b"}, {"loss": 1}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be of type"):
            experiments.settle(what, settings=wrong)


@pytest.mark.fast
def test_what_other_packages_do_wrong_is_a_warning(tmp_path, monkeypatch):
    """One that raises, one that is not there, and a claim of a name that there is already."""
    for name, text in {"raising": "raise RuntimeError('no')", "clashing": ""}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(text)
    (tmp_path / "clashing" / "digits.py").write_text("syntax error")
    (tmp_path / "clashing" / "broken.py").write_text("syntax error")
    groups = ["raising.part", "nowhere", "clashing"]
    points = [importlib.metadata.EntryPoint(name, name, _registry.GROUP) for name in groups]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: points)
    monkeypatch.syspath_prepend(tmp_path)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = _registry.entries()
    assert sorted(str(one.message).split(" ")[0] for one in caught) == ["the", "the", "two"]
    assert set(found) == {*NAMES, "broken"}
    assert found["digits"].module.startswith("fracture.")
    assert _registry.statement(found["broken"].path)[0].startswith("cannot be read (SyntaxError")


@pytest.mark.fast
def test_a_file_that_is_no_claim_says_what_is_missing():
    import fracture.norms

    with pytest.raises(ValueError, match=r"norms.*declares no SOURCE"):
        experiments.of_module(fracture.norms)
    with pytest.raises(ValueError, match=r"there is no claim 'knot'; there are .*digits, "):
        experiments.reproduce("knot")
    assert set(NAMES) == set(_registry.entries())
