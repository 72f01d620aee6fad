"""The functions of `TradingAlgorithm` for strategies in function form.

They act on the algorithm that runs in the current context, so that runs in several threads or
tasks do not meet.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from backtrail.engine.algorithm import Actions
from backtrail.engine.data_files import data_file
from backtrail.engine.orders import OpenOrder
from backtrail.errors import StrategyError

__all__ = [
    "cancel_order",
    "data_file",
    "get_open_orders",
    "order",
    "order_percent",
    "order_target",
    "order_target_percent",
    "order_target_value",
    "order_value",
    "record",
    "running",
    "symbol",
    "symbols",
]

_RUNNING: ContextVar[Actions | None] = ContextVar("backtrail_running", default=None)


@contextmanager
def running(actions: Actions) -> Iterator[None]:
    """Let the functions of this module act on an algorithm; the engine does this."""
    token = _RUNNING.set(actions)
    try:
        yield
    finally:
        _RUNNING.reset(token)


def _current() -> Actions:
    actions = _RUNNING.get()
    if actions is None:
        raise StrategyError("no run is active; call this from initialize or handle_data")
    return actions


def order(symbol: str, amount: float) -> int | None:
    """Buy `amount` shares, sell when negative; see `Actions.order`."""
    return _current().order(symbol, amount)


def order_value(symbol: str, value: float) -> int | None:
    """Buy shares worth `value` of money; see `Actions.order_value`."""
    return _current().order_value(symbol, value)


def order_percent(symbol: str, percent: float) -> int | None:
    """Buy shares worth a fraction of the portfolio; see `Actions.order_percent`."""
    return _current().order_percent(symbol, percent)


def order_target(symbol: str, target: float) -> int | None:
    """Trade to a holding of `target` shares; see `Actions.order_target`."""
    return _current().order_target(symbol, target)


def order_target_value(symbol: str, target: float) -> int | None:
    """Trade to a holding worth `target`; see `Actions.order_target_value`."""
    return _current().order_target_value(symbol, target)


def order_target_percent(symbol: str, target: float) -> int | None:
    """Trade to a holding worth a fraction; see `Actions.order_target_percent`."""
    return _current().order_target_percent(symbol, target)


def cancel_order(order_id: int) -> None:
    """Cancel an open order; see `Actions.cancel_order`."""
    _current().cancel_order(order_id)


def get_open_orders(
    symbol: str | None = None,
) -> list[OpenOrder] | dict[str, list[OpenOrder]]:
    """Return open orders; see `Actions.get_open_orders`."""
    return _current().get_open_orders(symbol)


def symbol(name: str) -> str:
    """Return the name of a symbol of the run; see `Actions.symbol`."""
    return _current().symbol(name)


def symbols(*names: str) -> list[str]:
    """Return the names of several symbols; see `Actions.symbols`."""
    return _current().symbols(*names)


def record(**values: float | None) -> None:
    """Record named numbers at this bar; see `Actions.record`."""
    _current().record(**values)
