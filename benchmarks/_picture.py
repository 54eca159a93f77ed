"""The work-precision picture: what each attack costs against how far from the best it ends."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from _scoring import OURS

matplotlib.use("Agg")
from matplotlib import patheffects, pyplot as plt
from matplotlib.axes import Axes

BLUE, GREY, PALE, INK = "#1f6fb4", "#8f8f8f", "#d4d4d4", "#333333"
FLOOR = 1e-4  # smaller excesses are drawn here
TICKS = {1e-4: "≤ 0.01 %", 1e-3: "0.1 %", 1e-2: "1 %", 1e-1: "10 %", 1: "100 %"}
PANELS = (("seconds", "seconds for all images"), ("gradients", "gradients an image"))
Box = tuple[float, float, float, float]


def draw(path: Path, rows: Sequence[dict[str, Any]], about: dict[str, Any]) -> None:
    """Two panels, time and gradients; attacks that fail on half of the images are left out."""
    rows = [row for row in rows if row["success"] > 0.5]
    figure, axes = plt.subplots(1, 2, figsize=(13, 6.4), sharey=True, layout="constrained")
    for axis, (column, label) in zip(axes, PANELS, strict=True):
        _panel(axis, rows, column)
        axis.set_xlabel(label, color=INK)
    axes[0].set_ylabel("mean excess over the smallest norm that anybody found", color=INK)
    handles = axes[0].get_legend_handles_labels()
    figure.legend(*handles, loc="outside lower center", ncols=4, frameon=False, labelcolor=INK)
    threads = "thread" if about["threads"] == 1 else "threads"
    norm = {"1": "ℓ1", "2": "ℓ2", "inf": "ℓ∞"}[about["norm"]]
    figure.suptitle(
        f"Minimal {norm} perturbations, {about['network'].upper()}, {about['images']} digits, "
        f"{about['threads']} {threads}: lower left is better",
        color=INK,
    )
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _panel(axis: Axes, rows: Sequence[dict[str, Any]], column: str) -> None:
    x = np.array([max(row[column], 1e-3) for row in rows])
    y = np.array([max(row["mean excess"], FLOOR) for row in rows])
    mine = np.array([row["library"] == OURS for row in rows])
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_yticks(list(TICKS), list(TICKS.values()))
    axis.minorticks_off()
    axis.set_xlim(x.min() / 2, x.max() * 4)
    axis.set_ylim(FLOOR / 1.6, max(y.max() * 1.8, 0.1))
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    axis.grid(True, which="major", color="#f0f0f0")
    axis.set_axisbelow(True)
    axis.axhline(FLOOR, color=PALE, linestyle=":")
    # The best that the peers offer for a cost, and what one more effort of ours buys.
    front = _front(x[~mine], y[~mine])
    axis.step(*front, where="post", color=PALE, label="best of the peers at this cost", zorder=1)
    ladder = [i for i, row in enumerate(rows) if row["name"].startswith("minimal, ")]
    ladder.sort(key=lambda i: x[i])
    axis.plot(x[ladder], y[ladder], color=BLUE, linewidth=1.2, label="more effort", zorder=2)
    others = "other libraries" + (" (earlier run)" if any(row["reused"] for row in rows) else "")
    axis.scatter(x[~mine], y[~mine], s=30, c=GREY, marker="s", label=others, zorder=3)
    axis.scatter(x[mine], y[mine], s=55, c=BLUE, marker="o", label="fracture", zorder=4)
    _label(axis, rows, x, y)


def _front(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(x)
    x, y = x[order], np.minimum.accumulate(y[order])
    return np.append(x, 1e9), np.append(y, y[-1:])


def _label(axis: Axes, rows: Sequence[dict[str, Any]], x: np.ndarray, y: np.ndarray) -> None:
    """Text beside each point, in the first place where it hits neither text nor points.

    Of the peers, those are named that no cheaper peer matches; the table has the others.
    """
    mine = np.array([row["library"] == OURS for row in rows])
    matched = [any((x < x[i]) & (y < 1.05 * y[i]) & ~mine) for i in range(len(rows))]
    order = [i for i in range(len(rows)) if mine[i] or not matched[i]]
    order.sort(key=lambda i: (not mine[i], y[i]))
    figure: Any = axis.figure
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()
    frame = axis.get_window_extent(renderer)
    pixels = axis.transData.transform(np.column_stack([x, y]))
    taken: list[Box] = [(px - 6, py - 6, px + 6, py + 6) for px, py in pixels]
    for i in order:
        note = axis.annotate(
            rows[i]["name"] if mine[i] else f"{rows[i]['name']} · {rows[i]['library']}",
            (x[i], y[i]),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=9 if mine[i] else 8,
            color=BLUE if mine[i] else "#6a6a6a",
            fontweight="bold" if mine[i] else "normal",
            arrowprops={"arrowstyle": "-", "color": "#bbbbbb", "lw": 0.6, "shrinkB": 3},
            path_effects=[patheffects.withStroke(linewidth=2.5, foreground="white")],
            zorder=5,
        )
        size = note.get_window_extent(renderer)
        box = _free(pixels[i], size.width, size.height, taken, frame)
        if box is None:
            note.remove()
            continue
        taken.append(box)
        offset = np.array(box[:2]) - pixels[i]
        note.xyann = tuple(offset * 72 / figure.dpi)


PLACES = sorted(
    (
        (side * (9 + dx), dy)
        for dx in (0, 15, 40, 80)
        for dy in range(-99, 99, 12)
        for side in (1, -1)
    ),
    key=lambda place: abs(place[0]) + abs(place[1] - 3) + (place[0] < 0),
)


def _free(
    point: np.ndarray, width: float, height: float, taken: list[Box], frame: Any
) -> Box | None:
    """The nearest free place for a text of this size."""
    for dx, dy in PLACES:
        left = point[0] + dx - (width if dx < 0 else 0)
        box = (left, point[1] + dy - 1, left + width, point[1] + dy + height - 3)
        inside = frame.x0 < box[0] and box[2] < frame.x1 and frame.y0 < box[1] < frame.y1 - height
        if inside and not any(_overlap(box, other) for other in taken):
            return box
    return None


def _overlap(a: Box, b: Box) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
