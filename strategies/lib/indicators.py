"""Indicators of the strategies in this folder."""

import numpy as np

from lib.windows import window_mean


def is_uptrend(closes: np.ndarray, fast: int, slow: int) -> bool:
    """Return whether the fast moving average is above the slow one at the last value."""
    return window_mean(closes, fast) > window_mean(closes, slow)


def zscore(values: np.ndarray) -> float:
    """Return how many standard deviations the last value is from the mean; 0.0 if all are equal."""
    deviation = float(np.std(values))
    return (float(values[-1]) - float(np.mean(values))) / deviation if deviation else 0.0
