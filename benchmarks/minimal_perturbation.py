"""How close to the minimum, and how fast: fracture against the attack libraries of today.

    python benchmarks/minimal_perturbation.py --out bench

Every attack sees the same images of the same networks in one run: two networks trained on digits,
whose best known answers are the yardstick, and an affine one, whose exact answers are known. The
box is [0, 1]. See `_scoring.py` for what counts as an answer, `_peers.py` for the rivals: those
whose library is missing are named and left out (`pip install ".[bench]"`).
"""

import contextlib
import datetime
import io
import math
import os
import platform
import re
import shlex
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import _networks
import _ours
import _peers
import click
import jax
import numpy as np
import torch
from _picture import draw
from _scoring import (
    OURS,
    Record,
    best_of,
    judge,
    read_peers,
    statistics,
    table,
    write_records,
    write_rows,
)

NORMS = {"1": 1, "2": 2, "inf": math.inf}
COLUMNS = [
    "success",
    "claimed",
    "median norm",
    "mean norm",
    "within 1 %",
    "median ratio",
    "mean ratio",
    "max ratio",
    "gradients",
    "seconds",
    "compile s",
]
RATIOS = [f"{what} ratio" for what in ("min", "median", "mean", "p95", "max")]
EXACT = ["success", "claimed", *RATIOS, *COLUMNS[-3:]]
EXPENSIVE = 1000  # gradients an image: left out with --quick
JITTED = "DDN 100, jitted under -O"
REPEAT_BELOW = 3.0  # seconds: shorter calls are timed again, warm
LEGEND = """\
> fracture   r from an earlier run (--reuse-peers)
success      share of the images with an answer that counts; claimed: that the library itself
             takes for one (above success: answers that hold only up to its own rounding)
within 1 %   share within 1 % of the smallest norm that anybody found for the image
ratio        norm over the smallest that any peer found for the image, or the exact one; in the
             mean an image without an answer counts as 2, the other ratios leave it out
gradients    backward passes an image; seconds: of the second call where the first takes less
             than 3 s; compilation apart"""


def run_peer(peer: _peers.Peer, victim: _networks.Victim, twin: Any, ord: float) -> Record:
    """One attack of a PyTorch library, timed, judged and counted."""
    model = _peers.Counted(twin)
    device = next(iter(twin.buffers()), next(iter(twin.parameters()))).device
    images = torch.tensor(victim.inputs.transpose(0, 3, 1, 2).copy(), device=device)
    labels = torch.tensor(victim.labels, dtype=torch.long, device=device)
    seconds = math.inf
    for _ in range(2):
        torch.manual_seed(0)
        model.backward_passes = 0
        began = time.perf_counter()
        found = peer.run(model, images.clone(), labels.clone()).detach()
        found_on_host = found.cpu()  # waits for the device
        seconds, again = time.perf_counter() - began, seconds == math.inf
        if not again or seconds > REPEAT_BELOW:
            break
    gradients = model.backward_passes / len(images)
    claimed = float((twin(found).argmax(1) != labels).float().mean())
    verdict = judge(victim, found_on_host.numpy().transpose(0, 2, 3, 1), ord)
    return _record(peer.name, peer.library, verdict, (gradients, seconds, 0.0), claimed)


def _record(name: str, library: str, verdict: tuple, costs: tuple, claimed: float) -> Record:
    norms, clean, outside = verdict
    return Record(name, library, norms, *costs, clean, outside, claimed)


def run_foolbox_jax(victim: _networks.Victim, folder: Path) -> Record:
    """foolbox's DDN on JAX in a process of its own."""
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "answer.npz"
        script = Path(__file__).with_name("_foolbox_jax.py")
        command = [sys.executable, "-O", str(script), victim.name, str(len(victim.inputs))]
        result = subprocess.run([*command, str(folder), str(path)], capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError(result.stderr.strip().splitlines()[-1])
        with np.load(path) as archive:
            verdict = judge(victim, archive["images"], 2)
            costs = (100.0, float(archive["seconds"]), float(archive["compile_seconds"]))
    return _record(JITTED, "foolbox-jax", verdict, costs, math.nan)


def run_ours(entry: _ours.Ours, victim: _networks.Victim, ord: float) -> Record | None:
    """One solver of fracture; None where it does not minimise the norm."""
    answer = _ours.run(entry, victim, ord)
    if answer is None:
        return None
    costs = (answer.gradients, answer.seconds, answer.compile_seconds)
    verdict = judge(victim, answer.images, ord)
    return _record(entry.name, OURS, verdict, costs, answer.claimed)


def list_peers(
    victim: _networks.Victim, ord: float, folder: Path, *, quick: bool, full: bool
) -> dict[str, Callable[[], Record | None]]:
    """What runs each peer, by name and library; the cheap ones first."""
    twin = _networks.twin(victim).to("cuda" if jax.default_backend() == "gpu" else "cpu")
    calls: dict[str, Callable[[], Record | None]] = {}
    if ord == 2 and "foolbox" not in _peers.absent():
        calls[f"{JITTED} (foolbox-jax)"] = lambda: run_foolbox_jax(victim, folder)
    for peer in _peers.peers(ord, full):
        if not (quick and peer.cost >= EXPENSIVE):
            name = f"{peer.name} ({peer.library})"
            calls[name] = lambda peer=peer: run_peer(peer, victim, twin, ord)
    return calls


def attempt(name: str, call: Any) -> Record | None:
    """The record, or None and a line that says what was raised."""
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            record = call()
    except Exception as error:  # of any library, for any reason
        where = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(where.filename).name}:{where.lineno}"
        click.echo(f"  failed: {name}: {type(error).__name__}: {error} ({place})")
        return None
    if record is not None:
        found = np.isfinite(record.norms)
        faults = [
            f"{share:.1%} {what}"
            for share, what in [
                (record.clean, "returned unchanged"),
                (record.outside, "outside the box"),
                (record.claimed - found.mean(), "claimed, not confirmed"),
            ]
            if share > 1e-6
        ]
        click.echo(
            f"  {name:45}  success {found.mean():.3f}  median {np.median(record.norms):8.4f}  "
            f"{record.gradients:6.0f} gradients  {record.seconds:7.2f} s  {', '.join(faults)}"
        )
    return record


