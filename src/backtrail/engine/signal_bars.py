"""What a signal function sees: whole columns of prices, and indicators over them."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Hashable
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.engine.bars import FIELDS
from backtrail.engine.declared import Declaration, compute
from backtrail.engine.market import Market
from backtrail.engine.universe import Universe
from backtrail.errors import StrategyError

__all__ = ["SignalBars"]

FloatArray = npt.NDArray[np.float64]

_KEPT_BYTES: Final = 1 << 28


class SignalBars:
    """What a signal function sees: whole columns, read-only, shape (n, k), NaN without a bar.

    Prices are forward split-adjusted: raw times the product of the splits so far, volumes divided
    by it. A row holds nothing of later rows; that the function itself does not look ahead, by an
    index or a shift, is the function's own duty.

    Attributes:
        symbols: One per column.
        timestamps: Microseconds since 1970 UTC, shape (n,).
        calendar: Name of the trading calendar.
        timeframe: Length of a bar.
    """

    __slots__ = (
        "_averages",
        "_indicators",
        "_market",
        "calendar",
        "symbols",
        "timeframe",
        "timestamps",
    )

    def __init__(self, market: Market) -> None:
        self._market = market
        self._averages: dict[tuple[int, str], FloatArray] = {}
        self._indicators: OrderedDict[Hashable, FloatArray] = OrderedDict()
        self.symbols = market.bars.symbols
        self.timestamps = market.bars.timestamps
        self.calendar = market.bars.calendar
        self.timeframe = market.bars.timeframe

    @property
    def open(self) -> FloatArray:
        """First price of each bar."""
        return self._market.adjusted("open")

    @property
    def high(self) -> FloatArray:
        """Highest price of each bar."""
        return self._market.adjusted("high")

    @property
    def low(self) -> FloatArray:
        """Lowest price of each bar."""
        return self._market.adjusted("low")

    @property
    def close(self) -> FloatArray:
        """Last price of each bar."""
        return self._market.adjusted("close")

    @property
    def volume(self) -> FloatArray:
        """Units traded in each bar."""
        return self._market.adjusted("volume")

    @property
    def universe(self) -> npt.NDArray[np.bool_]:
        """Whether each symbol is in the universe on the session date of each bar, shape (n, k).

        Raises:
            StrategyError: If the bundle has no membership file.
        """
        return Universe(self._market.bars).mask()

    def sma(self, length: int, field: str = "close") -> FloatArray:
        """Return the mean of the last `length` bars of each symbol, shape (n, k), read-only.

        Each symbol's own bars count; NaN until it has so many, and where it has no bar. Kept for
        the run (a sweep asks for few lengths many times), and exact as `BarData.sma` is.

        Args:
            length: Number of bars, 1 or more.
            field: `open`, `high`, `low`, `close` or `volume`.

        Raises:
            StrategyError: If the field is unknown or `length` is no whole number of 1 or more.
        """
        key = (length, field)
        if key not in self._averages:
            self._averages[key] = self._average(length, field)
        return self._averages[key]

    def indicator(
        self,
        function: Callable[..., Any],
        fields: str | Collection[str] = "close",
        *,
        unit: str | None = None,
        **arguments: Hashable,
    ) -> FloatArray:
        """Return a function of whole columns for each symbol, shape (n, k), read-only.

        It is computed once for a run or a sweep, however many parameter sets ask for the same
        function with the same fields and arguments; NaN where a symbol has no bar. The latest
        results are kept, as many as fit into 256 MB.

        Args:
            function: As in `declare_indicator`; one that looks ahead is refused.
            fields: As in `declare_indicator`.
            unit: As in `declare_indicator`.
            **arguments: Handed on to the function by name.

        Raises:
            StrategyError: If a field or the unit is unknown, an argument cannot be a key, or the
                function looks ahead.
        """
        names = (fields,) if isinstance(fields, str) else tuple(fields)
        key = (function, names, unit, *sorted(arguments.items()))
        kept = self._indicators
        try:
            found = kept.get(key)
        except TypeError as error:
            raise StrategyError(
                f"arguments {arguments!r} of an indicator cannot be kept apart ({error}); pass"
                " numbers, texts and tuples"
            ) from None
        if found is None:
            name = getattr(function, "__name__", "indicator")
            found = self._computed(Declaration(name, function, names, unit, arguments))
            kept[key] = found
            while len(kept) > 1 and len(kept) * found.nbytes > _KEPT_BYTES:
                kept.popitem(last=False)
        else:
            kept.move_to_end(key)
        return found

    def _computed(self, declaration: Declaration) -> FloatArray:
        values = np.full(self._market.bars.shape, np.nan, order="F")
        for column, symbol in enumerate(self.symbols):
            values[self._own(column), column] = compute(declaration, self._market, symbol)
        values.flags.writeable = False
        return values

    def _own(self, column: int) -> slice | npt.NDArray[np.bool_]:
        """Return the rows in which a symbol has a bar."""
        if self._market.counts[column] is None:
            return slice(None)
        return ~np.isnan(self._market.bars.close[:, column])

    def _average(self, length: int, field: str) -> FloatArray:
        if field not in FIELDS:
            raise StrategyError(f"unknown field {field!r}; use one of {', '.join(FIELDS)}")
        if isinstance(length, bool) or not isinstance(length, (int, np.integer)) or length < 1:
            raise StrategyError(f"average of {length!r} bars; ask for 1 or more")
        market = self._market
        if len(self.symbols) == 1:  # it has a bar in every row
            return market.average(self.symbols[0], field, int(length)).reshape(-1, 1)
        means = np.full(market.bars.shape, np.nan, order="F")
        for column, symbol in enumerate(self.symbols):
            means[self._own(column), column] = market.average(symbol, field, int(length))
        means.flags.writeable = False
        return means
