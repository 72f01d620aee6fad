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
