"""Run directories for the report tests: written as the workflow writes them, with real schemas."""

from .backtests import SMA_CODE, sma_cross_run, write_code, write_small_run
from .searches import LUCK, search_run, write_costs, write_validation
from .store import BACKTEST_ID, DATASET_ID, Store, empty, merged, spec
from .tables import bars_of, fill, moments, results_of, summary_of, table, trade, trade_table

__all__ = [
    "BACKTEST_ID",
    "DATASET_ID",
    "LUCK",
    "SMA_CODE",
    "Store",
    "bars_of",
    "empty",
    "fill",
    "merged",
    "moments",
    "results_of",
    "search_run",
    "sma_cross_run",
    "spec",
    "summary_of",
    "table",
    "trade",
    "trade_table",
    "write_code",
    "write_costs",
    "write_small_run",
    "write_validation",
]
