"""`data`: what a strategy may know of prices at a bar."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

from backtrail.engine.bars import FIELDS
from backtrail.engine.declared import Declaration, compute
from backtrail.engine.market import Market
from backtrail.engine.schedule.sessions import SessionSource
from backtrail.engine.timeframes import Timeframes
from backtrail.engine.universe import Universe
from backtrail.errors import StrategyError

__all__ = ["BarData"]

FloatArray = npt.NDArray[np.float64]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class BarData:
    """Prices up to and including the running bar; later bars cannot be reached.

    Prices are split-adjusted as of the running bar: a close of 100 before a two-for-one split
    reads 50 after it. Dividends do not adjust prices; they are paid in cash.
    """

    __slots__ = (
        "_columns",
        "_declared",
        "_frames",
        "_market",
        "_plain",
        "_ready",
        "_row",
        "_universe",
    )

    def __init__(self, market: Market, sessions: SessionSource | None = None) -> None:
        self._market = market
        self._plain = market.plain
        self._declared: dict[str, Declaration] = {}
        # Computed columns by what was asked for; those of plain symbols are ready to be served.
        self._columns: dict[tuple[str | int, ...], memoryview] = {}
        self._ready: dict[tuple[str | int, ...], memoryview] = {}
        self._frames = Timeframes(market, sessions)
        self._universe = Universe(market.bars)
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
            frequency: The timeframe of the bars, or None for it; or a longer one: a multiple of
                minutes or hours below a day, counted from the open of each session, `1d` (a
                session) or `1w` (from Monday). The last value is that of the longer bar in the
                making: its open, its high so far, its last close, its volume so far.

        Raises:
            StrategyError: If a name is unknown, `bar_count` below 1, or the frequency none of
                these.
        """
        if bar_count < 1:
            raise StrategyError(f"history of {bar_count} bars; ask for 1 or more")
        if frequency is not None and frequency != self._market.bars.timeframe:
            return self._longer_history(symbols, field, bar_count, frequency)
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

    def sma(self, symbol: str, length: int, field: str = "close") -> float:
        """Return the mean of a symbol's last `length` bars up to and including the running one.

        The averages of a whole run are computed when the first is asked for, so a look-up costs no
        sum. They are exact where prices have a decimal tick: `sma(s, 10) > sma(s, 50)` decides as
        fractions would. Adjusted for splits as `history` is.

        Args:
            symbol: Whose.
            length: Number of bars, 1 or more.
            field: `open`, `high`, `low`, `close` or `volume`.

        Returns:
            The mean; NaN while the symbol has fewer bars.

        Raises:
            StrategyError: If a name is unknown, or `length` is no whole number of 1 or more.
        """
        ready = self._ready.get((symbol, length, field))
        if ready is not None:
            value: float = ready[self._row]
            return value
        column = self._columns.get((symbol, length, field))
        if column is None:
            column = self._average(symbol, length, field)
        return self._served(column, symbol, "volume" if field == "volume" else "price")

    def indicator(self, name: str, symbol: str) -> float:
        """Return a declared indicator at the running bar; see `declare_indicator`.

        Where the symbol has no bar now it is that of its last bar.

        Returns:
            The value; NaN before the symbol's first bar.

        Raises:
            StrategyError: If nothing was declared by that name, the symbol is unknown, or the
                function looks ahead.
        """
        ready = self._ready.get((name, symbol))
        if ready is not None:
            value: float = ready[self._row]
            return value
        column = self._columns.get((name, symbol))
        if column is None:
            column = self._compute(name, symbol)
        return self._served(column, symbol, self._declared[name].unit)

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

    def universe(self) -> tuple[str, ...]:
        """Return the symbols that are in the universe on the running bar's session date.

        Of the run's symbols those that the membership file of the bundle names for that date, in
        the order of the run's symbols; a member may have no bar now. Nothing of later dates is
        told. In `before_trading_start` the date is that of the bar before.

        Raises:
            StrategyError: If the bundle has no membership file.
        """
        return self._universe.at(self._row)

    def _served(self, column: memoryview, symbol: str, unit: str | None) -> float:
        row = self._row
        market = self._market
        place = market.index[symbol]
        counts, factor = market.counts[place], market.factors[place]
        if counts is None and factor is None:
            value: float = column[row]
            return value
        own = row if counts is None else counts[row] - 1
        if own < 0:
            return math.nan
        found: float = column[own]
        if factor is None or unit == "ratio":
            return found
        now = float(factor[row])
        return found * now if unit == "volume" else found / now

    def _declare(self, declaration: Declaration) -> None:
        if declaration.name in self._declared:
            raise StrategyError(f"indicator {declaration.name!r} is declared twice; rename one")
        self._declared[declaration.name] = declaration

    def _compute(self, name: str, symbol: str) -> memoryview:
        declaration = self._declared.get(name)
        if declaration is None:
            known = ", ".join(self._declared) or "none"
            raise StrategyError(
                f"no indicator {name!r} was declared (there are: {known}); call declare_indicator"
                " in initialize"
            )
        self._check(symbol, "close")
        return self._kept(symbol, (name, symbol), compute(declaration, self._market, symbol))

    def _longer_history(
        self, symbols: str | Sequence[str], field: str, bar_count: int, timeframe: str
    ) -> FloatArray:
        names = (symbols,) if isinstance(symbols, str) else tuple(symbols)
        columns = [self._check(name, field) for name in names]
        field = "close" if field == "price" else field
        if isinstance(symbols, str):
            values, _ = self._longer(symbols, columns[0], field, bar_count, timeframe)
            values.flags.writeable = False
            return values
        groups = self._frames.groups(timeframe)[: self._row + 1]
        ids = np.unique(groups)[-bar_count:]
        grid = np.full((len(ids), len(names)), np.nan, order="F")
        for place, (name, column) in enumerate(zip(names, columns, strict=True)):
            values, own_ids = self._longer(name, column, field, bar_count, timeframe)
            known = own_ids >= ids[0]
            grid[np.searchsorted(ids, own_ids[known]), place] = values[known]
        grid.flags.writeable = False
        return grid

    def _longer(
        self, symbol: str, column: int, field: str, bar_count: int, timeframe: str
    ) -> tuple[FloatArray, npt.NDArray[np.int64]]:
        market = self._market
        counts, factor = market.counts[column], market.factors[column]
        own = self._row if counts is None else counts[self._row] - 1
        longer = self._frames.of(symbol, timeframe)
        if own < 0:
            return np.empty(0), np.empty(0, dtype=np.int64)
        values, first = longer.history(field, bar_count, own)
        if factor is not None:
            now = factor[self._row]
            values = values * now if field == "volume" else values / now
        return values, longer.groups[first : first + len(values)]

    def _average(self, symbol: str, length: int, field: str) -> memoryview:
        self._check(symbol, field)
        if isinstance(length, bool) or not isinstance(length, int) or length < 1:
            raise StrategyError(f"average of {length!r} bars; ask for 1 or more")
        values = self._market.average(symbol, field, length)
        return self._kept(symbol, (symbol, length, field), values)

    def _kept(self, symbol: str, key: tuple[str | int, ...], values: FloatArray) -> memoryview:
        kept = self._columns if (symbol, "close") not in self._market.plain else self._ready
        column = kept[key] = values.data
        return column

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
