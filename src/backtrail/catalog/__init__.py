"""The index of runs and datasets: a database that can be deleted and made again from disk.

What its columns may hold is here, light enough for a command line to import.
"""

__all__ = ["GRADES", "GROUPS", "RUN_TYPES", "STATUSES"]

# `altered`: the run's manifest is not the one that its mark states.
STATUSES = ("completed", "failed", "altered")
GRADES = ("A", "B", "C", "D")
RUN_TYPES = ("backtest", "optimization", "holdout")
# By what runs can be grouped.
GROUPS = ("month", "strategy", "symbol", "bundle", "tag", "dataset")
