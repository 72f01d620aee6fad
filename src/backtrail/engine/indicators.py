"""Moving averages, computed once for a whole run, on integer ticks where prices have them.

A sum of integers has no rounding, so two averages compare as the exact fractions would: an exact
tie is a tie, whatever the lengths of the windows and the order of the additions. Sums in binary
floating point decide up to one parameter set in a hundred otherwise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["Averages", "Ticks", "common_tick", "fitting_places"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

_MOST_PLACES: Final = 9
_PLACES: Final = (2, 4, 6, _MOST_PLACES)
_OFF_TICK: Final = _MOST_PLACES + 1
_LARGEST: Final = float(2**40)  # so that a million of them stay below 2^63
_EXACT: Final = float(2**53)
_GLANCE: Final = 6


@dataclass(frozen=True, slots=True)
class Ticks:
    """A series whose values are all whole multiples of one decimal tick."""

    scale: int
    sums: IntArray | FloatArray  # of ticks, from the beginning, exact; shape (n + 1,)
    largest: float  # no value is larger, nor the scale


@dataclass(frozen=True, slots=True)
class _Level:
    """The rows for which so many decimal places are enough, counting all values before them."""

    first: int
    end: int
    scale: int
    sums: IntArray  # of ticks, from the beginning, shape (end + 1,)
    misfits: IntArray  # number of values without a tick, likewise


class Averages:
    """Moving averages of one series; every length is computed at most once.

    A mean knows no value after its row: not even its last bit depends on one.

    Args:
        values: Shape (n,), oldest first, no NaN.
        ticks: What `common_tick` says of them.
    """

    __slots__ = ("_found", "_levels", "_ticks", "_values")

    def __init__(self, values: FloatArray, ticks: Ticks | None) -> None:
        self._values = values
        self._found: dict[int, FloatArray] = {}
        self._ticks = ticks
        self._levels: tuple[_Level, ...] | None = None

    def mean(self, length: int) -> FloatArray:
        """Return the mean of the last `length` values at every row, NaN until there are so many.

        Where all values of a window are whole multiples of a decimal tick of 1e-9 or larger, the
        mean is the rounded quotient of their exact sum; other windows are summed in float64.

        Returns:
            Means, shape (n,), read-only.
        """
        if length not in self._found:
            means = np.empty(len(self._values))
            means[: length - 1] = np.nan
            ticks = self._ticks
            # Below 2^53 sum and divisor are exact floats, and any tick gives the same quotient.
            if ticks is not None and ticks.largest * length < _EXACT:
                found = means[length - 1 :]
                np.subtract(ticks.sums[length:], ticks.sums[:-length], out=found, casting="unsafe")
                found /= float(ticks.scale * length)
            else:
                self._fill_levels(means, length)
            means.flags.writeable = False
            self._found[length] = means
        return self._found[length]

    def _fill_levels(self, means: FloatArray, length: int) -> None:
        if self._levels is None:
            self._levels = _levels(self._values)
        for level in self._levels:
            self._fill(means, level, length)

    def _fill(self, means: FloatArray, level: _Level, length: int) -> None:
        first, end = max(level.first, length - 1), level.end
        if first >= end:
            return
        ends, starts = slice(first + 1, end + 1), slice(first + 1 - length, end + 1 - length)
        means[first:end] = (level.sums[ends] - level.sums[starts]) / float(level.scale * length)
        inexact = np.flatnonzero(level.misfits[ends] != level.misfits[starts]) + first
        if len(inexact):
            windows = np.lib.stride_tricks.sliding_window_view(self._values, length)
            means[inexact] = np.add.reduce(windows[inexact - length + 1], axis=1) / length


def fitting_places(values: FloatArray, places: Sequence[int]) -> Sequence[int]:
    """Return the numbers of decimal places that may be enough: with fewer, no use to try.

    Args:
        values: Finite; shape (n,). The first few of a series mostly say which tick it has.
        places: Ascending.
    """
    texts = [repr(value) for value in values[:_GLANCE].tolist()]
    least = max(0 if "e" in text else len(text) - text.index(".") - 1 for text in texts)
    return [number for number in places if number >= least]


def common_tick(values: FloatArray) -> Ticks | None:
    """Return a series as multiples of the decimal tick that all its values have, None without one.

    Args:
        values: Shape (n,), no NaN.
    """
    for number in fitting_places(values, _PLACES):
        scale = 10**number
        scaled = values * scale
        np.rint(scaled, out=scaled)
        # The root of the sum of squares is above each value, and costs a third of a look at each.
        largest = math.sqrt(np.vdot(scaled, scaled))
        if largest >= _LARGEST:
            largest = max(float(scaled.max()), -float(scaled.min()))
        largest = max(largest, float(scale))
        if largest < _LARGEST and bool((scaled / scale == values).all()):
            sums = np.empty(len(values) + 1, dtype=np.int64)
            sums[0] = 0
            np.add.accumulate(scaled.astype(np.int64), out=sums[1:])
            is_small = largest * len(values) < _EXACT  # floats are divided twice as fast
            return Ticks(scale, sums.astype(np.float64) if is_small else sums, largest)
    return None


def _levels(values: FloatArray) -> tuple[_Level, ...]:
    places = np.full(len(values), _OFF_TICK)
    for number in range(_MOST_PLACES, -1, -1):
        scaled = np.rint(values * 10**number)
        fits = (scaled / 10**number == values) & (np.abs(scaled) < _LARGEST)
        places[fits] = number
    needed = np.maximum.accumulate(np.where(places == _OFF_TICK, 0, places))
    found = []
    # Each once; they ascend. The first call of `np.unique` would import `numpy.ma`.
    for number in needed[np.diff(needed, prepend=-1) > 0].tolist():
        rows = np.flatnonzero(needed == number)
        end = int(rows[-1]) + 1
        scaled = np.rint(values[:end] * 10**number)
        misfits = (places[:end] == _OFF_TICK) | (np.abs(scaled) >= _LARGEST)
        scaled[misfits] = 0.0
        found.append(
            _Level(
                int(rows[0]),
                end,
                10**number,
                np.concatenate(([0], np.cumsum(scaled.astype(np.int64)))),
                np.concatenate(([0], np.cumsum(misfits))),
            )
        )
    return tuple(found)
