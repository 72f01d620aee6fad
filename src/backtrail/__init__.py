"""backtrail: batches of backtests that can be traced, repeated and compared."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backtrail.backtest import (
        TradingAlgorithm,
        compare_backtests,
        find_artifacts,
        query_runs,
        revision_impact,
        run_algorithm,
    )

__version__ = "0.1.0"
__all__ = [
    "TradingAlgorithm",
    "__version__",
    "compare_backtests",
    "find_artifacts",
    "query_runs",
    "revision_impact",
    "run_algorithm",
]


def __getattr__(name: str) -> Any:
    # Imported when first used: every job of a batch imports this package, and needs none of them.
    if name in __all__:
        return getattr(import_module("backtrail.backtest"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
