"""The functions of `TradingAlgorithm` for strategies in function form.

They act on the algorithm that runs in the current context, so that runs in several threads or
tasks do not meet.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from backtrail.engine.algorithm import Actions
from backtrail.engine.config import CommissionConfig, SlippageConfig
from backtrail.engine.costs import commission, slippage
from backtrail.engine.data_files import data_file
from backtrail.engine.orders import (
    LimitOrder,
    MarketOrder,
    OpenOrder,
    StopLimitOrder,
    StopOrder,
    Style,
)
from backtrail.engine.orders.controls import ProposedOrder
from backtrail.engine.schedule import DateRule, TimeRule, date_rules, time_rules
from backtrail.errors import StrategyError

__all__ = [
    "LimitOrder",
    "MarketOrder",
    "StopLimitOrder",
    "StopOrder",
    "cancel_order",
    "commission",
    "data_file",
    "date_rules",
    "declare_indicator",
    "get_open_orders",
    "order",
    "order_percent",
    "order_target",
    "order_target_percent",
    "order_target_value",
    "order_value",
    "record",
    "running",
    "schedule_function",
    "set_benchmark",
    "set_commission",
    "set_do_not_order_list",
    "set_long_only",
    "set_max_leverage",
    "set_max_order_size",
    "set_max_position_size",
    "set_risk_hook",
    "set_slippage",
    "slippage",
    "subscribe",
    "symbol",
    "symbols",
    "time_rules",
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


def order(
    symbol: str,
    amount: float,
    limit_price: float | None = None,
    stop_price: float | None = None,
    style: Style | None = None,
) -> int | None:
    """Buy `amount` shares, sell when negative; see `Actions.order`."""
    return _current().order(symbol, amount, limit_price, stop_price, style)


def order_value(
    symbol: str,
    value: float,
    limit_price: float | None = None,
    stop_price: float | None = None,
    style: Style | None = None,
) -> int | None:
    """Buy shares worth `value` of money; see `Actions.order_value`."""
    return _current().order_value(symbol, value, limit_price, stop_price, style)


def order_percent(
    symbol: str,
    percent: float,
    limit_price: float | None = None,
    stop_price: float | None = None,
    style: Style | None = None,
) -> int | None:
    """Buy shares worth a fraction of the portfolio; see `Actions.order_percent`."""
    return _current().order_percent(symbol, percent, limit_price, stop_price, style)


def order_target(
    symbol: str,
    target: float,
    limit_price: float | None = None,
    stop_price: float | None = None,
    style: Style | None = None,
) -> int | None:
    """Trade to a holding of `target` shares; see `Actions.order_target`."""
    return _current().order_target(symbol, target, limit_price, stop_price, style)


def order_target_value(
    symbol: str,
    target: float,
    limit_price: float | None = None,
    stop_price: float | None = None,
    style: Style | None = None,
) -> int | None:
    """Trade to a holding worth `target`; see `Actions.order_target_value`."""
    return _current().order_target_value(symbol, target, limit_price, stop_price, style)


def order_target_percent(
    symbol: str,
    target: float,
    limit_price: float | None = None,
    stop_price: float | None = None,
    style: Style | None = None,
) -> int | None:
    """Trade to a holding worth a fraction; see `Actions.order_target_percent`."""
    return _current().order_target_percent(symbol, target, limit_price, stop_price, style)


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


def schedule_function(
    func: Callable[[Any, Any], Any],
    date_rule: DateRule | None = None,
    time_rule: TimeRule | None = None,
    half_days: bool = True,
) -> None:
    """Call a function at some bars; see `Settings.schedule_function`."""
    _current().schedule_function(func, date_rule, time_rule, half_days)


def set_commission(model: CommissionConfig) -> None:
    """Say what fills cost; see `Settings.set_commission`."""
    _current().set_commission(model)


def set_slippage(model: SlippageConfig) -> None:
    """Say what fills lose; see `Settings.set_slippage`."""
    _current().set_slippage(model)


def set_benchmark(symbol: str) -> None:
    """Name the symbol to compare with; see `Settings.set_benchmark`."""
    _current().set_benchmark(symbol)


def set_max_order_size(
    asset: str | None = None,
    max_shares: float | None = None,
    max_notional: float | None = None,
    on_error: str = "fail",
) -> None:
    """Limit the size of orders; see `Settings.set_max_order_size`."""
    _current().set_max_order_size(asset, max_shares, max_notional, on_error)


def set_max_position_size(
    asset: str | None = None,
    max_shares: float | None = None,
    max_notional: float | None = None,
    on_error: str = "fail",
) -> None:
    """Limit holdings; see `Settings.set_max_position_size`."""
    _current().set_max_position_size(asset, max_shares, max_notional, on_error)


def set_long_only(on_error: str = "fail") -> None:
    """Forbid short holdings; see `Settings.set_long_only`."""
    _current().set_long_only(on_error)


def set_do_not_order_list(restricted: Collection[str], on_error: str = "fail") -> None:
    """Forbid orders for some symbols; see `Settings.set_do_not_order_list`."""
    _current().set_do_not_order_list(restricted, on_error)


def set_max_leverage(max_leverage: float, on_error: str = "fail") -> None:
    """Limit gross exposure; see `Settings.set_max_leverage`."""
    _current().set_max_leverage(max_leverage, on_error)


def set_risk_hook(hook: Callable[[Any, ProposedOrder], object]) -> None:
    """Ask a function about every order; see `Settings.set_risk_hook`."""
    _current().set_risk_hook(hook)


def subscribe(event: str, callback: Callable[[Any], Any]) -> None:
    """Call a function at every event of a kind; see `Settings.subscribe`."""
    _current().subscribe(event, callback)


def declare_indicator(
    name: str,
    function: Callable[..., Any],
    *,
    fields: str | Collection[str] = "close",
    unit: str | None = None,
    **arguments: Any,
) -> None:
    """Declare a function for look-ups; see `Settings.declare_indicator`."""
    _current().declare_indicator(name, function, fields=fields, unit=unit, **arguments)
