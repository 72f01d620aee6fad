"""Breakout with a trailing stop and a cool-down, long or flat: step form.

A symbol is bought when it closes above the highest high of the bars before, and sold when it
closes too far below its highest close since. After a sale it is left alone for some bars. What is
done at a bar depends on what was done before, which whole arrays cannot say.
"""

from dataclasses import dataclass

import numpy as np
from lib.windows import check_window

from backtrail.engine import SignalBars

PEAK, WAITING = 0, 1  # places in the memory: highest close since the purchase, bars left to wait


@dataclass(frozen=True)
class Params:
    """Length of the channel in bars, the stop's distance as a fraction, and bars to wait."""

    length: int = 50
    stop: float = 0.05
    pause: int = 5

    def __post_init__(self) -> None:
        check_window("length", self.length)
        if not 0.0 < self.stop < 1.0:
            raise ValueError(f"stop is {self.stop}; it has to be a fraction between 0 and 1")
        if self.pause < 0:
            raise ValueError(f"pause is {self.pause}; it has to be 0 bars or more")


def highest_before(high: np.ndarray, length: int) -> np.ndarray:
    """Return the highest of the `length` values before each one, NaN where there are fewer."""
    found = np.full(len(high), np.nan)
    if len(high) > length:
        windows = np.lib.stride_tricks.sliding_window_view(high, length)
        found[length:] = windows[:-1].max(axis=1)
    return found


def inputs(bars: SignalBars, params: Params) -> dict[str, np.ndarray]:
    """Return what `step` takes besides prices: computed once for all sets of a length."""
    return {"ceiling": bars.indicator(highest_before, "high", length=params.length)}


def step(
    close: float,
    ceiling: float,
    weight: float,
    memory: np.ndarray,
    symbols: int,
    stop: float,
    pause: int,
) -> float | None:
    """Return the weight that one symbol is to have after this bar; None leaves it."""
    if weight > 0.0:
        memory[PEAK] = max(memory[PEAK], close)
        if close < memory[PEAK] * (1.0 - stop):
            memory[WAITING] = pause
            return 0.0
    elif memory[WAITING] > 0.0:
        memory[WAITING] -= 1.0
    elif close > ceiling:
        memory[PEAK] = close
        return 1.0 / symbols
    return None
