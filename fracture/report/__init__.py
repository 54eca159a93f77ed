"""Claims and analyses as tables, figures and one self-contained HTML page.

`page` writes files, `tables` makes tables for a terminal. Both take any number of claims, as
`experiments` judges them, and of analyses, as `analysis.labelled` labels them; `present` does both
for one result, such as an analysis or a sweep made in Python. A page loads nothing from elsewhere,
and drawing the same results again gives the same bytes. `pictures` draws what `page` shows of one
claim, while others are measured. `verdict_map` and `verdict_sentences` say what many claims say
together.
"""

from ._analysis_figures import analysis_figures
from ._grids import Grid
from ._map import verdict_map, verdict_sentences
from ._page import Picture, page, pictures
from ._present import present
from ._sections import Section, section
from ._tables import tables

__all__ = [
    "Grid",
    "Picture",
    "Section",
    "analysis_figures",
    "page",
    "pictures",
    "present",
    "section",
    "tables",
    "verdict_map",
    "verdict_sentences",
]