def compare(
    victim: _networks.Victim,
    norm: str,
    folder: Path,
    about: dict[str, Any],
    *,
    quick: bool,
    full: bool,
    reuse: bool,
    only: str,
) -> None:
    """All attacks on one network in one norm; prints the table and writes everything."""
    ord, path = NORMS[norm], folder / f"{victim.name}_{norm}"
    archive = path.with_suffix(".npz")
    records = read_peers(archive, victim.fingerprint()) if reuse and archive.exists() else []
    known = {record.label for record in records}
    calls = list_peers(victim, ord, folder, quick=quick, full=full)
    for entry in _ours.ours():
        calls[f"{entry.name} ({OURS})"] = lambda entry=entry: run_ours(entry, victim, ord)
    for name, call in calls.items():
        if name not in known and re.search(only, name) and (record := attempt(name, call)):
            records.append(record)
            write_records(archive, records, victim.fingerprint())
    if not records:
        return
    everybody = best_of(records)
    peers = [record for record in records if record.library != OURS]
    if victim.name == "affine":
        reference, columns = _networks.exact(victim, ord), EXACT
        title = "norm over the exact distance"
    else:
        reference, columns = best_of(peers or records), COLUMNS
        title = "norm over the smallest of all peers"
    rows = [statistics(record, reference, everybody) for record in records]
    rows.sort(key=lambda row: row["mean ratio"])
    about = {**about, "network": victim.name, "norm": norm, "images": len(victim.inputs)}
    write_rows(path, rows, about)
    click.echo(f"\n{victim.name}, l{norm}, {len(victim.inputs)} images, {title}")
    click.echo(table(rows, columns) + "\n")
    if victim.name != "affine":
        draw(path.with_suffix(".png"), rows, about)


@click.command(help=__doc__.split("\n\n")[0])
@click.option("--networks", default="mlp,cnn,affine", show_default=True)
@click.option("--norms", default="2,inf,1", show_default=True)
@click.option("--images", default=512, show_default=True, help="At most 64 for the affine network.")
@click.option("--quick", is_flag=True, help="64 images and no attack of 1000 gradients or more.")
@click.option("--full", is_flag=True, help="The very slow attacks, too: C&W, EAD.")
@click.option("--reuse-peers", is_flag=True, help="Run no peer whose answers are in --out already.")
@click.option("--only", default="", help='Attacks to run, a regular expression: "ddn|adv_lib".')
@click.option("--threads", type=click.IntRange(1), help="Cores for both sides; default all.")
@click.option("--out", type=click.Path(path_type=Path), default="bench", show_default=True)
def main(
    networks: str,
    norms: str,
    images: int,
    quick: bool,
    full: bool,
    reuse_peers: bool,
    only: str,
    threads: int | None,
    out: Path,
) -> None:
    cores = sorted(os.sched_getaffinity(0))
    threads = min(threads or len(cores), len(cores))
    # JAX sizes its pool by the cores that the process may use, when it first computes.
    os.sched_setaffinity(0, cores[:threads])
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    about = {
        "threads": torch.get_num_threads(),
        "device": jax.devices()[0].device_kind,
        "machine": f"{os.cpu_count()} CPU cores ({platform.machine()}), {threads} of them used",
        "created": datetime.date.today().isoformat(),
        "command": shlex.join(["python", "benchmarks/minimal_perturbation.py", *sys.argv[1:]]),
        "libraries": _peers.versions(),
        "jax": jax.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    click.echo(", ".join(f"{key} {value}" for key, value in about.items()))
    for library, error in _peers.absent().items():
        click.echo(f"absent: {library}: {error}")
    began = time.perf_counter()
    for name in networks.split(","):
        victim = _networks.load(name, min(images, 64) if quick else images, out)
        click.echo(f"{name}: {victim.accuracy:.2%} of its test inputs classified correctly")
        for norm in norms.split(","):
            options = {"quick": quick, "full": full, "reuse": reuse_peers, "only": only}
            compare(victim, norm, out, about, **options)
    click.echo(LEGEND)
    click.echo(f"Took {time.perf_counter() - began:.0f} s; tables, norms and pictures in {out}/.")
    click.echo("Cost beyond bare forward and backward passes: python benchmarks/solver_overhead.py")


if __name__ == "__main__":
    main()
