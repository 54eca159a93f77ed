"""Stored results as tables, figures and one self-contained HTML page.

`render` and `analysis_page` write files; `tables`, `figures`, `overview` and their counterparts
for an analysis only build objects. A page loads nothing from elsewhere, and drawing the same
results again gives the same bytes.
"""

from ..drawing import Drawing
from ._analysis import analysis_tables
from ._analysis_figures import analysis_figures
from ._figures import figures, overview
from ._page import analysis_page, render
from ._tables import tables

__all__ = [
    "Drawing",
    "analysis_figures",
    "analysis_page",
    "analysis_tables",
    "figures",
    "overview",
    "render",
    "tables",
]
