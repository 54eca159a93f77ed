import os
import signal
import subprocess
import sys
import time

import pytest
import xarray as xr

from fracture.cli import main


@pytest.fixture
def fracture(monkeypatch, capfd, tmp_path):
    """Run the command in an empty folder; returns exit code, standard output and error."""
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

    return call


@pytest.mark.fast
@pytest.mark.parametrize("command", [[], ["sweep"], ["analyze"], ["report"]])
def test_help_explains_every_option(fracture, command):
    code, out, err = fracture(*command, "--help")
    assert code == 0
    assert err == ""
    assert "Usage: fracture" in out
    options = [line for line in out.splitlines() if line.lstrip().startswith("-")]
    assert all(len(line.split("  ")) > 1 for line in options)


@pytest.mark.fast
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["sweep", "--dims", "8,x", "--data", "points"], "distinct positive integers"),
        (["sweep", "--dims", "8,8", "--data", "points"], "distinct positive integers"),
        (["sweep", "--dims", "-8", "--data", "points"], "distinct positive integers"),
        (["sweep", "--data", "cubes"], "'cubes' is not one of"),
        (["sweep", "--seeds", "0"], "--seeds"),
        (["sweep", "--dims", "8,16"], "--dims needs --data"),
        (["sweep", "--quick", "--data", "points"], "--quick"),
        (["sweep", "--data", "digits", "--dims", "50"], "squares"),
        (["sweep", "--data", "mixture", "--model", "interpolator"], "interpolator exists"),
        (["sweep", "--data", "points", "--layers", "2"], "layers belong to the hypercube"),
        (["sweep", "--nonsense"], "--nonsense"),
        (["report", "nowhere"], "nowhere"),
        (["report", "."], "no results"),
        (["strengthen"], "strengthen"),
    ],
)
def test_wrong_use_is_one_line_and_exit_code_2(fracture, arguments, message):
    code, out, err = fracture(*arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert err.startswith("fracture: error: ")
    assert err.count("\n") == 1


SMALL = ["sweep", "--data", "points", "--dims", "4,8", "--seeds", "40", "--out", "run"]


def test_a_sweep_leaves_results_figures_and_a_page(fracture, tmp_path):
    code, out, err = fracture(*SMALL)
    assert code == 0, err
    assert "compiling" in err
    assert "Law A (pairwise)" in out
    run = tmp_path / "run"
    assert (run / "index.html").stat().st_size > 10_000
    assert list(run.glob("figures/*.png"))
    assert list(run.glob("figures/*.svg"))
    with xr.open_dataset(run / "linear_points.nc", engine="h5netcdf") as dataset:
        assert dict(dataset.sizes) == {"dim": 2, "seed": 40}
        assert dataset["r_nn"].attrs["units"] == "input units"

    page = (run / "index.html").read_bytes()
    code, again, err = fracture("report", "run")
    assert code == 0, err
    assert "Law A (pairwise)" in again
    assert (run / "index.html").read_bytes() == page

    code, _, err = fracture(*SMALL[:-3], "41", "--out", "run")
    assert code == 2
    assert "holds another linear_points sweep" in err


def test_killed_and_started_again_it_ends_with_the_same_bits(tmp_path):
    command = [sys.executable, "-c", "from fracture.cli import main; main()"]
    command += ["sweep", "--data", "hypercube", "--dims", "4,8,16,24", "--seeds", "64"]
    cache = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    environment = {**os.environ, **cache, "JAX_PLATFORMS": "cpu"}

    def start(out):
        return subprocess.Popen(
            [*command, "--out", str(out)], env=environment, stderr=subprocess.DEVNULL
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
    for name in ("killed", "whole"):
        assert start(tmp_path / name).wait() == 0
        results.append(xr.load_dataset(tmp_path / name / "linear_hypercube.nc", engine="h5netcdf"))
    timings = ["compile_seconds", "run_seconds"]
    xr.testing.assert_identical(*(result.drop_vars(timings) for result in results))
