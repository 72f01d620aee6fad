"""The engine: bars and a strategy in, orders, fills, trades and an equity curve out.

Pure: NumPy and the standard library, no clock, no randomness but the config's seed; no files, but
for the paths that `data_file` finds for a strategy. Names are imported when they are first used: a
report needs sessions, a sweep no event loop.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backtrail.engine.account import Context
    from backtrail.engine.algorithm import TradingAlgorithm
    from backtrail.engine.bars import Bars
    from backtrail.engine.config import (
        CommissionConfig,
        EngineConfig,
        ExecutionRules,
        InstrumentConfig,
        MarginConfig,
        SlippageConfig,
    )
    from backtrail.engine.data_view import BarData
    from backtrail.engine.event import run_event
    from backtrail.engine.notices import PerformanceSnapshot, RiskViolation, TradeExecutionData
    from backtrail.engine.orders import LimitOrder, MarketOrder, StopLimitOrder, StopOrder
    from backtrail.engine.orders.controls import ProposedOrder
    from backtrail.engine.result import RunResult
    from backtrail.engine.schedule import Sessions, date_rules, time_rules
    from backtrail.engine.signal import run_signal
    from backtrail.engine.signal_bars import SignalBars
    from backtrail.engine.strategy import Strategy, load_strategy, params_from

__all__ = [
    "BarData",
    "Bars",
    "CommissionConfig",
    "Context",
    "EngineConfig",
    "ExecutionRules",
    "InstrumentConfig",
    "LimitOrder",
    "MarginConfig",
    "MarketOrder",
    "PerformanceSnapshot",
    "ProposedOrder",
    "RiskViolation",
    "RunResult",
    "Sessions",
    "SignalBars",
    "SlippageConfig",
    "StopLimitOrder",
    "StopOrder",
    "Strategy",
    "TradeExecutionData",
    "TradingAlgorithm",
    "date_rules",
    "load_strategy",
    "params_from",
    "run_event",
    "run_signal",
    "time_rules",
]

_HOMES = {
    "BarData": "data_view",
    "Bars": "bars",
    "CommissionConfig": "config",
    "Context": "account",
    "EngineConfig": "config",
    "ExecutionRules": "config",
    "InstrumentConfig": "config",
    "LimitOrder": "orders",
    "MarginConfig": "config",
    "MarketOrder": "orders",
    "PerformanceSnapshot": "notices",
    "ProposedOrder": "orders.controls",
    "RiskViolation": "notices",
    "RunResult": "result",
    "Sessions": "schedule",
    "SignalBars": "signal_bars",
    "SlippageConfig": "config",
    "StopLimitOrder": "orders",
    "StopOrder": "orders",
    "Strategy": "strategy",
    "TradeExecutionData": "notices",
    "TradingAlgorithm": "algorithm",
    "date_rules": "schedule",
    "load_strategy": "strategy",
    "params_from": "strategy",
    "run_event": "event",
    "run_signal": "signal",
    "time_rules": "schedule",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found: object = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
