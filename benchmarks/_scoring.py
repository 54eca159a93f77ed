"""Judging answers, and the tables made of the judgements.

An answer is an image. It is clipped to the box [0, 1] first, and counts only if the network,
evaluated by JAX in float32 at that very image, answers another class; its norm is that of the
difference to the input, in double precision. Otherwise the norm is infinite.
"""

import csv
import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from _networks import Victim

OURS = "fracture"
MISSING = 2.0  # what an image without an answer counts for in the mean ratio
CLOSE = 1.01


class Record(NamedTuple):
    """One attack on one network in one norm."""

    name: str
    library: str
    norms: np.ndarray  # (n,); inf where the answer does not count
    gradients: float  # an image; nan where not counted
    seconds: float
    compile_seconds: float
    clean: float  # share of the answers that are the input itself
    outside: float  # share of the answers that left the box by more than rounding
    claimed: float  # success by the library's own evaluation; nan where not asked
    reused: bool = False

    @property
    def label(self) -> str:
        """Name and library; unique within a table."""
        return f"{self.name} ({self.library})"


def judge(victim: Victim, images: np.ndarray, ord: float) -> tuple[np.ndarray, float, float]:
    """Norms of the answers, and the shares that are the input itself or left the box."""
    images = np.asarray(images, np.float32).reshape(victim.inputs.shape)
    axes = tuple(range(1, images.ndim))
    outside = ~((images >= -1e-6) & (images <= 1 + 1e-6)).all(axes)  # true for NaN
    clean = (images == victim.inputs).all(axes)
    inside = np.clip(images, 0, 1)
    logits = np.asarray(_logits(victim.apply, victim.params, inside))
    wrong = np.isfinite(logits).all(1) & (logits.argmax(1) != victim.labels)
    delta = (inside.astype(float) - victim.inputs.astype(float)).reshape(len(images), -1)
    norms = np.where(wrong, np.linalg.norm(np.nan_to_num(delta), ord, axis=1), np.inf)
    return norms, float(clean.mean()), float(outside.mean())


@partial(jax.jit, static_argnums=0)
def _logits(apply, params, images):
    return jax.vmap(apply, (None, 0))(params, images)


def best_of(records: Sequence[Record]) -> np.ndarray:
    """Element-wise smallest norm."""
    return np.min([record.norms for record in records], axis=0)


def statistics(record: Record, reference: np.ndarray, everybody: np.ndarray) -> dict[str, Any]:
    """The row of a table: norms against `reference`; excess over the best of everybody."""
    found = np.isfinite(record.norms)
    ratio = record.norms / reference
    some = found & np.isfinite(reference)
    counted = np.where(found, np.where(np.isfinite(reference), ratio, 1.0), MISSING)
    excess = np.where(found, record.norms / np.where(found, everybody, 1.0), MISSING) - 1
    return {
        "name": record.name,
        "library": record.library,
        "success": float(found.mean()),
        "median norm": float(np.median(record.norms)),
        "mean norm": float(record.norms[found].mean()) if found.any() else math.inf,
        "within 1 %": float(((record.norms <= CLOSE * everybody) & found).mean()),
        "min ratio": float(ratio[some].min()) if some.any() else math.inf,
        "median ratio": float(np.median(ratio[some])) if some.any() else math.inf,
        "mean ratio": float(counted.mean()),
        "mean excess": float(excess.mean()),
        "p95 ratio": float(np.percentile(ratio[some], 95)) if some.any() else math.inf,
        "max ratio": float(ratio[some].max()) if some.any() else math.inf,
        "gradients": record.gradients,
        "seconds": record.seconds,
        "compile s": record.compile_seconds,
        "clean": record.clean,
        "outside": record.outside,
        "claimed": record.claimed,
        "reused": record.reused,
    }


FORMATS = {
    "success": "{:.3f}",
    "claimed": "{:.3f}",
    "median norm": "{:.4f}",
    "mean norm": "{:.4f}",
    "within 1 %": "{:.3f}",
    "min ratio": "{:.5f}",
    "median ratio": "{:.4f}",
    "mean ratio": "{:.4f}",
    "p95 ratio": "{:.4f}",
    "max ratio": "{:.2f}",
    "gradients": "{:.0f}",
    "seconds": "{:.2f}",
    "compile s": "{:.1f}",
}


def table(rows: Sequence[dict[str, Any]], columns: Sequence[str]) -> str:
    """Plain text, one line an attack; ours are marked."""
    head = ["", "attack", "library", *columns]
    lines = [head]
    for row in rows:
        mark = ">" if row["library"] == OURS else "r" if row["reused"] else ""
        cells = [FORMATS[column].format(row[column]) for column in columns]
        lines.append([mark, row["name"], row["library"], *cells])
    widths = [max(len(line[i]) for line in lines) for i in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < 3 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def write_rows(path: Path, rows: Sequence[dict[str, Any]], about: dict[str, Any]) -> None:
    """The table as `path`.csv and, with what the run was, as `path`.json."""
    with path.with_suffix(".csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    text = json.dumps({**about, "rows": list(rows)}, indent=1)
    path.with_suffix(".json").write_text(text + "\n")


def write_records(path: Path, records: Sequence[Record], fingerprint: str) -> None:
    """Norms per image and costs of every attack, and the best of the peers, as an .npz."""
    peers = [record for record in records if record.library != OURS]
    fields = [field for field in Record._fields if field != "reused"]
    columns = {field: np.array([getattr(record, field) for record in records]) for field in fields}
    best = best_of(peers) if peers else np.full(records[0].norms.shape, np.inf)
    np.savez(path, fingerprint=fingerprint, best_of_peers=best, **columns)


def read_peers(path: Path, fingerprint: str) -> list[Record]:
    """The peers of an earlier run on the same weights and images.

    Raises
    ------
    ValueError
        If weights or images were others.
    """
    with np.load(path) as archive:
        if str(archive["fingerprint"]) != fingerprint:
            raise ValueError(f"{path} is about other weights or images; run without --reuse-peers.")
        columns = [archive[field].tolist() for field in Record._fields if field != "reused"]
        rows = [Record(*row, reused=True) for row in zip(*columns, strict=True)]
    return [row._replace(norms=np.array(row.norms)) for row in rows if row.library != OURS]
