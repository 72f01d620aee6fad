"""Checks of the series that metrics are asked of."""

import math

import numpy as np
import numpy.typing as npt

from backtrail.errors import EmptySeriesError

FloatArray = npt.NDArray[np.float64]


def checked(values: npt.ArrayLike, name: str = "returns") -> FloatArray:
    """Return a series as float64 of shape (n,), n > 0, all finite."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} has shape {array.shape}; pass one dimension")
    if not len(array):
        raise EmptySeriesError(f"{name} has no value; pass at least one")
    if not np.isfinite(array).all():
        row = int(np.argmin(np.isfinite(array)))
        raise ValueError(f"{name}[{row}] is {array[row]}; pass finite numbers")
    return array


def checked_pair(returns: npt.ArrayLike, benchmark: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Return two series of equal length."""
    left, right = checked(returns), checked(benchmark, "benchmark")
    if len(left) != len(right):
        raise ValueError(f"{len(left)} returns and {len(right)} of the benchmark; align them")
    return left, right


def spread(values: FloatArray) -> float:
    """Return the standard deviation (ddof 1), exactly zero where rounding alone makes it differ."""
    if len(values) < 2:
        return 0.0
    deviation = float(np.std(values, ddof=1))
    scale = float(np.max(np.abs(values)))
    return deviation if deviation > 1e-14 * scale else 0.0


def quantile(values: FloatArray, level: float) -> float:
    """Return a quantile with linear interpolation, to the last digit as `np.quantile`.

    That function loads `numpy.ma` at its first call, and a run's process would pay for it.
    """
    position = (len(values) - 1) * level
    lower = math.floor(position)
    upper = min(lower + 1, len(values) - 1)
    ordered = np.partition(values, (lower, upper))
    low, high = float(ordered[lower]), float(ordered[upper])
    share = position - lower
    return high - (high - low) * (1.0 - share) if share >= 0.5 else low + (high - low) * share
