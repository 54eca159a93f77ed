"""What figures are made of: themes, scales, medians with bars, bands of a law, numbers as text."""

from ._drawing import THEMES, Drawing, Theme, data_uri, ordered_colours
from ._format import MISSING, count, interval, number, pvalue, share
from ._marks import (
    MARKERS,
    band,
    counting_axis,
    dimension_axis,
    inverse_root,
    legend_below,
    log_scale,
    medians,
    name_lines,
    positive,
    say_nothing_there,
    span,
)
from ._pixels import channels, pixels

__all__ = [
    "MARKERS",
    "MISSING",
    "THEMES",
    "Drawing",
    "Theme",
    "band",
    "channels",
    "count",
    "counting_axis",
    "data_uri",
    "dimension_axis",
    "interval",
    "inverse_root",
    "legend_below",
    "log_scale",
    "medians",
    "name_lines",
    "number",
    "ordered_colours",
    "pixels",
    "positive",
    "pvalue",
    "say_nothing_there",
    "share",
    "span",
]
