"""Longer bars made of a run's bars: only what is past, and the one that is in the making."""

from typing import Final

import numpy as np
import numpy.typing as npt

from backtrail.engine.bars import FIELDS, Bars
from backtrail.engine.market import Market
from backtrail.engine.schedule.sessions import (
    IntArray,
    SessionSource,
    bar_length,
    is_intraday,
    session_days,
    sessions_of,
)
from backtrail.errors import StrategyError

__all__ = ["Longer", "Timeframes"]

FloatArray = npt.NDArray[np.float64]

_DAY: Final = 86_400_000_000


class Longer:
    """Bars of a longer timeframe of one symbol, forward split-adjusted.

    At every own bar there are the bars that ended before it and the one it belongs to, as far as
    that has come.

    Args:
        market: Prices.
        symbol: Whose.
        groups: Number of the longer bar of each row, shape (n,), never falling.
    """

    __slots__ = ("_columns", "_group", "_running", "groups")

    def __init__(self, market: Market, symbol: str, groups: IntArray) -> None:
        column = market.index[symbol]
        own = ~np.isnan(market.bars.close[:, column])
        self._group = groups[own]
        starts = np.flatnonzero(np.diff(self._group, prepend=self._group[0] - 1))
        factor = market.own_factors[column]
        values = {}
        for field in FIELDS:
            raw = market.columns[symbol, field]
            if factor is not None:
                raw = raw / factor if field == "volume" else raw * factor
            values[field] = raw
        self.groups: IntArray = self._group[starts]
        self._columns: dict[str, FloatArray] = {
            "open": values["open"][starts],
            "high": np.maximum.reduceat(values["high"], starts),
            "low": np.minimum.reduceat(values["low"], starts),
            "close": values["close"][np.append(starts[1:], len(self._group)) - 1],
            "volume": np.add.reduceat(values["volume"], starts),
        }
        place = np.cumsum(np.diff(self._group, prepend=self._group[0] - 1) != 0) - 1
        self._group = place  # number among this symbol's own longer bars
        self._running: dict[str, FloatArray] = {
            "open": values["open"][starts[place]],
            "high": _within(np.maximum, values["high"], starts),
            "low": _within(np.minimum, values["low"], starts),
            "close": values["close"],
            "volume": _within(np.add, values["volume"], starts),
        }

    def history(self, field: str, count: int, own: int) -> tuple[FloatArray, int]:
        """Return the last values at an own bar, and the place of the first of them.

        Args:
            field: One of `FIELDS`.
            count: Most values.
            own: Number of the symbol's own bar, 0 for its first.
        """
        place = int(self._group[own])
        first = max(0, place + 1 - count)
        values = np.empty(place + 1 - first)
        values[:-1] = self._columns[field][first:place]
        values[-1] = self._running[field][own]
        return values, first


class Timeframes:
    """The longer timeframes of a run, made when they are first asked for."""

    __slots__ = ("_found", "_groups", "_market", "_source")

    def __init__(self, market: Market, source: SessionSource | None) -> None:
        self._market = market
        self._source = source
        self._groups: dict[str, IntArray] = {}
        self._found: dict[tuple[str, str], Longer] = {}

    def of(self, symbol: str, timeframe: str) -> Longer:
        """Return a symbol's bars of a longer timeframe.

        Raises:
            StrategyError: If it is no timeframe, or no longer one.
        """
        found = self._found.get((symbol, timeframe))
        if found is None:
            found = Longer(self._market, symbol, self.groups(timeframe))
            self._found[symbol, timeframe] = found
        return found

    def groups(self, timeframe: str) -> IntArray:
        """Return the number of the longer bar of each row, shape (n,), never falling."""
        if timeframe not in self._groups:
            self._groups[timeframe] = _groups(self._market.bars, timeframe, self._source)
        return self._groups[timeframe]


def _groups(bars: Bars, timeframe: str, source: SessionSource | None) -> IntArray:
    length, own = bar_length(timeframe), bar_length(bars.timeframe)
    fits = length > own and timeframe in ("1d", "1w")
    if is_intraday(timeframe) and is_intraday(bars.timeframe):
        fits = length > own and length % own == 0 and length < _DAY
    if not fits:
        raise StrategyError(
            f"history at frequency {timeframe!r}; these bars have {bars.timeframe!r}: ask for that,"
            " a multiple of it below a day, 1d or 1w"
        )
    days = session_days(bars)
    if timeframe == "1d":
        return days
    if timeframe == "1w":
        return np.asarray((days + 3) // 7)  # weeks begin on Mondays
    sessions = sessions_of(bars, source)
    opens = sessions.opens[np.searchsorted(sessions.days, days)]
    return np.asarray(days * _DAY + (bars.timestamps - opens) // length * length)


def _within(function: np.ufunc, values: FloatArray, starts: IntArray) -> FloatArray:
    """Accumulate within groups."""
    found = np.empty(len(values))
    ends = np.append(starts[1:], len(values))
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        function.accumulate(values[start:end], out=found[start:end])
    return found
