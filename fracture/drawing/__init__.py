"""Figures: the charts that claims draw with, and what those are made of.

`against_axis`, `against_coordinate`, `distribution`, `scatter` and `overview` make a `Drawing` of
labelled arrays, and read what they write on it from the attributes of `vocabulary`;
`robustness_curve` makes one of what a solver found, `plot` one of any sweep, `forest` one of
effects of many kinds. A `Drawing` draws itself in two themes, and gives the same bytes every time.
"""

from ._against import against_axis, against_coordinate
from ._distribution import distribution
from ._drawing import THEMES, Drawing, Theme, data_uri, ordered_colours
from ._forest import Row, forest
from ._format import MISSING, count, interval, number, pvalue, share
from ._heat_map import heat_map
from ._marks import (
    MARKERS,
    band,
    counting_axis,
    finite,
    inverse_root,
    legend_below,
    log_scale,
    medians,
    name_lines,
    positive,
    say_nothing_there,
    span,
)
from ._overview import overview
from ._pixels import channels, pixels
from ._robustness import robustness_curve
from ._scatter import scatter
from ._sweep import plot, plots
from ._words import (
    axis_label,
    ends,
    explain,
    formatter,
    glossary,
    intervals,
    level,
    phrase,
    quantity_of,
    tex,
    without_ends,
)

__all__ = [
    "MARKERS",
    "MISSING",
    "THEMES",
    "Drawing",
    "Row",
    "Theme",
    "against_axis",
    "against_coordinate",
    "axis_label",
    "band",
    "channels",
    "count",
    "counting_axis",
    "data_uri",
    "distribution",
    "ends",
    "explain",
    "finite",
    "forest",
    "formatter",
    "glossary",
    "heat_map",
    "interval",
    "intervals",
    "inverse_root",
    "legend_below",
    "level",
    "log_scale",
    "medians",
    "name_lines",
    "number",
    "ordered_colours",
    "overview",
    "phrase",
    "pixels",
    "plot",
    "plots",
    "positive",
    "pvalue",
    "quantity_of",
    "robustness_curve",
    "say_nothing_there",
    "scatter",
    "share",
    "span",
    "tex",
    "without_ends",
]
