"""Windows over the last values of a series."""

import numpy as np

from lib.constants import SHORTEST_WINDOW


def check_window(name: str, bars: int) -> None:
    """Refuse a window that is too short to say anything.

    Raises:
        ValueError: If `bars` is below `SHORTEST_WINDOW`.
    """
    if bars < SHORTEST_WINDOW:
        raise ValueError(f"{name} is {bars}; at least {SHORTEST_WINDOW} bars")


def window_mean(values: np.ndarray, bars: int) -> float:
    """Return the mean of the last `bars` values, summed by NumPy in float64."""
    return float(np.add.reduce(values[-bars:])) / bars


def rolling_mean(values: np.ndarray, bars: int) -> np.ndarray:
    """Return `window_mean` at every row, to the last digit, NaN until there are `bars` values."""
    means = np.full(len(values), np.nan)
    if len(values) >= bars:
        windows = np.lib.stride_tricks.sliding_window_view(values, bars)
        means[bars - 1 :] = np.add.reduce(windows, axis=1) / bars
    return means
