"""What a run tells those who subscribe: trades, performance, risk violations."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from backtrail.engine.calling import check_call
from backtrail.errors import StrategyError

__all__ = [
    "EVENTS",
    "Notices",
    "PerformanceSnapshot",
    "RiskViolation",
    "TradeExecutionData",
    "moment",
]

EVENTS: Final = ("trade_executed", "performance_updated", "risk_violation")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TradeExecutionData:
    """A fill.

    Attributes:
        at: Timestamp of the bar, UTC.
        symbol: What was traded.
        order_id: Its order; None where a delisting closed a holding.
        quantity: Signed shares.
        price: Of a share.
        value: Quantity times price.
        commission: Paid.
        slippage: Money lost to slippage.
    """

    at: datetime
    symbol: str
    order_id: int | None
    quantity: float
    price: float
    value: float
    commission: float
    slippage: float


@dataclass(frozen=True, slots=True)
class PerformanceSnapshot:
    """The account after a bar, marked at the last known closes.

    Attributes:
        at: Timestamp of the bar, UTC.
        portfolio_value: Cash plus holdings.
        cash: Not invested.
        positions_value: Signed value of the holdings.
        leverage: Gross exposure over portfolio value; NaN when that is not above zero.
        returns: Since the start of the run, a fraction.
        drawdown: From the highest portfolio value so far, zero or negative.
    """

    at: datetime
    portfolio_value: float
    cash: float
    positions_value: float
    leverage: float
    returns: float
    drawdown: float


@dataclass(frozen=True, slots=True)
class RiskViolation:
    """A limit that was touched, and what was done about it.

    Attributes:
        at: Timestamp of the bar, UTC.
        rule: Name of the control, `risk_hook` or `maintenance_margin`.
        symbol: Of the order; None where it is about the account.
        order_id: Of the order; None where it is about the account.
        action: `rejected`, `shrunk`, `logged`, or `liquidated`.
        limit: The limit, where it is a number.
        found: What would have been, where it is a number.
        message: The same in words.
    """

    at: datetime
    rule: str
    symbol: str | None
    order_id: int | None
    action: str
    limit: float | None
    found: float | None
    message: str


class Notices:
    """Subscribers of a run, and what waits to be told to them.

    Attributes:
        queue: What waits: (event, notice), oldest first.
    """

    __slots__ = ("_subscribers", "queue")

    def __init__(self) -> None:
        self._subscribers: dict[str, list[Callable[[Any], Any]]] = {}
        self.queue: list[tuple[str, Any]] = []

    def subscribe(self, event: str, callback: Callable[[Any], Any]) -> None:
        """Call a function at every event of a kind.

        Raises:
            StrategyError: If there is no such event, or the callback cannot be called.
        """
        if event not in EVENTS:
            raise StrategyError(f"there is no event {event!r}; subscribe to {', '.join(EVENTS)}")
        if not callable(callback):
            raise StrategyError(f"the subscriber of {event} is {callback!r}; pass a function")
        check_call(callback, ("notice",), f"the subscriber of {event}")
        self._subscribers.setdefault(event, []).append(callback)

    def wants(self, event: str) -> bool:
        """Whether somebody subscribed."""
        return event in self._subscribers

    def put(self, event: str, value: Any) -> None:
        """Keep an event until `deliver`."""
        self.queue.append((event, value))

    def deliver(self) -> None:
        """Call the subscribers of everything that waits, oldest first."""
        for event, value in self.queue:  # a callback may put more behind them
            for callback in self._subscribers.get(event, ()):
                callback(value)
        self.queue.clear()


def moment(timestamps: Any, row: int) -> datetime:
    """Return the timestamp of a row, aware, UTC; microseconds are its unit."""
    return _EPOCH + timedelta(microseconds=int(timestamps[row]))
