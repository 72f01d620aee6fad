"""Trading sessions without a calendar library: a shipped table for XNYS, rules for 24/5, 24/7.

Those of any other calendar come from `exchange_calendars` once, when a dataset is made, and are
kept in the dataset; where a calendar is asked for, its name or such a table will do.
"""

import gzip
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Final

import numpy as np
import numpy.typing as npt

from backtrail.data.calendars import SessionYear, check_calendar
from backtrail.errors import DatasetError

__all__ = [
    "SESSION_MARGIN",
    "Calendar",
    "Sessions",
    "calendar_name",
    "sessions",
    "sessions_around",
    "table_range",
]

SESSION_MARGIN: Final = timedelta(days=45)
"""How far sessions around bars are wanted: more than a month and its holidays."""

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
        reach: First and last date within which every session is listed; None where it is not said.
        year: What a usual year has, of a calendar that does not come with this package.
    """

    calendar: str
    dates: npt.NDArray[np.datetime64]
    opens: npt.NDArray[np.int64]
    minutes: npt.NDArray[np.int64]
    reach: tuple[date, date] | None = None
    year: SessionYear | None = None

    @property
    def closes(self) -> npt.NDArray[np.int64]:
        """Moment at which each session is over, microseconds since 1970 UTC, shape (n,)."""
        return self.opens + self.minutes * _MICROSECONDS_PER_MINUTE

    def __len__(self) -> int:
        return len(self.dates)


Calendar = str | Sessions
"""The name of a calendar of this package, or a table of sessions."""


def calendar_name(calendar: Calendar) -> str:
    """Return the name of a calendar."""
    return calendar if isinstance(calendar, str) else calendar.calendar


def sessions(calendar: Calendar, start: date, end: date) -> Sessions:
    """Return the sessions of a calendar from `start` to `end`, both included.

    Raises:
        ConfigError: If the calendar is a name and unknown.
        DatasetError: If the range reaches beyond the table.
    """
    known = table_range(calendar)
    first, last = np.datetime64(start, "D"), np.datetime64(end, "D")
    if known is None:
        return _rule_sessions(calendar_name(calendar), first, last)
    if start < known[0] or end > known[1]:
        whose = "shipped table" if isinstance(calendar, str) else "dataset's table"
        raise DatasetError(
            f"sessions of {calendar_name(calendar)} asked from {start} to {end}; the {whose} has "
            f"{known[0]} to {known[1]}; ask within it"
        )
    table = _table(calendar) if isinstance(calendar, str) else calendar
    low, high = np.searchsorted(table.dates, [first, last + 1])
    part = slice(int(low), int(high))
    return Sessions(
        table.calendar,
        table.dates[part],
        table.opens[part],
        table.minutes[part],
        (start, end),
        table.year,
    )


def sessions_around(
    calendar: Calendar, start: date, end: date, margin: timedelta = timedelta(days=7)
) -> Sessions:
    """Return the sessions from `margin` before `start` to `margin` after `end`, as far as known.

    The bars of a session may have another UTC date than it: an evening bar of a future belongs to
    the session of the next day, that of a Sunday to Monday's.

    Raises:
        ConfigError: If the calendar is a name and unknown.
    """
    known = table_range(calendar)
    first, last = start - margin, end + margin
    if known is not None:
        first, last = max(first, known[0]), min(last, known[1])
    return sessions(calendar, first, last)


def table_range(calendar: Calendar) -> tuple[date, date] | None:
    """Return first and last date that a calendar knows of; None where a rule has no bounds."""
    if not isinstance(calendar, str):
        return calendar.reach
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
