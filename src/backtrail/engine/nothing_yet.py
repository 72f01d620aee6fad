"""`data` before the first bar."""

import math
from collections.abc import Sequence
from datetime import datetime

import numpy as np
import numpy.typing as npt

from backtrail.engine.data_view import BarData
from backtrail.errors import StrategyError

__all__ = ["NothingYet"]

FloatArray = npt.NDArray[np.float64]


class NothingYet(BarData):
    """What is known before the first bar: nothing."""

    __slots__ = ()

    @property
    def current_dt(self) -> datetime:
        """There is no running bar.

        Raises:
            StrategyError: Always.
        """
        raise StrategyError("data.current_dt before the first bar; there is no running bar yet")

    def current(self, symbol: str, field: str) -> float:
        """Return NaN."""
        self._check(symbol, field)
        return math.nan

    def history(
        self,
        symbols: str | Sequence[str],
        field: str,
        bar_count: int,
        frequency: str | None = None,
    ) -> FloatArray:
        """Return no row."""
        names = (symbols,) if isinstance(symbols, str) else tuple(symbols)
        for name in names:
            self._check(name, field)
        return np.empty(0) if isinstance(symbols, str) else np.empty((0, len(names)))

    def sma(self, symbol: str, length: int, field: str = "close") -> float:
        """Return NaN."""
        self._check(symbol, field)
        return math.nan

    def indicator(self, name: str, symbol: str) -> float:
        """Return NaN."""
        self._check(symbol, "close")
        return math.nan

    def can_trade(self, symbol: str) -> bool:
        """Return False."""
        self._check(symbol, "close")
        return False

    def universe(self) -> tuple[str, ...]:
        """Return no symbol."""
        return self._universe.at(0)[:0]

    def is_stale(self, symbol: str) -> bool:
        """Return False."""
        self._check(symbol, "close")
        return False
