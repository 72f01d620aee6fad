"""SMA crossover, long or flat: signal form, every symbol with an equal share.

The same decisions as `sma_cross.py`, for all bars at once.
"""

from dataclasses import dataclass

import numpy as np
from lib.windows import check_window

from backtrail.engine import SignalBars


@dataclass(frozen=True)
class Params:
    """Lengths of the two windows, in bars."""

    fast: int = 10
    slow: int = 50

    def __post_init__(self) -> None:
        check_window("fast", self.fast)
        if self.fast >= self.slow:
            raise ValueError(f"fast is {self.fast}, slow is {self.slow}; fast has to be below slow")


def target_weights(bars: SignalBars, params: Params) -> np.ndarray:
    """Return 1/k of the portfolio for each of k symbols in an uptrend, 0 for the others."""
    weights = (bars.sma(params.fast) > bars.sma(params.slow)) / len(bars.symbols)
    gaps = np.isnan(bars.close)  # a symbol may start late or miss bars
    if gaps.any():
        weights[gaps] = np.nan  # and keeps what it has
    return weights
