"""How far seeds are from a law along an axis, and what the law says there."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.stats
import xarray as xr

from ..theory import Law
from ..vocabulary import quantity
from ._places import At, axis_of, rows
from ._table import table


def law_exponent(laws: Mapping[At, Law]) -> float | None:
    """Slope of a law's own log medians against the log of the axis over the same places."""
    if len(laws) < 2:
        return None
    log_medians = [float(np.log(law.quantile(0.5))) for law in laws.values()]
    return float(np.polyfit(np.log(list(laws)), log_medians, 1)[0])


def kolmogorov_smirnov(values: xr.DataArray, laws: Mapping[At, Law]) -> xr.Dataset:
    """Distance of the seeds from their law at each place, and the probability of a larger one.

    Each variable has the attribute `tested`, the name of `values`.
    """
    found = rows(values)
    tests = {
        at: scipy.stats.kstest(found[at], lambda r, law=law: np.asarray(law.cdf(r)))
        for at, law in laws.items()
        if at in found
    }
    return _tests(values, tests, {at: float(found[at].size) for at in tests})


def two_samples(values: xr.DataArray, drawn: Mapping[At, np.ndarray]) -> xr.Dataset:
    """As `kolmogorov_smirnov`, for a law of which there is a sample only."""
    found = rows(values)
    both = [at for at in found if at in drawn]
    tests = {at: scipy.stats.ks_2samp(found[at], drawn[at]) for at in both}
    sizes = {at: 1 / (1 / found[at].size + 1 / drawn[at].size) for at in tests}
    return _tests(values, tests, sizes)


def _tests(values: xr.DataArray, tests: Mapping[At, Any], sizes: Mapping[At, float]) -> xr.Dataset:
    # Dvoretzky–Kiefer–Wolfowitz: what the true distance is below, with 95 % confidence.
    largest = {
        at: min(1.0, t.statistic + (np.log(2 / 0.05) / (2 * sizes[at])) ** 0.5)
        for at, t in tests.items()
    }
    columns = {
        "ks_statistic": {at: t.statistic for at, t in tests.items()},
        "ks_pvalue": {at: t.pvalue for at, t in tests.items()},
        "ks_largest": largest,
    }
    return table(
        axis_of(values),
        {
            name: (column, quantity(name).attrs() | {"tested": str(values.name)})
            for name, column in columns.items()
        },
    )


def predictions(axis: str, laws: Mapping[At, Law], of: str, *, sampled: bool = False) -> xr.Dataset:
    """Median and 90 % interval of a law along an axis: `predicted_OF`, `…_lo` and `…_hi`.

    `sampled` says that the law is known by a sample only.
    """
    what = quantity("predicted", symbol="sampled law" if sampled else "exact law")
    quantiles = {"": 0.5, "_lo": 0.05, "_hi": 0.95}
    columns = {
        f"predicted_{of}{end}": ({at: float(law.quantile(q)) for at, law in laws.items()}, what)
        for end, q in quantiles.items()
    }
    return table(axis, columns)
