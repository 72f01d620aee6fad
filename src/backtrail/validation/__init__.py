"""How much of a result is luck: tests that can be wrong, and say when they cannot be asked."""

from backtrail.validation.reordering import PATH_STATISTICS, Reordering, reorder_trades

__all__ = ["PATH_STATISTICS", "Reordering", "reorder_trades"]
