"""Everything about one network and a batch of inputs: radii, ratios, compression, spectra.

`analyze` measures; `of_images`, `of_digits` and `of_photographs` also look whether network and
images belong together, and give a labelled dataset, from which `report` makes tables and a page.
"""

from ._analyze import Analysis, analyze
from ._first_look import first_look
from ._identity import claim, digest, digest_of_file, program
from ._images import of_digits, of_images
from ._labelled import Images, labelled
from ._own_network import own_network
from ._photographs import of_photographs

__all__ = [
    "Analysis",
    "Images",
    "analyze",
    "claim",
    "digest",
    "digest_of_file",
    "first_look",
    "labelled",
    "of_digits",
    "of_images",
    "of_photographs",
    "own_network",
    "program",
]
