"""From weights per bar to the few bars at which they change.

The compiled functions are all in this file, because Numba's cache on disk looks for changes in the
file of the function that is called, and in no other.
"""

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.engine import Bars
from backtrail.engine.signal import check_weights
from backtrail.optimization.compiling import compiled

__all__ = ["Changes", "find_changes", "find_flips"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
ByteArray = npt.NDArray[np.uint8]

_STRIDE: Final = 32  # bars that are looked at without a branch in between


class Changes:
    """The changes of the weights of a block's sets, one set after another."""

    def __init__(self, bars: Bars, sets: int) -> None:
        self._bars = bars
        self._shape = bars.shape
        self._starts = [0]
        self._rows = np.empty(64 * sets, dtype=np.int64)
        self._columns = np.empty(64 * sets, dtype=np.int64)
        self._values = np.empty(64 * sets)

    def add(self, weights: object) -> None:
        """Take what a signal function returned.

        Raises:
            StrategyError: If it is no array of finite numbers and NaN of the right shape.
        """
        start = self._starts[-1]
        if (
            not isinstance(weights, np.ndarray)
            or weights.dtype.kind not in "fiub"
            or weights.shape != self._shape
        ):
            weights = check_weights(weights, self._bars)
        find: Any = find_changes
        if weights.dtype == np.bool_ and self._shape[1] == 1:
            find, numbers = find_flips, np.ascontiguousarray(weights[:, 0]).view(np.uint8)
        else:
            numbers = np.ascontiguousarray(weights, dtype=np.float64)
        end = find(numbers, self._rows, self._columns, self._values, start)
        if end > len(self._rows):
            self._grow(start, end)
            end = find(numbers, self._rows, self._columns, self._values, start)
        if end < 0:
            check_weights(weights, self._bars)  # says where
        self._starts.append(end)

    def add_known(self, rows: IntArray, values: FloatArray) -> None:
        """Take the changes of the only symbol's weights, where they are known.

        Args:
            rows: Bars at which its weight changes, ascending.
            values: Its weights there.
        """
        start = self._starts[-1]
        end = start + len(rows)
        if end > len(self._rows):
            self._grow(start, end)
        self._rows[start:end] = rows
        self._columns[start:end] = 0
        self._values[start:end] = values
        self._starts.append(end)

    def add_none(self) -> None:
        """Take a set without changes."""
        self._starts.append(self._starts[-1])

    def arrays(self) -> tuple[IntArray, IntArray, IntArray, FloatArray]:
        """Return starts, rows, columns and weights as the kernel takes them."""
        return np.array(self._starts), self._rows, self._columns, self._values

    def _grow(self, used: int, needed: int) -> None:
        size = max(2 * len(self._rows), needed)
        for name in ("_rows", "_columns", "_values"):
            old = getattr(self, name)
            new = np.empty(size, dtype=old.dtype)
            new[:used] = old[:used]
            setattr(self, name, new)


@compiled
def _next_change(weights: FloatArray, row: int, last: float) -> int:
    """Return the first row from `row` on at which one symbol has another weight than `last`."""
    end: int = weights.shape[0]
    while row + _STRIDE <= end:
        differs = False
        for index in range(row, row + _STRIDE):
            differs |= weights[index] != last
        if differs:
            for index in range(row, row + _STRIDE):
                if weights[index] != last and weights[index] == weights[index]:
                    return index
        row += _STRIDE
    for index in range(row, end):
        if weights[index] != last and weights[index] == weights[index]:
            return index
    return end


@compiled
def find_changes(
    weights: FloatArray,
    rows: IntArray,
    columns: IntArray,
    values: FloatArray,
    start: int,
) -> int:
    """Write down where the weights of a set change; before the first weight a symbol is flat.

    Args:
        weights: Target fractions of the portfolio value, float64, shape (n, k); NaN leaves
            a holding.
        rows: Takes the bar of each change, from `start` on.
        columns: Takes the symbol of each change.
        values: Takes the new weight.
        start: First free place of the three.

    Returns:
        The place after the last change, which may lie behind the arrays' end: then they are too
        short, and not all was written. Minus one when a weight is infinite.
    """
    place = start
    last = np.zeros(weights.shape[1])
    flat = weights.reshape(weights.size)
    row = 0
    while row < weights.shape[0]:
        if weights.shape[1] == 1:
            row = _next_change(flat, row, last[0])
            if row == weights.shape[0]:
                break
        for column in range(weights.shape[1]):
            weight = 1.0 * weights[row, column]
            if weight != last[column] and weight == weight:
                if abs(weight) == np.inf:
                    return -1
                last[column] = weight
                if place < rows.shape[0]:
                    rows[place] = row
                    columns[place] = column
                    values[place] = weight
                place += 1
        row += 1
    return place


@compiled
def find_flips(
    flags: ByteArray, rows: IntArray, columns: IntArray, values: FloatArray, start: int
) -> int:
    """Do as `find_changes` for one symbol that is held wholly or not at all.

    Args:
        flags: 1 while it is held, else 0, shape (n,).
        rows: As in `find_changes`.
        columns: Likewise.
        values: Likewise.
        start: Likewise.

    Returns:
        As `find_changes`.
    """
    place, whole = start, flags.shape[0] // 8
    last, words, same = np.uint8(0), flags[: 8 * whole].view(np.uint64), np.uint64(0)
    for word in range(whole + 1):  # eight bars at once; what is left of them at the end
        if word < whole and words[word] == same:
            continue
        for index in range(8 * word, min(8 * word + 8, flags.shape[0])):
            if flags[index] != last:
                last = flags[index]
                if place < rows.shape[0]:
                    rows[place] = index
                    columns[place] = 0
                    values[place] = 1.0 * last
                place += 1
        same = np.uint64(0x0101010101010101) * np.uint64(last)
    return place
