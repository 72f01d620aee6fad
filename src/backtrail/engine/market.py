"""Prices prepared for the loop: no array is touched element by element through numpy."""

from typing import Final

import numpy as np
import numpy.typing as npt

from backtrail.engine.bars import FIELDS, Bars
from backtrail.engine.indicators import Averages, common_tick
from backtrail.engine.ledger import Numbers

__all__ = ["Market"]

FloatArray = npt.NDArray[np.float64]


class Market:
    """The columns of `Bars` in the forms the engine reads.

    A symbol is *plain* when it has a bar in every row and no split: then its history is a slice of
    the raw column. A symbol with gaps gets columns of its own bars only, and a forward-filled mark.

    Attributes:
        bars: What was prepared.
        index: Column of each symbol.
        opens: Raw open per symbol, as memory views: NaN where a symbol has no bar.
        closes: As `opens`.
        marks: Last known close per symbol and row, split-adjusted to that row; NaN before the
            first bar.
        factors: Cumulative product of the splits per symbol, shape (n,); None without a split.
        counts: Number of own bars up to and including a row; None for a symbol without gaps.
        columns: Own bars of (symbol, field), read-only, raw.
        plain: Those of `columns` whose symbol is plain.
        averages: Moving averages of (symbol, field), of own bars, forward split-adjusted.
    """

    __slots__ = (
        "averages",
        "bars",
        "closes",
        "columns",
        "counts",
        "factors",
        "index",
        "marks",
        "opens",
        "own_factors",
        "plain",
    )

    def __init__(self, bars: Bars) -> None:
        self.bars: Final = bars
        self.index = {symbol: column for column, symbol in enumerate(bars.symbols)}
        self.opens: list[memoryview] = []
        self.closes: list[memoryview] = []
        self.marks: list[memoryview] = []
        self.factors: list[FloatArray | None] = []
        self.own_factors: list[FloatArray | None] = []
        self.counts: list[memoryview | None] = []
        self.columns: dict[tuple[str, str], FloatArray] = {}
        self.plain: dict[tuple[str, str], FloatArray] = {}
        self.averages: dict[tuple[str, str], Averages] = {}
        for column in range(len(bars.symbols)):
            self._prepare(column)

    def mark_column(self, column: int) -> FloatArray:
        """Return the marks of one symbol as an array, shape (n,)."""
        return np.asarray(self.marks[column])

    def marked(self, rows: Numbers, columns: Numbers) -> Numbers:
        """Return the marks of rows and columns, one by one."""
        if len(self.marks) == 1:
            return self.mark_column(0).take(np.asarray(rows, dtype=np.int64))
        marks = self.marks
        return [marks[column][row] for row, column in zip(rows, columns, strict=True)]

    def adjusted(self, field: str) -> FloatArray:
        """Return one field of all symbols, forward split-adjusted: raw times F, shape (n, k).

        F is the product of the splits up to and including a row, so a value knows no later split.
        Volumes are divided by F. Without any split the raw array itself is returned.
        """
        raw: FloatArray = getattr(self.bars, field)
        if all(factor is None for factor in self.factors):
            return raw
        factors = np.cumprod(self.bars.splits, axis=0)
        adjusted = np.asfortranarray(raw / factors if field == "volume" else raw * factors)
        adjusted.flags.writeable = False
        return adjusted

    def average(self, symbol: str, field: str, length: int) -> FloatArray:
        """Return the moving average of a symbol's own bars, forward split-adjusted, shape (m,).

        One row per own bar, NaN until there are `length` of them; see `Averages`.
        """
        key = (symbol, field)
        if key not in self.averages:
            values, column = self.columns[key], self.index[symbol]
            factor = self.own_factors[column]
            if key in self.plain:
                ticks = self.bars.ticks(field, column)
            else:
                if factor is not None:
                    values = values / factor if field == "volume" else values * factor
                ticks = common_tick(values)
            self.averages[key] = Averages(values, ticks)
        return self.averages[key].mean(length)

    def _prepare(self, column: int) -> None:
        bars = self.bars
        symbol, close = bars.symbols[column], bars.close[:, column]
        factor: FloatArray | None = None
        if bars.is_split[column]:
            factor = np.cumprod(bars.splits[:, column], dtype=np.float64)
        self.opens.append(bars.open[:, column].data)
        self.closes.append(close.data)
        self.factors.append(factor)
        raw = {field: getattr(bars, field)[:, column] for field in FIELDS}
        if bars.gapless[column]:
            self.counts.append(None)
            self.marks.append(close.data)
            self.own_factors.append(factor)
        else:
            present = ~np.isnan(close)
            counts: npt.NDArray[np.int64] = np.cumsum(present, dtype=np.int64)
            self.counts.append(counts.data)
            self.marks.append(_forward_fill(close, present, counts, factor).data)
            self.own_factors.append(None if factor is None else factor[present])
            raw = {field: values[present] for field, values in raw.items()}
            for values in raw.values():
                values.flags.writeable = False
        is_plain = factor is None and bars.gapless[column]
        for field, values in (*raw.items(), ("price", raw["close"])):
            self.columns[symbol, field] = values
            if is_plain:
                self.plain[symbol, field] = values


def _forward_fill(
    close: FloatArray,
    present: npt.NDArray[np.bool_],
    counts: npt.NDArray[np.int64],
    factor: FloatArray | None,
) -> FloatArray:
    rows = np.flatnonzero(present)
    source = rows[np.maximum(counts - 1, 0)]
    filled = close[source]
    if factor is not None:
        filled = filled * (factor[source] / factor)
    filled[counts == 0] = np.nan
    return filled
