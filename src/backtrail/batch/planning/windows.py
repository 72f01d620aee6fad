"""Whether the data of a bundle fit what a run asks for: symbols, dates, and bars between them."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from backtrail.batch.planning.requests import RunRequest
from backtrail.data.manifest import BARS_FILE, DatasetManifest
from backtrail.errors import DatasetError, Problem

if TYPE_CHECKING:
    # Resolving is imported while the Snakefile is parsed, which needs no arrays.
    import numpy as np
    import numpy.typing as npt
    import polars as pl

__all__ = ["BarDates", "data_problems"]

# Config windows and data rarely begin on the same day; a week covers weekends and holidays.
_COVERAGE_SLACK_DAYS = 7
_LEAST_BARS = 3
_LEAST_BLOCK = 2  # returns whose standard deviation a block needs


class BarDates:
    """The UTC dates of a dataset's bars: from its manifest, or read where that says too little.

    Args:
        path: The dataset's directory.

    Attributes:
        manifest: Its manifest.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = DatasetManifest.load(path)
        self.has_bar = cache(self._has_bar)  # runs of one grid ask the same

    def range_of(self, symbol: str) -> tuple[date, date]:
        """Return the dates of a symbol's first and last bar."""
        record = self.manifest.symbols[symbol]
        return date.fromisoformat(record.first[:10]), date.fromisoformat(record.last[:10])

    def _has_bar(self, symbol: str, start: date, end: date) -> bool:
        """Say whether a symbol has a bar from `start` to `end`, both included."""
        first, last = self.range_of(symbol)
        if start <= first <= end or start <= last <= end:
            return True
        if end < first or last < start:
            return False
        missing = self.manifest.symbols[symbol].missing_sessions
        if missing is not None and self.session_count(max(start, first), min(end, last)) > missing:
            return True
        after = self.nearest(symbol, start)[1]
        return after is not None and after <= end

    def session_count(self, start: date, end: date) -> int:
        """Return how many sessions of the calendar there are from `start` to `end`.

        Raises:
            DatasetError: If the calendar's table does not reach so far.
        """
        from backtrail.data.sessions import sessions

        return len(sessions(self.manifest.calendar, start, end))

    def nearest(self, symbol: str, day: date) -> tuple[date | None, date | None]:
        """Return the last date with a bar before a day, and the first one on or after it."""
        import numpy as np

        dates = self._dates[symbol]
        after = int(np.searchsorted(dates, np.datetime64(day, "D")))
        before_date = dates[after - 1].astype(object) if after else None
        return before_date, dates[after].astype(object) if after < len(dates) else None

    def bar_count(self, symbols: Sequence[str], start: date, end: date) -> int:
        """Return how many different timestamps the bars of some symbols have in a window."""
        import polars as pl

        day = pl.col("timestamp").dt.date()
        wanted = pl.col("symbol").is_in(list(symbols)) & day.is_between(start, end)
        frame = self._read(lambda scan: scan.filter(wanted).select("timestamp").unique())
        return len(frame)

    @cached_property
    def _dates(self) -> "dict[str, npt.NDArray[np.datetime64]]":
        import polars as pl

        day = pl.col("timestamp").dt.date().alias("day")
        days = self._read(lambda scan: scan.select("symbol", day).unique().sort("day"))
        parts = days.partition_by("symbol", as_dict=True)
        return {str(key[0]): part["day"].to_numpy() for key, part in parts.items()}

    def _read(self, query: "Callable[[pl.LazyFrame], pl.LazyFrame]") -> "pl.DataFrame":
        import polars as pl

        path = self.path / BARS_FILE
        try:
            return query(pl.scan_parquet(path)).collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise DatasetError(
                f"{path} cannot be read: {str(error).splitlines()[0]}; remove the dataset's "
                "directory and ingest the bundle again"
            ) from error


def data_problems(request: RunRequest, bars: BarDates, source: str) -> list[Problem]:
    """Return what the data do not have of what a run asks for.

    Args:
        request: The run.
        bars: The dataset of its bundle.
        source: The file name that problems carry.

    Raises:
        DatasetError: If the prices had to be looked at and cannot be read.
    """
    known = sorted(bars.manifest.symbols)
    listed = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    wanted = list(request.symbols or known)
    benchmark = request.settings.benchmark
    unknown = {
        name: key
        for key, names in (("benchmark", [benchmark]), ("symbols", wanted))
        for name in names
        if name is not None and name not in known
    }
    if unknown:
        return [
            Problem(
                f"{source}: batch.{request.origin(key, 'bundle')}.{key}",
                f"bundle {request.bundle!r} has no symbol {name!r}",
                f"its symbols are {listed}",
            )
            for name, key in unknown.items()
        ]
    problems = list(_coverage_problems(request, bars, wanted, source))
    problems = problems or list(_empty_problems(request, bars, wanted, source))
    return problems or list(_search_problems(request, bars, wanted, source))


