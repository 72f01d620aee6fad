"""Trading sessions without a calendar library: a shipped table for XNYS, rules for 24/5, 24/7."""

import gzip
import re
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from functools import lru_cache
from importlib.resources import files
from typing import Final

import numpy as np
import numpy.typing as npt

from backtrail.errors import ConfigError, DatasetError, Problem

__all__ = [
    "CALENDARS",
    "Sessions",
    "is_daily",
    "periods_per_year",
    "sessions",
    "table_range",
    "timeframe_minutes",
]

CALENDARS: Final = ("XNYS", "24/5", "24/7")
"""Known calendars."""

_SESSIONS_PER_YEAR: Final = {"XNYS": 252, "24/5": 260, "24/7": 365}
_MINUTES_PER_SESSION: Final = {"XNYS": 390, "24/5": 1440, "24/7": 1440}
_MINUTES: Final = {"m": 1, "h": 60, "d": 1440, "w": 7 * 1440}
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


def timeframe_minutes(timeframe: str) -> int | None:
    """Return the minutes of clock time in a timeframe such as `5m`, `1h`, `1d`; None if unknown."""
    match = re.fullmatch(r"([1-9]\d*)([mhdw])", timeframe)
    return int(match[1]) * _MINUTES[match[2]] if match else None


def is_daily(timeframe: str) -> bool:
    """Say whether bars of a timeframe are labelled by session date (a day or longer)."""
    return timeframe.endswith(("d", "w"))


def periods_per_year(calendar: str, timeframe: str) -> float:
    """Return how many bars a year has, for annualisation.

    Years have 252 sessions of 390 minutes (XNYS), 260 of 1,440 (24/5) or 365 of 1,440 (24/7);
    a year has 52 weeks. Bars of an hour count by trading minutes: XNYS 1h is 252 × 6.5.

    Raises:
        ConfigError: If the calendar or the timeframe is unknown.
    """
    _check_calendar(calendar)
    minutes = timeframe_minutes(timeframe)
    if minutes is None:
        remedy = "write a number and m, h, d or w, such as 1m, 5m, 1h, 1d"
        raise ConfigError([Problem("timeframe", repr(timeframe), remedy)])
    if timeframe.endswith("w"):
        return float(Fraction(52, minutes // _MINUTES["w"]))
    per_year = _SESSIONS_PER_YEAR[calendar]
    if timeframe.endswith("d"):
        return float(Fraction(per_year, minutes // _MINUTES["d"]))
    return float(Fraction(per_year * _MINUTES_PER_SESSION[calendar], minutes))


def sessions(calendar: str, start: date, end: date) -> Sessions:
    """Return the sessions of a calendar from `start` to `end`, both included.

    Raises:
        ConfigError: If the calendar is unknown.
        DatasetError: If the range reaches beyond the shipped table.
    """
    _check_calendar(calendar)
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
    _check_calendar(calendar)
    if calendar != "XNYS":
        return None
    table = _table(calendar)
    first, last = table.dates[0].astype(object).year, table.dates[-1].astype(object).year
    return date(first, 1, 1), date(last, 12, 31)


def _check_calendar(calendar: str) -> None:
    if calendar not in CALENDARS:
        known = ", ".join(CALENDARS)
        raise ConfigError([Problem("calendar", repr(calendar), f"known calendars: {known}")])


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
