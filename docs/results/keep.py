"""Keep the results of a folder here, small, and bring the map on the README up to date.

    fracture reproduce all --out everything && python docs/results/keep.py everything

Each `NAME.nc` of the folder is written again as it is, by `fracture.sweeps`, but for its floats:
float32, rounded to 11 bits of mantissa, a relative error of at most 5e-4 where three digits are
printed. Rounded numbers compress, and so does what HDF5 adds to small arrays, in gzip best: a file
is `NAME.nc.gz`. Provenance, date and command stay, the latter without its folder. Without a folder,
only the map is made again.

What the command line did not measure for a claim is left out, and so is a result of fewer seeds
than the one that is here, such as one of quick size: remove that one first where it is meant.
"""

import contextlib
import gzip
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import xarray as xr

from fracture import experiments
from fracture.experiments import Findings
from fracture.report import verdict_map, verdict_sentences
from fracture.sweeps import read_dataset, write_dataset

HERE = Path(__file__).parent
README = HERE.parents[1] / "README.md"
BITS = 11
RELATIVE_ERROR = 2.0**-BITS
PICTURES = {"light": HERE / "map.png", "dark": HERE / "map-dark.png"}


def keep(path: Path) -> Path:
    """Store a result here; returns its file."""
    kept = _kept(path)
    with TemporaryDirectory() as folder:
        small = Path(folder) / path.name
        dataset = rounded(read_dataset(path))
        command = _without_folder(dataset.attrs["command"])
        write_dataset(small, dataset.assign_attrs(command=command))
        kept.write_bytes(gzip.compress(small.read_bytes(), mtime=0))
    return kept


def why_not(path: Path) -> str:
    """Why a file is not to be stored here; empty where it is."""
    if path.name.startswith(".") or path.name == "analysis.nc":
        return "no result of a claim"
    attrs = read_dataset(path).attrs
    if "claim" not in attrs:
        return "a sweep of one's own, no result of a claim"
    if "command" not in attrs:
        return "not made by the command line, which writes down how to repeat it"
    if _kept(path).exists():
        here, seeds = _seeds(_unpacked(_kept(path)).attrs), _seeds(attrs)
        if seeds < here:
            return f"{seeds} seeds in all, fewer than the {here} of the one that is here"
    return ""


def _without_folder(command: str) -> str:
    """A command without its `--out`, a folder of whoever ran it."""
    words = shlex.split(command)
    if "--out" in words:
        at = words.index("--out")
        del words[at : at + 2]
    return shlex.join(word for word in words if not word.startswith("--out="))


def _kept(path: Path) -> Path:
    return HERE / f"{path.name}.gz"


def _seeds(attrs: Mapping[str, Any]) -> int:
    return int(np.sum(attrs["seeds"]))


def _unpacked(kept: Path) -> xr.Dataset:
    with TemporaryDirectory() as folder:
        path = Path(folder) / kept.stem
        path.write_bytes(gzip.decompress(kept.read_bytes()))
        return read_dataset(path)


def rounded(dataset: xr.Dataset) -> xr.Dataset:
    """Float32 with few bits of mantissa in place of floats; all else as it is."""
    dataset = dataset.map(lambda of: of.copy(data=_rounded(of.values)), keep_attrs=True)
    return dataset.drop_encoding().assign_attrs(precision=f"{BITS} bits of mantissa")


def _rounded(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind != "f":
        return values
    mantissa, exponent = np.frexp(values)
    with np.errstate(over="ignore"):
        small = np.ldexp(np.round(mantissa * 2**BITS) / 2**BITS, exponent).astype(np.float32)
    lost = (values != 0) & (np.abs(small) < np.finfo(np.float32).tiny)
    if lost.any() or (np.isfinite(values) != np.isfinite(small)).any():
        raise ValueError("a value is out of the range of float32.")
    return small


@contextlib.contextmanager
def unpacked() -> Iterator[Path]:
    """A folder with all that is stored, as `fracture reproduce` would have left it."""
    with TemporaryDirectory() as folder:
        for path in HERE.glob("*.nc.gz"):
            (Path(folder) / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
        yield Path(folder)


def load() -> dict[str, Findings]:
    """Everything that is stored, judged again."""
    with unpacked() as folder:
        return experiments.load(folder)


def map_text(findings: Mapping[str, Findings]) -> str:
    """The map as the README has it, between two comments."""
    light, dark = (path.relative_to(README.parent).as_posix() for path in PICTURES.values())
    lines = [
        "<!-- map: made by docs/results/keep.py from stored results -->",
        "<picture>",
        f'<source media="(prefers-color-scheme: dark)" srcset="{dark}">',
        f'<img alt="{verdict_map(findings).alt}" src="{light}" width="700">',
        "</picture>",
        "",
        *(f"- {sentence}" for sentence in verdict_sentences(findings)),
        "",
        "<details><summary>Claim by claim</summary>",
        "",
        *_claim_by_claim(findings),
        "",
        "</details>",
        "<!-- end of the map -->",
    ]
    return "\n".join(lines)


def _claim_by_claim(findings: Mapping[str, Findings]) -> Iterator[str]:
    """A table of what each claims, how many of its laws hold, and what the first of them found."""
    yield "| claimed | laws that hold | the first of them, as measured |"
    yield "|---|---|---|"
    for found in findings.values():
        words, first = [each.word for each in found.verdicts], found.verdicts[0]
        open_ = f", {words.count('undecided')} undecided" if "undecided" in words else ""
        cells = (
            experiments.claim(found.dataset.attrs["claim"]).title,
            f"{words.count('holds')} of {len(words)}{open_}",
            f"{first.law}: {first.word}, {first.finding}",
        )
        yield f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def draw_map(findings: Mapping[str, Findings]) -> None:
    """Put the map on the README, and its figure beside the results."""
    drawing = verdict_map(findings)
    for theme, path in PICTURES.items():
        path.write_bytes(drawing.encode("png", theme))
    text = README.read_text()
    made = re.sub(
        "<!-- map:.*<!-- end of the map -->", lambda _: map_text(findings), text, flags=re.S
    )
    README.write_text(made)


if __name__ == "__main__":
    import jax

    jax.config.update("jax_enable_x64", True)  # as the command line does before it judges
    for given in sys.argv[1:]:
        for found in sorted(Path(given).glob("*.nc")):
            if reason := why_not(found):
                print(f"{found}: left out, {reason}", file=sys.stderr)
                continue
            kept = keep(found)
            print(f"{kept.name}: {kept.stat().st_size / 1000:.0f} kB")
    draw_map(load())
