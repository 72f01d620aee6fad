"""Sessions of any calendar of `exchange_calendars`: asked once, when a dataset is made.

Importing the library takes two seconds and pandas; nothing that reads a dataset needs it.
"""

import warnings
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from importlib.metadata import version
from typing import Any, Final

import numpy as np

from backtrail.data.calendar_names import CALENDARS_EXTRA, SHIPPED_CALENDARS, calendar_mistake
from backtrail.data.calendars import SessionYear
from backtrail.data.sessions import Calendar, Sessions
from backtrail.errors import ConfigError, DatasetError, Problem

__all__ = ["calendar_over", "library_sessions", "library_version"]

_USUAL_YEARS: Final = (date(2010, 1, 1), date(2019, 12, 31))
_MICROSECONDS: Final = 1_000_000
_EMPTY: Final = "has no session"


def calendar_over(name: str, start: date, end: date) -> Calendar:
    """Return what `sessions` takes for a calendar: the name where that will do, or a table.

    Args:
        name: Name of the calendar.
        start: First date the table has to reach.
        end: Last date.

    Raises:
        ConfigError: If there is no such calendar.
        DatasetError: If `exchange_calendars` is needed and not installed, or the calendar has no
            session from `start` to `end`.
    """
    return name if name in SHIPPED_CALENDARS else library_sessions(name, start, end)


def library_sessions(name: str, start: date, end: date) -> Sessions:
    """Return the sessions of a calendar of `exchange_calendars`.

    Args:
        name: Name of the calendar.
        start: First date.
        end: Last date, included. Both are moved to the bounds of what the library knows.

    Returns:
        The sessions; `minutes` are those from the opening to the close, breaks included. A usual
        year is the mean of 2010 to 2019, and its session the most frequent one, without breaks.

    Raises:
        ConfigError: If the library has no such calendar.
        DatasetError: If it is not installed, or knows no session from `start` to `end`.
    """
    library = _import_library(name)
    mistake = calendar_mistake(name)
    if mistake is not None:
        raise ConfigError([Problem("calendar", repr(name), mistake)])
    if name not in library.get_calendar_names(include_aliases=False):
        found = f"exchange_calendars {library_version()} has no {name}"
        raise ConfigError([Problem("calendar", found, "install a later version of it")])
    bounds = _bounds(library, name)
    first, last = max(start, bounds[0]), min(end, bounds[1])
    table = _calendar(library, name, first, last)
    days = [] if table is None else [session.date() for session in table.sessions]
    kept = slice(bisect_left(days, first), None)
    if not days[kept]:
        raise DatasetError(
            f"calendar {name} {_EMPTY} from {start} to {end}; exchange_calendars "
            f"{library_version()} knows it from {bounds[0]} to {bounds[1]}: take another calendar, "
            "or bars of that time"
        )
    opens, closes = _moments(table.opens), _moments(table.closes)
    return Sessions(
        name,
        np.array(days[kept], dtype="datetime64[D]"),
        opens[kept],
        ((closes - opens) // (60 * _MICROSECONDS))[kept],
        (first, last),
        _usual_year(library, name, bounds),
    )


def library_version() -> str:
    """Return the version of `exchange_calendars`."""
    return version("exchange_calendars")


def _import_library(name: str) -> Any:
    try:
        import exchange_calendars
    except ImportError as error:
        raise DatasetError(
            f"the sessions of calendar {name} come from the package exchange_calendars, which is "
            f"not installed; {CALENDARS_EXTRA}, or take one of {', '.join(SHIPPED_CALENDARS)}"
        ) from error
    return exchange_calendars


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the library does to pandas to the library: nobody here can mend it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield


def _bounds(library: Any, name: str) -> tuple[date, date]:
    with _quiet():
        default = library.get_calendar(name)
    low, high = default.bound_min(), default.bound_max()
    return date.min if low is None else low.date(), date.max if high is None else high.date()


def _calendar(library: Any, name: str, start: date, end: date) -> Any:
    if start > end:
        return None
    start = start if start < end else start - timedelta(days=7)  # one day alone is refused there
    try:
        with _quiet():
            return library.get_calendar(name, start=start.isoformat(), end=end.isoformat())
    except library.errors.NoSessionsError:
        return None


def _moments(times: Any) -> Any:
    return np.array([int(time.timestamp()) * _MICROSECONDS for time in times], dtype=np.int64)


def _usual_year(library: Any, name: str, bounds: tuple[date, date]) -> SessionYear:
    first, last = max(_USUAL_YEARS[0], bounds[0]), min(_USUAL_YEARS[1], bounds[1])
    table = _calendar(library, name, first, last)
    if table is None:
        raise DatasetError(
            f"calendar {name} {_EMPTY} from {_USUAL_YEARS[0]} to {_USUAL_YEARS[1]}, by "
            "which a year is measured; take another calendar"
        )
    years = (last - first + timedelta(days=1)).days / 365.25
    lengths = Counter(
        (closed - opened).total_seconds() - _rest(begun, ended)
        for opened, closed, begun, ended in zip(
            table.opens, table.closes, table.break_starts, table.break_ends, strict=True
        )
    )
    usual = int(lengths.most_common(1)[0][0]) // 60
    return SessionYear(round(len(table.sessions) / years), usual)


def _rest(begun: Any, ended: Any) -> float:
    """Return the seconds of a session's break; those of a session without one are no times."""
    return 0.0 if begun != begun else float((ended - begun).total_seconds())
