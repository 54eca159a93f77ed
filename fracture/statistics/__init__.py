"""Medians, exponents, distances from a law, and their uncertainty; the seed is the unit.

`summarise` and `exponents` take the dataset of any sweep. The others are what claims are made of:
arrays are over one axis of a sweep, such as `dim`, and `seed`; `each_level` applies what is made
for one axis where there are more.
"""

from ._exponent import Fit, exponent, scale
from ._laws import kolmogorov_smirnov, law_exponent, predictions, two_samples
from ._medians import LEAST_SEEDS, Interval, incomplete, median, median_table, medians, usable
from ._places import axes, axis_of, each_level, levels, pooled, rows
from ._proportion import proportion
from ._summarise import exponents, summarise
from ._table import table
from ._variance import variance_explained

__all__ = [
    "LEAST_SEEDS",
    "Fit",
    "Interval",
    "axes",
    "axis_of",
    "each_level",
    "exponent",
    "exponents",
    "incomplete",
    "kolmogorov_smirnov",
    "law_exponent",
    "levels",
    "median",
    "median_table",
    "medians",
    "pooled",
    "predictions",
    "proportion",
    "rows",
    "scale",
    "summarise",
    "table",
    "two_samples",
    "usable",
    "variance_explained",
]
