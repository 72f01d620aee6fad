"""Orders: what a strategy asked for, waiting for a bar that fills them."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from backtrail.engine.ledger import Amount
from backtrail.engine.orders.styles import MARKET, Style
from backtrail.errors import OrderError

__all__ = ["SIZINGS", "OpenOrder", "Order", "OrderBook"]

SIZINGS: Final = ("shares", "value", "percent", "target", "target_value", "target_percent")


@dataclass(slots=True, eq=False)
class Order:
    """One order and what became of it.

    Attributes:
        order_id: 1 for the first order of a run.
        row: Bar on which it was placed.
        column: Its symbol's column.
        sizing: Unit of `amount`, one of `SIZINGS`.
        amount: As asked.
        style: Limit and stop, as of now: a split divides them.
        quantity: Signed shares; None until sized.
        target: Shares to hold after it, for a sized target order; else None.
        status: `open`, `filled`, `rejected`, `canceled` or `expired`.
        reason: Why it did not fill, or how it was changed; None when there is nothing to say.
        filled_row: Bar of the last fill; None unless filled.
        split_ratio: New shares per share meant when it was placed.
        filled: Shares filled so far, signed; zero when none.
        paid: Commission so far.
        triggered: Whether its stop was reached.
        is_checked: Whether the trading controls have let it pass.
        reference: Price of the bar that is filling it, before slippage.
    """

    order_id: int
    row: int
    column: int
    sizing: str
    amount: float
    quantity: Amount = None
    target: Amount = None
    status: str = "open"
    reason: str | None = None
    filled_row: int | None = None
    split_ratio: float = 1.0
    style: Style = MARKET
    filled: Amount = 0
    paid: Amount = 0
    triggered: bool = False
    is_checked: bool = False
    reference: float = math.nan

    def finish(self, status: str, reason: str | None = None) -> None:
        """Set the final status; a reason is added to one that is already there."""
        self.status = status
        if reason is not None:
            self.explain(reason)

    def explain(self, reason: str) -> None:
        """Add a reason to those that are already there."""
        self.reason = reason if self.reason is None else f"{self.reason}; {reason}"

    def placed(self) -> tuple[Any, ...]:
        """Return the values of `Placed` in `backtrail.engine.journal`."""
        style = self.style
        return (
            self.row, self.column, style.name, self.sizing, self.amount, style.limit, style.stop,
            self.quantity, self.filled, self.status, self.reason, self.filled_row,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class OpenOrder:
    """What a strategy sees of an order that waits.

    Attributes:
        id: For `cancel_order`.
        symbol: What it trades.
        sizing: Unit of `requested`: shares, value, percent, target, target_value, target_percent.
        requested: The amount as asked.
        amount: Signed shares; None when the order is sized at the fill.
        filled: Signed shares filled so far.
        limit: Limit price, adjusted for splits since; None without one.
        stop: Stop price, likewise.
        stop_reached: Whether the stop was reached.
    """

    id: int
    symbol: str
    sizing: str
    requested: float
    amount: float | None
    filled: float = 0.0
    limit: float | None = None
    stop: float | None = None
    stop_reached: bool = False


class OrderBook:
    """All orders of a run, and those that wait, by symbol."""

    __slots__ = ("orders", "waiting")

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.waiting: dict[int, list[Order]] = {}

    def place(
        self, row: int, column: int, sizing: str, amount: float, style: Style = MARKET
    ) -> Order:
        """Return a new order, not yet waiting."""
        order = Order(len(self.orders) + 1, row, column, sizing, amount, style=style)
        self.orders.append(order)
        return order

    def wait(self, order: Order) -> None:
        """Let an order wait for its symbol's next bar."""
        self.waiting.setdefault(order.column, []).append(order)

    def find(self, order_id: int) -> Order:
        """Return an order by id.

        Raises:
            OrderError: If there is none.
        """
        if (
            isinstance(order_id, bool)
            or not isinstance(order_id, int)
            or not 1 <= order_id <= len(self.orders)
        ):
            raise OrderError(
                f"order {order_id!r} does not exist; pass an id that an order function returned"
            )
        return self.orders[order_id - 1]

    def cancel(self, order_id: int) -> None:
        """Cancel an order; one that is finished stays as it is."""
        order = self.find(order_id)
        if order.status != "open":
            return
        self._drop(order)
        order.finish("canceled", "by the strategy")

    def scale(self, column: int, ratio: float, multiply: Callable[[Amount, float], Amount]) -> None:
        """Apply a split to the waiting orders of a symbol.

        Orders in shares, and those already sized, are scaled and rounded towards zero; amounts of
        money and percentages are left.
        """
        for order in list(self.waiting.get(column, ())):
            order.split_ratio *= ratio
            order.style = order.style.split(ratio)
            if order.quantity is None:
                continue
            order.quantity = multiply(order.quantity, ratio)
            if order.filled:
                order.filled = multiply(order.filled, ratio)
            if order.target is not None:
                order.target = multiply(order.target, ratio)
            order.reason = f"scaled by a split of {ratio:g}"
            if order.quantity == order.filled:
                self._drop(order)
                order.finish("canceled", "less than one lot is left")

    def expire(self, column: int, reason: str) -> None:
        """Finish the waiting orders of a symbol that has no further bar."""
        for order in self.waiting.pop(column, ()):
            order.finish("expired", reason)

    def cancel_all(self, reason: str) -> None:
        """Cancel every waiting order."""
        for column in list(self.waiting):
            for order in self.waiting.pop(column):
                order.finish("canceled", reason)

    def _drop(self, order: Order) -> None:
        waiting = self.waiting.get(order.column)
        if waiting is None:  # the bar is filling it: it looks at the status again
            return
        waiting.remove(order)
        if not waiting:
            del self.waiting[order.column]


def check_amount(sizing: str, symbol: str, amount: float) -> float:
    """Return the amount of an order as a float.

    Raises:
        OrderError: If it is not a finite number.
    """
    try:
        number = math.nan if isinstance(amount, (str, bytes, bool)) else float(amount)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise OrderError(
            f"{sizing} order of {amount!r} for {symbol}; the amount has to be a finite number"
        )
    return number
