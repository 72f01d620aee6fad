"""The functions a strategy calls, and the base class of the class form."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from backtrail.engine import data_files
from backtrail.engine.account import Context, check_record_value
from backtrail.engine.data_view import BarData
from backtrail.engine.orders import OpenOrder, Order, Style, style_of
from backtrail.engine.settings import Settings
from backtrail.engine.simulation import Simulation
from backtrail.errors import StrategyError

if TYPE_CHECKING:
    from backtrail.engine.result import RunResult

__all__ = ["Actions", "TradingAlgorithm"]


class Actions(Settings):
    """What a strategy can do at a bar.

    A market order fills at the symbol's next bar, at its open or close as the execution rules say;
    with a limit or a stop it fills at the first bar that reaches them, and waits until then. The
    order functions return the order's id, or None when the amount comes to less than one lot, so
    that no order is made. An order for a symbol that has no bar yet, or is delisted, is recorded
    as rejected. Selling more than is held goes short; the proceeds are cash and may be spent.

    Targets count what waits: the quantity of an `order_target...` is the target less the holding
    less the symbol's open orders, so asking twice buys once (Zipline leaves open orders out); when
    it fills, it is the target in shares less the holding then, so an earlier order that was clipped
    or canceled does not carry it past the target. An order with a limit or a stop is sized when it
    is placed, whatever `size_at` says, because its side has to be known.
    """

    _recorded: list[tuple[int, str, float | None]]

    @property
    def recorded(self) -> list[tuple[int, str, float | None]]:
        """What `record` was given so far: (row, name, value)."""
        return self._recorded

    def bind(self, simulation: Simulation, context: Context, data: BarData) -> None:
        """Connect to the account of a run; the engine does this."""
        self._simulation = simulation
        self._context, self._data = context, data
        self._scheduled = []
        self._recorded = []

    def order(
        self,
        symbol: str,
        amount: float,
        limit_price: float | None = None,
        stop_price: float | None = None,
        style: Style | None = None,
    ) -> int | None:
        """Buy `amount` shares, sell when negative.

        Args:
            symbol: What to trade.
            amount: Shares.
            limit_price: Worst price to trade at.
            stop_price: Price that has to be reached first.
            style: The same as a `LimitOrder`, `StopOrder` or `StopLimitOrder`.

        Raises:
            OrderError: If the symbol is unknown, the amount not finite, a price not above zero, or
                this is not called from `handle_data` or a scheduled function; so do all order
                functions.
            RiskViolationError: If it breaks a trading control that ends the run.
        """
        asked = style_of(limit_price, stop_price, style)
        return self._running().place(symbol, amount, "shares", asked)

    def order_value(
        self,
        symbol: str,
        value: float,
        limit_price: float | None = None,
        stop_price: float | None = None,
        style: Style | None = None,
    ) -> int | None:
        """Buy shares worth `value` of money, sell when negative."""
        asked = style_of(limit_price, stop_price, style)
        return self._running().place(symbol, value, "value", asked)

    def order_percent(
        self,
        symbol: str,
        percent: float,
        limit_price: float | None = None,
        stop_price: float | None = None,
        style: Style | None = None,
    ) -> int | None:
        """Buy shares worth a fraction of the portfolio value: 0.5 is half of it."""
        asked = style_of(limit_price, stop_price, style)
        return self._running().place(symbol, percent, "percent", asked)

    def order_target(
        self,
        symbol: str,
        target: float,
        limit_price: float | None = None,
        stop_price: float | None = None,
        style: Style | None = None,
    ) -> int | None:
        """Trade to a holding of `target` shares, open orders counted as filled."""
        asked = style_of(limit_price, stop_price, style)
        return self._running().place(symbol, target, "target", asked)

    def order_target_value(
        self,
        symbol: str,
        target: float,
        limit_price: float | None = None,
        stop_price: float | None = None,
        style: Style | None = None,
    ) -> int | None:
        """Trade to a holding worth `target`, open orders counted as filled."""
        asked = style_of(limit_price, stop_price, style)
        return self._running().place(symbol, target, "target_value", asked)

    def order_target_percent(
        self,
        symbol: str,
        target: float,
        limit_price: float | None = None,
        stop_price: float | None = None,
        style: Style | None = None,
    ) -> int | None:
        """Trade to a holding worth a fraction of the portfolio value, open orders counted."""
        asked = style_of(limit_price, stop_price, style)
        return self._running().place(symbol, target, "target_percent", asked)

    def cancel_order(self, order_id: int) -> None:
        """Cancel an open order; one that is finished stays as it is.

        Raises:
            OrderError: If no such order was made.
        """
        self._running().book.cancel(order_id)

    def get_open_orders(
        self, symbol: str | None = None
    ) -> list[OpenOrder] | dict[str, list[OpenOrder]]:
        """Return the open orders of a symbol as a list, or of all as a dict of lists."""
        simulation = self._running()
        waiting = simulation.book.waiting
        names = simulation.market.bars.symbols
        if symbol is not None:
            column = simulation.column(symbol)
            return [_seen(order, symbol) for order in waiting.get(column, ())]
        return {
            names[column]: [_seen(order, names[column]) for order in orders]
            for column, orders in waiting.items()
        }

    def symbol(self, name: str) -> str:
        """Return the name of a symbol after checking that the run has it.

        Raises:
            OrderError: If it has not.
        """
        self._running().column(name)
        return name

    def symbols(self, *names: str) -> list[str]:
        """Return several names as `symbol` does."""
        return [self.symbol(name) for name in names]

    def record(self, **values: float | None) -> None:
        """Record named numbers at this bar; the last value of a name at a bar counts.

        Raises:
            StrategyError: If a value is no number, or infinite, or no bar is running.
        """
        row = self._running().row
        if not self._running().accepting:
            raise StrategyError("record outside of handle_data; record there only")
        for name, value in values.items():
            self._recorded.append((row, name, check_record_value(name, value)))

    def data_file(self, name: str) -> Path:
        """Return the path of a captured file; see `backtrail.engine.api.data_file`."""
        return data_files.data_file(name)


class TradingAlgorithm(Actions):
    """Base class of a strategy in class form; a run makes one instance without arguments.

    Attributes:
        params: The strategy's `Params` instance; None without a `Params` class.
        artifact_manager: The run's folders, to write own files to; None without a run directory.
        output_dir: The run's directory; None without one.
    """

    params: Any = None
    artifact_manager: Any = None
    output_dir: Path | None = None

    def initialize(self, context: Context) -> None:
        """Prepare state, once, before the first bar; no orders, no prices."""

    def before_trading_start(self, context: Context, data: BarData) -> None:
        """Prepare a session before its first bar; no orders, and nothing of the session is known.

        `data` and `context` are as they were after the bar before: NaN and nothing before the
        first one. It is called only where a strategy defines it.
        """

    def handle_data(self, context: Context, data: BarData) -> None:
        """Decide at one bar, with data up to and including it.

        Raises:
            StrategyError: Always, here: a strategy has to define it.
        """
        raise StrategyError(f"{type(self).__name__} has no handle_data")

    def analyze(self, context: Context, perf: "RunResult") -> None:
        """Look at the finished run; no orders."""


def _seen(order: Order, symbol: str) -> OpenOrder:
    amount = None if order.quantity is None else float(order.quantity)
    return OpenOrder(
        order.order_id,
        symbol,
        order.sizing,
        order.amount,
        amount,
        float(order.filled),
        order.style.limit,
        order.style.stop,
        order.triggered,
    )
