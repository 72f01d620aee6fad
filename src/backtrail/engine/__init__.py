"""The engine: bars and a strategy in, orders, fills, trades and an equity curve out.

Pure: NumPy and the standard library, no clock, no randomness but the config's seed; no files, but
for the paths that `data_file` finds for a strategy.
"""

from backtrail.engine.account import Context
from backtrail.engine.algorithm import TradingAlgorithm
from backtrail.engine.bars import Bars
from backtrail.engine.config import CommissionConfig, EngineConfig, ExecutionRules
from backtrail.engine.data_view import BarData
from backtrail.engine.event import run_event
from backtrail.engine.result import RunResult
from backtrail.engine.signal import SignalBars, run_signal
from backtrail.engine.strategy import Strategy, load_strategy, params_from

__all__ = [
    "BarData",
    "Bars",
    "CommissionConfig",
    "Context",
    "EngineConfig",
    "ExecutionRules",
    "RunResult",
    "SignalBars",
    "Strategy",
    "TradingAlgorithm",
    "load_strategy",
    "params_from",
    "run_event",
    "run_signal",
]