def _coverage_problems(
    request: RunRequest, bars: BarDates, wanted: Sequence[str], source: str
) -> Iterator[Problem]:
    first = min(bars.range_of(name)[0] for name in wanted)
    last = max(bars.range_of(name)[1] for name in wanted)

    def where(key: str) -> str:
        return f"{source}: batch.{request.origin(key, 'symbols', 'bundle')}.{key}"

    if (first - request.start).days > _COVERAGE_SLACK_DAYS:
        found = f"{request.start} is before the first bar of {request.bundle!r}, {first}"
        yield Problem(where("start"), found, f"begin at {first} or later")
    if (request.end - last).days > _COVERAGE_SLACK_DAYS:
        found = f"{request.end} is after the last bar of {request.bundle!r}, {last}"
        yield Problem(where("end"), found, f"end at {last} or earlier")


def _empty_problems(
    request: RunRequest, bars: BarDates, wanted: Sequence[str], source: str
) -> Iterator[Problem]:
    """Yield what would leave a run without a bar: engine and benchmark need one of each symbol."""
    start, end = request.start, request.end
    window = f"from {start} to {end}"
    empty = [name for name in wanted if not bars.has_bar(name, start, end)]
    if empty and len(empty) == len(wanted):
        where = f"{source}: batch.{request.origin('start', 'end', 'symbols', 'bundle')}"
        which = f"{empty[0]!r}" if len(empty) == 1 else f"any of its {len(empty)} symbols"
        found = f"bundle {request.bundle!r} has no bar of {which} {window}{_closed(bars, request)}"
        yield Problem(where, found, _nearest_words(bars, empty, start))
        return
    where = f"{source}: batch.{request.origin('symbols', 'start', 'end', 'bundle')}.symbols"
    for name in empty:
        remedy = _nearest_words(bars, [name], start)
        yield Problem(where, f"{name!r} has no bar {window}", remedy)
    benchmark = request.settings.benchmark
    if benchmark is not None and not bars.has_bar(benchmark, start, end):
        keys = ("benchmark", "start", "end", "bundle")
        where = f"{source}: batch.{request.origin(*keys)}.benchmark"
        remedy = _nearest_words(bars, [benchmark], start)
        yield Problem(where, f"the benchmark {benchmark!r} has no bar {window}", remedy)


def _search_problems(
    request: RunRequest, bars: BarDates, wanted: Sequence[str], source: str
) -> Iterator[Problem]:
    """Yield what of a search's validation does not fit the length of its history."""
    validate = request.validate or {}
    holdout = validate.get("holdout")
    if request.search is None or not validate:
        return
    where = f"{source}: batch.{request.origin('validate', 'start', 'end', 'symbols')}.validate"
    end = request.end
    if holdout is not None:
        start = date.fromisoformat(holdout["start"])
        end = start - timedelta(days=1)
        if not bars.bar_count(wanted, start, request.end):
            found = f"there is no bar from {start} to {request.end}"
            yield Problem(f"{where}.holdout.start", found, "name an earlier date")
    count = bars.bar_count(wanted, request.start, end)
    history = f"the history before the holdout has {count:,} bars ({request.start} to {end})"
    if count < _LEAST_BARS:
        remedy = "let the holdout begin later, or the entry earlier"
        yield Problem(f"{where}.holdout.start", history, remedy)
    folds = validate.get("walk_forward")
    if folds is not None:
        parts = ("warm_up", "in_sample", "embargo", "out_of_sample")
        needed = sum(folds[name] for name in parts)
        if needed > count:
            sums = " + ".join(f"{name} {folds[name]:,}" for name in parts)
            remedy = f"one fold takes {needed:,} bars ({sums}); take shorter windows"
            yield Problem(f"{where}.walk_forward", history, remedy)
    overfitting = validate.get("overfitting", {})
    blocks = overfitting.get("blocks", 0)
    if count - 1 - overfitting.get("warm_up", 0) < _LEAST_BLOCK * blocks:
        remedy = f"{blocks} blocks of at least {_LEAST_BLOCK} returns take more; take fewer blocks"
        yield Problem(f"{where}.overfitting.blocks", history, remedy)


def _closed(bars: BarDates, request: RunRequest) -> str:
    try:
        count = bars.session_count(request.start, request.end)
    except DatasetError:  # the shipped calendar does not reach so far
        return ""
    return "" if count else f", where {bars.manifest.calendar} has no session"


def _nearest_words(bars: BarDates, symbols: Sequence[str], start: date) -> str:
    found = [bars.nearest(name, start) for name in symbols]
    before = max((day for day, _ in found if day is not None), default=None)
    after = min((day for _, day in found if day is not None), default=None)
    days = " and ".join(str(day) for day in (before, after) if day is not None)
    whose = "its" if len(symbols) == 1 else "their"
    return f"{whose} nearest bars are of {days}"
