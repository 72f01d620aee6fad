"""`data`: what a strategy may know of prices at a bar."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from backtrail.engine.bars import FIELDS
from backtrail.engine.market import Market
from backtrail.errors import StrategyError

__all__ = ["BarData"]

FloatArray = npt.NDArray[np.float64]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BarData:
    """Prices up to and including the running bar; later bars cannot be reached.

    Prices are split-adjusted as of the running bar: a close of 100 before a two-for-one split
    reads 50 after it. Dividends do not adjust prices; they are paid in cash.
    """

    __slots__ = ("_market", "_plain", "_row")

    def __init__(self, market: Market) -> None:
        self._market = market
        self._plain = market.plain
        self._row = -1

    @property
    def current_dt(self) -> datetime:
        """Timestamp of the running bar, aware, UTC."""
        stamp = int(self._market.bars.timestamps[self._row])
        return _EPOCH + timedelta(microseconds=stamp)

    def current(self, symbol: str, field: str) -> float:
        """Return one value of the running bar.

        Args:
            symbol: Whose.
            field: `price` is the last known close, NaN before the symbol's first bar; `open`,
                `high`, `low`, `close` and `volume` are those of the running bar, NaN when the
                symbol has no bar now.

        Raises:
            StrategyError: If the symbol or the field is unknown.
        """
        market = self._market
        if field == "price":
            column = market.index.get(symbol)
            if column is not None:
                value: float = market.marks[column][self._row]
                return value
        column = self._check(symbol, field)
        if field == "close":
            close: float = market.closes[column][self._row]
            return close
        return float(getattr(market.bars, field)[self._row, column])

    def history(
        self,
        symbols: str | Sequence[str],
        field: str,
        bar_count: int,
        frequency: str | None = None,
    ) -> FloatArray:
        """Return the last values up to and including the running bar, oldest first, read-only.

        For one symbol: its own last `bar_count` bars, shape (m,), m < `bar_count` while there are
        fewer; rows in which it has no bar are left out. For a sequence of symbols: the last rows
        of the common time grid, shape (m, number of symbols), NaN where a symbol has no bar. A
        slice of the data without copying unless a split lies inside (or several symbols are not
        all symbols of the run in their order).

        Args:
            symbols: One name or several.
            field: `open`, `high`, `low`, `close`, `volume`, or `price`, which is `close`.
            bar_count: Most bars to return, 1 or more.
            frequency: The timeframe of the bars, or None for it; there is no other in this version.

        Raises:
            StrategyError: If a name is unknown, `bar_count` below 1, or the frequency another.
        """
        if bar_count < 1 or frequency is not None:
            self._check_request(bar_count, frequency)
        try:
            values: FloatArray | None = self._plain.get((symbols, field))  # type: ignore[arg-type]
        except TypeError:  # a list of symbols
            values = None
        if values is None:
            if isinstance(symbols, str):
                return self._adjusted_history(symbols, field, bar_count)
            return self._grid_history(tuple(symbols), field, bar_count)
        end = self._row + 1
        return values[end - bar_count if end > bar_count else 0 : end]

    def can_trade(self, symbol: str) -> bool:
        """Return whether the symbol has a bar now (and so is not delisted)."""
        price: float = self._market.closes[self._check(symbol, "close")][self._row]
        return price == price

    def is_stale(self, symbol: str) -> bool:
        """Return whether the symbol is alive, had a bar before, and has none now."""
        market = self._market
        column = self._check(symbol, "close")
        delisted = int(market.bars.delisted[column])
        mark, close = market.marks[column][self._row], market.closes[column][self._row]
        return close != close and mark == mark and not 0 <= delisted < self._row

    def _adjusted_history(self, symbol: str, field: str, bar_count: int) -> FloatArray:
        column = self._check(symbol, field)
        market = self._market
        counts = market.counts[column]
        end = self._row + 1 if counts is None else counts[self._row]
        start = max(0, end - bar_count)
        values: FloatArray = market.columns[symbol, field][start:end]
        factor, own = market.factors[column], market.own_factors[column]
        if factor is None or own is None or start == end:
            return values
        now = factor[self._row]
        if (own[start:end] == now).all():
            return values
        ratio = own[start:end] / now
        adjusted: FloatArray = values / ratio if field == "volume" else values * ratio
        adjusted.flags.writeable = False
        return adjusted

    def _grid_history(self, symbols: tuple[str, ...], field: str, bar_count: int) -> FloatArray:
        columns = [self._check(symbol, field) for symbol in symbols]
        market = self._market
        end = self._row + 1
        start = max(0, end - bar_count)
        raw: FloatArray = getattr(market.bars, "close" if field == "price" else field)[start:end]
        whole = columns == list(range(len(market.bars.symbols)))
        split = [c for c in columns if self._has_split(c, start)]
        if whole and not split:
            return raw
        values = np.asfortranarray(raw[:, columns])
        for place, column in enumerate(columns):
            factor = market.factors[column]
            if column in split and factor is not None:
                ratio = factor[start:end] / factor[self._row]
                values[:, place] *= 1.0 / ratio if field == "volume" else ratio
        values.flags.writeable = False
        return values

    def _has_split(self, column: int, start: int) -> bool:
        factor = self._market.factors[column]
        return factor is not None and bool(
            (factor[start : self._row + 1] != factor[self._row]).any()
        )

    def _check(self, symbol: str, field: str) -> int:
        market = self._market
        if field not in FIELDS and field != "price":
            raise StrategyError(f"unknown field {field!r}; use one of {', '.join(FIELDS)}, price")
        try:
            return market.index[symbol]
        except (KeyError, TypeError):
            known = ", ".join(market.bars.symbols[:10])
            raise StrategyError(f"unknown symbol {symbol!r}; the bars have {known}") from None

    def _check_request(self, bar_count: int, frequency: str | None) -> None:
        if bar_count < 1:
            raise StrategyError(f"history of {bar_count} bars; ask for 1 or more")
        timeframe = self._market.bars.timeframe
        if frequency != timeframe:
            raise StrategyError(
                f"history at frequency {frequency!r}; these bars have {timeframe!r} only"
            )
