"""Runs from scripts and notebooks, without Snakemake, and the directories they make.

Names are imported when they are first used: a strategy that derives from `TradingAlgorithm` is
imported by every run, and needs none of the rest.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backtrail.backtest.algorithm import TradingAlgorithm
    from backtrail.backtest.artifact_manager import BacktestArtifactManager
    from backtrail.backtest.comparison import compare_backtests
    from backtrail.backtest.data_catalog import DataCatalog
    from backtrail.backtest.queries import find_artifacts, query_runs
    from backtrail.backtest.result import BacktestResult
    from backtrail.backtest.revisions import revision_impact
    from backtrail.backtest.running import run_algorithm
    from backtrail.backtest.trials import record_trials
    from backtrail.provenance.capture import StrategyCodeCapture
    from backtrail.provenance.metadata import BacktestMetadataGenerator

__all__ = [
    "BacktestArtifactManager",
    "BacktestMetadataGenerator",
    "BacktestResult",
    "DataCatalog",
    "StrategyCodeCapture",
    "TradingAlgorithm",
    "compare_backtests",
    "find_artifacts",
    "query_runs",
    "record_trials",
    "revision_impact",
    "run_algorithm",
]

_HOMES = {
    "BacktestArtifactManager": "backtrail.backtest.artifact_manager",
    "BacktestMetadataGenerator": "backtrail.provenance.metadata",
    "BacktestResult": "backtrail.backtest.result",
    "DataCatalog": "backtrail.backtest.data_catalog",
    "StrategyCodeCapture": "backtrail.provenance.capture",
    "TradingAlgorithm": "backtrail.backtest.algorithm",
    "compare_backtests": "backtrail.backtest.comparison",
    "find_artifacts": "backtrail.backtest.queries",
    "query_runs": "backtrail.backtest.queries",
    "record_trials": "backtrail.backtest.trials",
    "revision_impact": "backtrail.backtest.revisions",
    "run_algorithm": "backtrail.backtest.running",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
