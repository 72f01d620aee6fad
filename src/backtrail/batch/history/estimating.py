"""How long the runs of a batch will take, as far as earlier runs of their strategies tell."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from statistics import median
from typing import Any, Final

from backtrail.artifacts.store import RunStore
from backtrail.batch.history.why import PreviewedRun
from backtrail.batch.planning.chunks import time_words
from backtrail.batch.planning.requests import RunRequest
from backtrail.wording import counted

__all__ = ["BatchEstimate", "EarlierRuns", "estimate_batch"]

_EXECUTED: Final = ("new", "open", "failed", "restore")
_MOST_RUNS: Final = 500  # of a strategy, the latest ones
_COLUMNS: Final = (
    "strategy",
    "bundle",
    "symbols_json",
    "start_date",
    "end_date",
    "started_at",
    "execute_seconds",
)


@dataclass(frozen=True, slots=True)
class BatchEstimate:
    """What executing the runs of a batch is expected to take.

    Attributes:
        seconds: Of each run that would be executed and whose strategy ran before, by its name.
        runs: How many runs would be executed, without searches.
        earlier: How many earlier runs it rests on.
    """

    seconds: Mapping[str, float]
    runs: int
    earlier: int

    def words(self, cores: int) -> str:
        """Return it in one line; empty when nothing is known.

        Args:
            cores: How many runs are executed at the same time.
        """
        if not self.seconds:
            return ""
        total, longest = sum(self.seconds.values()), max(self.seconds.values())
        time = time_words(max(total / cores, longest))
        known = len(self.seconds)
        part = "" if known == self.runs else f" for {known:,} of {counted(self.runs, 'run')}"
        return (
            f"about {time} of executing on {counted(cores, 'core')}{part}, from "
            f"{counted(self.earlier, 'earlier run')}; starting jobs and rendering pages come on top"
        )


class EarlierRuns:
    """How long completed runs of a store took, by their strategy files.

    Args:
        rows: One mapping per run with the columns `strategy`, `bundle`, `symbols_json`,
            `start_date`, `end_date` and `execute_seconds`.
    """

    def __init__(self, rows: Iterable[Mapping[str, Any]]) -> None:
        self._rows: defaultdict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for row in rows:
            self._rows[row["strategy"]].append(row)

    @classmethod
    def read(cls, store: RunStore, strategies: Iterable[str]) -> "EarlierRuns":
        """Return the latest runs of some strategies, by the store's table of runs.

        A store without that table, or with one that cannot be read, knows of none: the next batch
        or `backtrail catalog-sync` writes it anew.
        """
        import polars as pl

        if not store.runs_table.exists():
            return cls(())
        lazy = (
            pl.scan_parquet(store.runs_table)
            .filter(
                pl.col("strategy").is_in(sorted(strategies)),
                pl.col("status") == "completed",
                pl.col("run_type") == "backtest",
                pl.col("execute_seconds").is_not_null(),
            )
            .select(_COLUMNS)
            .sort("started_at", descending=True)
        )
        try:
            found = lazy.collect().group_by("strategy", maintain_order=True).head(_MOST_RUNS)
        except (pl.exceptions.PolarsError, OSError):
            return cls(())
        return cls(found.to_dicts())

    def count(self, strategies: Iterable[str]) -> int:
        """Return how many runs of some strategies are known."""
        return sum(len(self._rows[name]) for name in set(strategies))

    def seconds(self, request: RunRequest) -> float | None:
        """Return how long a run is expected to take; None when its strategy never ran.

        It is the median of the runs with the same bundle, symbols and dates; where there is none,
        that of all runs of the strategy, each stretched by its days and its number of symbols.
        """
        rows = self._rows[request.strategy]
        if not rows:
            return None
        alike = [row["execute_seconds"] for row in rows if _is_alike(row, request)]
        if alike:
            return float(median(alike))
        days = _days(request.start, request.end)
        return float(median(_stretched(row, request, days) for row in rows))


def _is_alike(row: Mapping[str, Any], request: RunRequest) -> bool:
    symbols = json.loads(row["symbols_json"])
    return (
        row["bundle"] == request.bundle
        and (request.symbols is None or sorted(symbols) == sorted(request.symbols))
        and row["start_date"] == request.start.isoformat()
        and row["end_date"] == request.end.isoformat()
    )


def _stretched(row: Mapping[str, Any], request: RunRequest, days: int) -> float:
    before = _days(date.fromisoformat(row["start_date"]), date.fromisoformat(row["end_date"]))
    symbols = len(json.loads(row["symbols_json"]))
    wanted = symbols if request.symbols is None else len(request.symbols)
    seconds: float = row["execute_seconds"]
    return seconds * days / before * wanted / symbols


def _days(start: date, end: date) -> int:
    return (end - start).days + 1


def estimate_batch(
    store: RunStore, requests: Sequence[RunRequest], previews: Sequence[PreviewedRun]
) -> BatchEstimate:
    """Return what executing a batch is expected to take.

    Searches are left out: each says itself what it is expected to take.

    Args:
        store: The run store.
        requests: The runs of the batch.
        previews: What planning would make of them.
    """
    by_name = {request.name: request for request in requests}
    wanted: dict[str, RunRequest] = {}
    for preview in previews:
        request = by_name[preview.name]
        if preview.state in _EXECUTED and request.search is None:
            # A run with two names is executed once.
            wanted.setdefault(preview.run_key or preview.name, request)
    earlier = EarlierRuns.read(store, {request.strategy for request in wanted.values()})
    seconds = {}
    for request in wanted.values():
        expected = earlier.seconds(request)
        if expected is not None:
            seconds[request.name] = round(expected, 3)
    used = earlier.count(request.strategy for request in wanted.values())
    return BatchEstimate(seconds, len(wanted), used)
