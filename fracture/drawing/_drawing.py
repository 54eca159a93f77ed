"""A figure that can be drawn in two themes, and its bytes: the same ones every time."""

import base64
import io
from collections.abc import Callable
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.colors import to_hex
from matplotlib.figure import Figure


class Theme(NamedTuple):
    """Colours of a figure.

    Attributes
    ----------
    surface, ink, muted, grid
        What is drawn on, text, what stands back, and the lines of the grid.
    series
        Colours of lines, safe for colour-blind readers (after Okabe and Ito).
    ordered
        The part of viridis that stands out from the surface.
    """

    surface: str
    ink: str
    muted: str
    grid: str
    series: tuple[str, ...]
    ordered: tuple[float, float]


THEMES = {
    "light": Theme(
        surface="#ffffff",
        ink="#1f2328",
        muted="#59636e",
        grid="#e4e8ec",
        series=("#0072b2", "#d55e00", "#008a63", "#aa4499", "#8a6d00", "#3d9fd6", "#59636e"),
        ordered=(0.0, 0.82),
    ),
    "dark": Theme(
        surface="#161b22",
        ink="#e6edf3",
        muted="#9aa4af",
        grid="#2b323b",
        series=("#58aee8", "#f08a4b", "#3fc79a", "#d98cc9", "#e3c14f", "#a5d3f2", "#9aa4af"),
        ordered=(0.32, 1.0),
    ),
}


class Drawing(NamedTuple):
    """One figure: what it shows, in words, and how to draw it.

    Attributes
    ----------
    title, caption
        Plain text, underscores are subscripts; the caption explains every symbol of the figure.
    alt
        The content in a sentence, for those who do not see it.
    paint
        Draws it on a figure of Matplotlib, in the colours of a theme.
    size
        Width and height in inches.
    """

    title: str
    caption: str
    alt: str
    paint: Callable[[Figure, Theme], None]
    size: tuple[float, float] = (5.6, 4.2)

    def draw(self, theme: str = "light") -> Figure:
        """Draw in the theme `light` or `dark`."""
        if theme not in THEMES:
            raise ValueError(f"theme must be one of {sorted(THEMES)}, got {theme!r}.")
        with matplotlib.rc_context(_rc(THEMES[theme])):
            figure = Figure(figsize=self.size, layout="constrained")
            self.paint(figure, THEMES[theme])
        return figure

    def _repr_png_(self) -> bytes:
        """What a notebook shows."""
        return self.encode("png")

    def encode(self, kind: str, theme: str = "light") -> bytes:
        """The figure as the bytes of an `svg` or `png` file, without date or version.

        A `png` says the alternative text as its description.
        """
        figure, buffer = self.draw(theme), io.BytesIO()
        known: dict[str, dict[str, Any]] = {
            "svg": {"Date": None, "Creator": None},
            "png": {"Software": None, "Description": self.alt},
        }
        with matplotlib.rc_context(_rc(THEMES[theme])):
            figure.savefig(buffer, format=kind, dpi=160, metadata=known[kind])
        return buffer.getvalue()


def data_uri(kind: str, content: bytes) -> str:
    """A picture as part of a page; `kind` is `jpeg` or `svg+xml`."""
    return f"data:image/{kind};base64," + base64.b64encode(content).decode()


def _rc(theme: Theme) -> Any:  # Matplotlib's type lists all of its several hundred parameters
    colours = {
        "figure.facecolor": theme.surface,
        "savefig.facecolor": theme.surface,
        "axes.facecolor": theme.surface,
        "axes.edgecolor": theme.muted,
        "axes.labelcolor": theme.ink,
        "axes.titlecolor": theme.ink,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.labelcolor": theme.ink,
        "ytick.labelcolor": theme.ink,
        "text.color": theme.ink,
        "grid.color": theme.grid,
    }
    shapes = {
        "font.family": ["DejaVu Sans"],  # comes with Matplotlib, so it is the same everywhere
        "font.size": 10,
        "axes.labelsize": 10,
        "axes.titlesize": 10,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "legend.fontsize": 9,
        "legend.frameon": False,
        "legend.handlelength": 2.2,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "grid.linewidth": 0.8,
        "lines.linewidth": 1.6,
        "lines.markersize": 5.5,
        "figure.constrained_layout.w_pad": 0.12,
        "figure.constrained_layout.h_pad": 0.08,
        "svg.hashsalt": "fracture",
        "svg.fonttype": "path",
        "axes.unicode_minus": True,
    }
    return colours | shapes


def ordered_colours(number_of: int, theme: Theme) -> list[str]:
    """Colours along a perceptually uniform scale, for curves that have an order."""
    colours = matplotlib.colormaps["viridis"](np.linspace(*theme.ordered, number_of))
    return [to_hex(colour) for colour in colours]
