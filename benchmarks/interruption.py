"""Kill a sweep again and again, resume it, and compare its bits with those of one left alone.

    python benchmarks/interruption.py
    python benchmarks/interruption.py --kills 20 --key 1

`fracture reproduce` of a small claim is ended at random moments, from its start to its page, by
SIGKILL, SIGTERM, SIGINT or SIGHUP in turn, and started again in the same folder. After each kill
all that was finished must be there, whole and unchanged; when a sweep ends, its measurements must
be those of the undisturbed one, and the next kills are of a new sweep. Each command is a fork of
one process that has imported everything, so that kills are not wasted on imports.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("NPROC", "16")
os.environ["JAX_PLATFORMS"] = "cpu"

import signal
import sys
import tempfile
import time
import warnings
from pathlib import Path

import click
import numpy as np
import xarray as xr

import fracture.cli
import fracture.experiments
import fracture.report  # noqa: F401, for the forks
from fracture.__main__ import main as command
from fracture.sweeps import read_dataset, status

SIGNALS = signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP
COMMAND = ["reproduce", "lengths"]
CLAIM = '''
"""The length of a Gaussian vector in d dimensions is about the root of d."""
from typing import Annotated, NamedTuple
import jax
from jaxtyping import Array, Float
from fracture import statistics
from fracture.drawing import against_axis
from fracture.experiments import Findings, Size
from fracture.norms import norm
from fracture.vocabulary import quantity

SOURCE = "folklore"
SIZES = dict.fromkeys(("quick", "default", "full"), Size({"dim": (2, 3, 4, 5)}, 6, 2))

class Options(NamedTuple):
    scale: float = 1.0

class Cell(NamedTuple):
    radius: Annotated[Float[Array, ""], quantity("radius")]

def measure(key, shared, options, *, dim):
    return Cell(options.scale * norm(jax.random.normal(key, (dim,))))

def judge(dataset):
    return Findings(dataset, statistics.median_table(dataset, ["radius"]), (), ())

def draw(findings):
    return {"lengths": against_axis(findings.summary, ["radius"], title="Lengths")}
'''
UNLIKE = ["compile_seconds", "run_seconds"]  # and when, by which command: what no bits depend on


def claim_of_another_package(folder: Path) -> None:
    """A package that adds the claim, as `CONTRIBUTING.md` says, importable from here on."""
    (folder / "lengths_claims").mkdir()
    (folder / "lengths_claims" / "__init__.py").touch()
    (folder / "lengths_claims" / "lengths.py").write_text(CLAIM.lstrip())
    info = folder / "lengths-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lengths\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[fracture.claims]\nlengths = lengths_claims\n")
    sys.path.insert(0, str(folder))


def start(out: Path) -> int:
    """Fork; the command runs in the child, whose number is returned."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # JAX has imported, and runs nothing that a fork could lose
        child = os.fork()
    if child:
        return child
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(os.open(out.with_suffix(".err"), os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    sys.argv = ["fracture", *COMMAND, "--out", str(out)]
    code = 1
    try:
        command()
    except SystemExit as end:
        code = end.code or 0
    finally:
        os._exit(code)


def complete(out: Path) -> None:
    """Run the command to its end."""
    code = os.waitpid(start(out), 0)[1]
    assert code == 0, out.with_suffix(".err").read_text()


def killed(out: Path, number: int, seconds: float, chunks: int) -> bool:
    """Start, and send a signal after some time, once there are so many chunks.

    Returns whether it came before the end, which must be a good one.
    """
    child, began = start(out), time.monotonic()
    while time.monotonic() - began < seconds or len(stored(out)) < chunks:
        time.sleep(0.002)
        done, code = os.waitpid(child, os.WNOHANG)
        if done:
            assert code == 0, f"it ended by itself, with {code}"
            return False
    os.kill(child, number)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, -number, 128 + number), f"exit code {code} after signal {number}"
    return code != 0


def stored(out: Path) -> list[Path]:
    """The files of finished chunks."""
    return list(out.glob("chunks/lengths/*.nc"))


def finished(out: Path) -> dict[str, tuple[int, bytes]]:
    """Every stored chunk, which must be whole, with the time at which it was written."""
    found = status(out)
    bad = {"damaged", "foreign", "failed"}
    assert all(bad.isdisjoint(one.counts) for one in found), found
    if (out / "lengths.nc").exists():
        read_dataset(out / "lengths.nc", checked=True)
    return {path.name: (path.stat().st_mtime_ns, path.read_bytes()) for path in stored(out)}


def measured(out: Path) -> xr.Dataset:
    """What the command measured, without when and how long."""
    dataset = read_dataset(out / "lengths.nc", checked=True)
    assert (out / "index.html").exists()
    return dataset.drop_vars(UNLIKE).assign_attrs(created="", command="")


@click.command()
@click.option("--kills", default=200, show_default=True, help="How often a command is killed.")
@click.option("--key", default=0, show_default=True, help="Of the moments.")
def main(kills: int, key: int) -> None:
    """Kill, resume and compare; an assertion fails where something was lost."""
    random, tried, sweeps = np.random.default_rng(key), 0, 0
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # of a fork that has no handlers yet, too
    moments: list[int] = []  # chunks that were finished at each kill
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["JAX_COMPILATION_CACHE_DIR"] = str(folder / "cache")
        claim_of_another_package(folder)
        complete(folder / "first")
        began = time.monotonic()
        complete(folder / "whole")
        seconds, expected = time.monotonic() - began, measured(folder / "whole")
        xr.testing.assert_identical(measured(folder / "first"), expected)
        while tried < kills:
            out, before = folder / f"killed{sweeps}", {}
            while tried < kills:
                number = SIGNALS[tried % len(SIGNALS)]
                # Half of them at any time, half soon after some chunk, where most is written.
                late, more = random.uniform(0, seconds), random.integers(len(before), 13)
                anytime = len(before) == 12 or random.integers(2)
                moment = (late, 0) if anytime else (0.02 * late, more)
                if not killed(out, number, *moment):
                    break
                tried += 1
                after = finished(out)
                assert before.items() <= after.items(), "a finished chunk is lost, or written again"
                before = after
                moments.append(len(after))
            else:
                complete(out)
            xr.testing.assert_identical(measured(out), expected)
            assert before.items() <= finished(out).items()
            sweeps += 1
    spread = ", ".join(f"{count} with {chunks}" for chunks, count in _counted(moments).items())
    click.echo(f"{tried} of {kills} kills survived, in {sweeps} sweeps of 12 chunks ({spread}).")


def _counted(moments: list[int]) -> dict[int, int]:
    return {chunks: moments.count(chunks) for chunks in sorted(set(moments))}


if __name__ == "__main__":
    main()
