"""Target weights as decisions: where a symbol gets another weight than it had."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from backtrail.engine.bars import Bars

__all__ = ["Decisions", "decisions_of"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """New weights, by row and, within a row, by name of the symbol.

    Attributes:
        rows: Bars at which a symbol gets another weight, shape (m,).
        columns: The symbols', shape (m,).
        weights: From that bar on, shape (m,).
    """

    rows: IntArray
    columns: IntArray
    weights: FloatArray

    def __len__(self) -> int:
        return len(self.rows)

    def by_row(self) -> dict[int, list[tuple[int, float]]]:
        """Return row to (column, weight)."""
        found: dict[int, list[tuple[int, float]]] = {}
        given = zip(self.rows.tolist(), self.columns.tolist(), self.weights.tolist(), strict=True)
        for row, column, weight in given:
            found.setdefault(row, []).append((column, weight))
        return found


def decisions_of(weights: FloatArray, bars: Bars) -> Decisions:
    """Return where which column gets another weight.

    Before its first weight a symbol is flat; NaN leaves a weight as it is.

    Args:
        weights: Of every bar and symbol, as `check_weights` returns them.
        bars: Whose rows and columns they are.
    """
    if len(bars.symbols) == 1:
        rows, given = _changes(weights, bars, 0)
        return Decisions(rows, np.zeros(len(rows), dtype=np.int64), given)
    by_name = sorted(range(len(bars.symbols)), key=bars.symbols.__getitem__)
    changes = [_changes(weights, bars, column) for column in by_name]
    rows = np.concatenate([rows for rows, _ in changes])
    order = np.argsort(rows, kind="stable")
    columns = np.repeat(np.array(by_name), [len(rows) for rows, _ in changes])
    given = np.concatenate([given for _, given in changes])
    return Decisions(rows[order], columns[order], given[order])


def _changes(weights: FloatArray, bars: Bars, column: int) -> tuple[IntArray, FloatArray]:
    """Return the rows at which a symbol gets another weight, and the weights."""
    lasting = _lasting(weights[:, column], bars.close[:, column])
    differs = np.empty(len(lasting), dtype=np.bool_)
    differs[0] = lasting[0] != 0.0
    np.not_equal(lasting[1:], lasting[:-1], out=differs[1:])
    rows = differs.nonzero()[0]  # flatnonzero takes twice as long
    return rows, lasting[rows]


def _lasting(values: FloatArray, close: FloatArray) -> FloatArray:
    """Return the weight that holds at each bar: the last one given, zero before the first bar."""
    if math.isnan(np.vdot(values, values)):  # in a third of the time of a look at each
        missing = np.isnan(values)
        given = np.maximum.accumulate(np.where(missing, -1, np.arange(len(values))))
        values = np.where(given >= 0, values[given], 0.0)
    if close[0] != close[0]:
        values = values.copy()
        values[: int(np.argmin(np.isnan(close)))] = 0.0
    return values
