"""What of a revision lies in what a run reads: its symbols, its dates, and nothing before them.

A run is handed one window of its dataset, as `read_window` packs it; it can reach no bar before its
first date or after its last. So both datasets are read in the same way, and what a run would be
handed of each decides: rows that changed without changing that, such as a dividend before the first
bar of a window, touch nothing.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, Final

from backtrail.batch.planning.resolving import dataset_identity
from backtrail.data.calendars import dataset_periods
from backtrail.data.comparison import TableDifference, compare_datasets, dataset_sentences
from backtrail.data.datasets import Dataset
from backtrail.data.packed_bars import PackedBars
from backtrail.data.sessions import SESSION_MARGIN
from backtrail.data.windows import read_window
from backtrail.errors import DatasetError
from backtrail.optimization.search import in_sample_identity
from backtrail.wording import counted

__all__ = ["RevisedWindows", "WindowChange"]

_NOTHING: Final = TableDifference(0, 0, 0, {}, (), (), ())
_EPOCH: Final = date(1970, 1, 1)
_SHOWN_SYMBOLS: Final = 5
_AT_THE_EDGE: Final = "a split, dividend or delisting at the edge of its dates changed"
_SESSION_COLUMNS: Final = ("session_days", "session_opens", "session_closes")


@dataclass(frozen=True, slots=True)
class WindowChange:
    """What a revision does to what a run reads.

    Attributes:
        is_seen: Whether the run reads anything else now.
        rows: Bars and adjustments of its symbols and dates that were added, removed or changed.
        reasons: What it reads otherwise; or why it reads the same.
    """

    is_seen: bool
    rows: int
    reasons: tuple[str, ...]


class RevisedWindows:
    """Two datasets, looked at through the windows of runs; each window is read once.

    Args:
        before: The dataset that the runs read.
        after: The one that took its place; of the same timeframe.
        limit: How many rows a reason shows of each kind.
    """

    def __init__(self, before: Dataset, after: Dataset, *, limit: int) -> None:
        self.before = before
        self.after = after
        self._limit = limit
        self._changes: dict[tuple[Any, ...], WindowChange] = {}
        self._touched: dict[tuple[str, ...], bool] = {}

    def look(self, identity: Mapping[str, Any]) -> WindowChange:
        """Return what a run reads otherwise.

        Args:
            identity: Of its spec. A search reads nothing of its holdout.

        Raises:
            DatasetError: If the dataset that it read cannot be read.
        """
        seen = in_sample_identity(identity)
        symbols, benchmark = tuple(seen["symbols"]), seen["benchmark"]
        # As in the executor: a benchmark outside the universe is read by itself.
        universes = (symbols,) if benchmark in (None, *symbols) else (symbols, (benchmark,))
        key = (universes, seen["start"], seen["end"])
        if key not in self._changes:
            window = date.fromisoformat(seen["start"]), date.fromisoformat(seen["end"])
            self._changes[key] = self._compare(universes, *window)
        return self._changes[key]

    def _compare(
        self, universes: tuple[tuple[str, ...], ...], start: date, end: date
    ) -> WindowChange:
        names = tuple(sorted(name for universe in universes for name in universe))
        found = compare_datasets(
            self.before, self.after, symbols=names, start=start, end=end, limit=self._limit
        )
        rows = sum(
            count
            for table in (found.bars, found.adjustments)
            for count in (table.changed, table.added, table.removed)
        )
        told = dataset_sentences(replace(found, settings={}, sessions=_NOTHING, universe=_NOTHING))
        others = tuple(self._otherwise(universes, start, end)) if rows or self._may() else ()
        if not others:
            return WindowChange(False, rows, (self._why_not(names, start, end, rows),))
        reasons = (*told, *(text for text in others if text))
        return WindowChange(True, rows, reasons or (_AT_THE_EDGE,))

    def _may(self) -> bool:
        """Say whether anything but bars differs, which a comparison by rows may not show."""
        one, other = self.before.manifest, self.after.manifest
        contents = [{**item.content, "bars": ""} for item in (one, other)]
        return contents[0] != contents[1] or one.calendar != other.calendar

    def _otherwise(
        self, universes: tuple[tuple[str, ...], ...], start: date, end: date
    ) -> Iterator[str]:
        """Yield what a run is handed otherwise; nothing in words for what rows show."""
        manifests = self.before.manifest, self.after.manifest
        if manifests[0].calendar != manifests[1].calendar:
            yield f"calendar {manifests[0].calendar} -> {manifests[1].calendar}"
        periods = [dataset_periods(dataset_identity(item)) for item in manifests]
        if periods[0] != periods[1]:
            yield f"bars a year, for annual metrics: {periods[0]:g} -> {periods[1]:g}"
        for universe in universes:
            old = read_window(self.before, universe, start, end)
            try:
                new = read_window(self.after, universe, start, end)
            except DatasetError as error:
                yield f"it cannot be run on the newer dataset: {error}"
                return
            if _bars(old) != _bars(new):
                yield ""
            if _sessions(old, start, end) != _sessions(new, start, end):
                yield "sessions of its calendar changed"
            if _members(old, start, end) != _members(new, start, end):
                yield "who of its symbols is in the universe changed"

    def _why_not(self, names: tuple[str, ...], start: date, end: date, rows: int) -> str:
        if rows:
            return (
                f"{counted(rows, 'row')} changed between {start} and {end}, and nothing of what a "
                "run is handed of them"
            )
        if names not in self._touched:
            found = compare_datasets(self.before, self.after, symbols=names, limit=0)
            self._touched[names] = bool(found.bars or found.adjustments)
        shown = ", ".join(names[:_SHOWN_SYMBOLS])
        more = len(names) - _SHOWN_SYMBOLS
        whose = shown + (f" and {more:,} more" if more > 0 else "")
        if self._touched[names]:
            return f"of {whose}, what changed lies outside {start} to {end}, which is all it read"
        return f"no bar or adjustment of {whose} changed"


def _bars(window: PackedBars) -> dict[str, bytes]:
    return {
        name: bytes(column)
        for name, column in window.columns.items()
        if name not in _SESSION_COLUMNS
    }


def _sessions(window: PackedBars, start: date, end: date) -> list[tuple[int, ...]] | None:
    """Return the sessions around a window: as many as a schedule can ask for."""
    if _SESSION_COLUMNS[0] not in window.columns:
        return None
    columns = [memoryview(window.columns[name]).cast("q").tolist() for name in _SESSION_COLUMNS]
    first, last = ((day - _EPOCH).days for day in (start - SESSION_MARGIN, end + SESSION_MARGIN))
    return [row for row in zip(*columns, strict=True) if first <= row[0] <= last]


def _members(window: PackedBars, start: date, end: date) -> dict[str, list[list[int]]] | None:
    """Return when each symbol is in the universe within a window; times that touch are one."""
    if window.members is None:
        return None
    bounds = (start - _EPOCH).days, (end - _EPOCH).days
    found: dict[str, list[list[int]]] = {}
    for symbol, spans in window.members.items():
        joined: list[list[int]] = []
        for first, last in sorted((max(a, bounds[0]), min(b, bounds[1])) for a, b in spans):
            if first > last:
                continue
            if joined and first <= joined[-1][1] + 1:
                joined[-1][1] = max(joined[-1][1], last)
            else:
                joined.append([first, last])
        found[symbol] = joined
    return found
