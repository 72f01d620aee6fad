"""Trading sessions without a calendar library: a shipped table for XNYS, rules for 24/5, 24/7."""

import gzip
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from importlib.resources import files
from typing import Final

import numpy as np
import numpy.typing as npt

from backtrail.data.calendars import check_calendar
from backtrail.errors import DatasetError

__all__ = ["Sessions", "sessions", "table_range"]

_MICROSECONDS_PER_MINUTE: Final = 60_000_000
_MICROSECONDS_PER_DAY: Final = 86_400_000_000


@dataclass(frozen=True, slots=True, eq=False)
class Sessions:
    """Consecutive trading sessions of one calendar, oldest first; n of them.

    Attributes:
        calendar: Its name.
        dates: Session dates, datetime64[D], shape (n,).
        opens: First minute, microseconds since 1970 UTC, int64, shape (n,).
        minutes: Length in minutes, int64, shape (n,); a half day is shorter.
    """

    calendar: str
    dates: npt.NDArray[np.datetime64]
    opens: npt.NDArray[np.int64]
    minutes: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.dates)


def sessions(calendar: str, start: date, end: date) -> Sessions:
    """Return the sessions of a calendar from `start` to `end`, both included.

    Raises:
        ConfigError: If the calendar is unknown.
        DatasetError: If the range reaches beyond the shipped table.
    """
    check_calendar(calendar)
    first, last = np.datetime64(start, "D"), np.datetime64(end, "D")
    if calendar != "XNYS":
        return _rule_sessions(calendar, first, last)
    known_from, known_to = table_range(calendar) or (start, end)
    if start < known_from or end > known_to:
        raise DatasetError(
            f"sessions of {calendar} asked from {start} to {end}; the shipped table has "
            f"{known_from} to {known_to}; ask within it"
        )
    table = _table(calendar)
    low, high = np.searchsorted(table.dates, [first, last + 1])
    part = slice(int(low), int(high))
    return Sessions(calendar, table.dates[part], table.opens[part], table.minutes[part])


def table_range(calendar: str) -> tuple[date, date] | None:
    """Return first and last date that a calendar knows of; None where a rule has no bounds."""
    check_calendar(calendar)
    if calendar != "XNYS":
        return None
    table = _table(calendar)
    first, last = table.dates[0].astype(object).year, table.dates[-1].astype(object).year
    return date(first, 1, 1), date(last, 12, 31)


def _rule_sessions(calendar: str, first: np.datetime64, last: np.datetime64) -> Sessions:
    dates = np.arange(first, last + 1, dtype="datetime64[D]")
    if calendar == "24/5":
        dates = dates[np.is_busday(dates)]
    opens = dates.astype(np.int64) * _MICROSECONDS_PER_DAY
    return Sessions(calendar, dates, opens, np.full(len(dates), 1440, dtype=np.int64))


@lru_cache(maxsize=4)
def _table(calendar: str) -> Sessions:
    packed = files("backtrail.data").joinpath("session_tables", f"{calendar}.csv.gz").read_bytes()
    rows = [line.split(",") for line in gzip.decompress(packed).decode().splitlines()[1:]]
    dates = np.array([row[0] for row in rows], dtype="datetime64[D]")
    opened = np.array([int(row[1]) for row in rows], dtype=np.int64)
    minutes = np.array([int(row[2]) for row in rows], dtype=np.int64)
    opens = dates.astype(np.int64) * _MICROSECONDS_PER_DAY + opened * _MICROSECONDS_PER_MINUTE
    for array in (dates, opens, minutes):
        array.flags.writeable = False
    return Sessions(calendar, dates, opens, minutes)
