"""backtrail: batches of backtests that can be traced, repeated and compared."""

__version__ = "0.1.0"
__all__ = ["__version__"]
