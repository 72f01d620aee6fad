"""Rules of `schedule_function`, by Zipline's names: `date_rules` and `time_rules`."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from backtrail.engine.bars import Bars
from backtrail.engine.schedule.sessions import (
    IntArray,
    Sessions,
    bar_length,
    is_intraday,
    session_days,
)
from backtrail.errors import StrategyError

__all__ = ["DateRule", "TimeRule", "date_rules", "scheduled_rows", "time_rules"]

_MINUTE: Final = 60_000_000


@dataclass(frozen=True, slots=True)
class DateRule:
    """On which sessions: all, or the one so many from the start or end of its week or month.

    Attributes:
        period: `day`, `week` or `month`.
        from_end: Whether `days_offset` counts back from the last session.
        days_offset: 0 is the first, or last, session of the period.
    """

    period: str
    from_end: bool = False
    days_offset: int = 0

    def holds(self, sessions: Sessions) -> npt.NDArray[np.bool_]:
        """Return for every session whether the rule holds."""
        days = sessions.days
        if self.period == "day":
            return np.ones(len(days), dtype=bool)
        if self.period == "week":
            groups = (days + 3) // 7  # 1970-01-01 was a Thursday; weeks begin on Mondays
        else:
            groups = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64)
        begin = np.searchsorted(groups, groups, side="left")
        end = np.searchsorted(groups, groups, side="right")
        place = np.arange(len(days))
        rank = end - 1 - place if self.from_end else place - begin
        return np.asarray(rank == self.days_offset)


@dataclass(frozen=True, slots=True)
class TimeRule:
    """At which bars of a session: all, or the first that ends so long after its open.

    With daily bars every rule means the session's bar.

    Attributes:
        kind: `every`, `open` or `close`.
        offset: Microseconds after the open, or before the close.
    """

    kind: str
    offset: int = 0


class _DateRules:
    """On which sessions a scheduled function runs."""

    @staticmethod
    def every_day() -> DateRule:
        """Return the rule of every session."""
        return DateRule("day")

    @staticmethod
    def week_start(days_offset: int = 0) -> DateRule:
        """Return the rule of the session so many after the first of a week."""
        return DateRule("week", False, _offset("week_start", days_offset, 4))

    @staticmethod
    def week_end(days_offset: int = 0) -> DateRule:
        """Return the rule of the session so many before the last of a week."""
        return DateRule("week", True, _offset("week_end", days_offset, 4))

    @staticmethod
    def month_start(days_offset: int = 0) -> DateRule:
        """Return the rule of the session so many after the first of a month."""
        return DateRule("month", False, _offset("month_start", days_offset, 22))

    @staticmethod
    def month_end(days_offset: int = 0) -> DateRule:
        """Return the rule of the session so many before the last of a month."""
        return DateRule("month", True, _offset("month_end", days_offset, 22))


class _TimeRules:
    """At which bars of its sessions a scheduled function runs."""

    @staticmethod
    def market_open(
        offset: timedelta | None = None, hours: int | None = None, minutes: int | None = None
    ) -> TimeRule:
        """Return the rule of the first bar that ends so long after the open; usually a minute."""
        return TimeRule("open", _microseconds("market_open", offset, hours, minutes))

    @staticmethod
    def market_close(
        offset: timedelta | None = None, hours: int | None = None, minutes: int | None = None
    ) -> TimeRule:
        """Return the rule of the first bar that ends so long before the close, or later."""
        return TimeRule("close", _microseconds("market_close", offset, hours, minutes))

    @staticmethod
    def every_minute() -> TimeRule:
        """Return the rule of every bar."""
        return TimeRule("every")


date_rules: Final = _DateRules()
time_rules: Final = _TimeRules()


def _offset(name: str, days: Any, most: int) -> int:
    if isinstance(days, bool) or not isinstance(days, int) or not 0 <= days <= most:
        raise StrategyError(f"{name}(days_offset={days!r}); give a whole number from 0 to {most}")
    return days


def _microseconds(
    name: str, offset: timedelta | None, hours: int | None, minutes: int | None
) -> int:
    if offset is not None and (hours is not None or minutes is not None):
        raise StrategyError(f"{name} has an offset and hours or minutes; give one of them")
    if offset is None:
        usual = 1 if hours is None and minutes is None else 0
        offset = timedelta(hours=hours or 0, minutes=usual if minutes is None else minutes)
    if not timedelta(0) <= offset < timedelta(days=1):
        raise StrategyError(f"{name} has the offset {offset}; give zero or above, below a day")
    return offset // timedelta(microseconds=1)


def scheduled_rows(
    bars: Bars, sessions: Sessions, date_rule: DateRule, time_rule: TimeRule, *, half_days: bool
) -> IntArray:
    """Return the rows at which a function is called, oldest first.

    Raises:
        StrategyError: If half days are to be left out and no calendar says which they are.
    """
    holds = date_rule.holds(sessions)
    lengths = sessions.closes - sessions.opens
    if not half_days:
        if not sessions.is_calendar:
            raise StrategyError("half_days=False needs a calendar, and this run has none")
        holds &= lengths >= lengths.max()
    days = session_days(bars)
    place = np.searchsorted(sessions.days, days)
    rows = np.flatnonzero(holds[place])
    if time_rule.kind == "every" or not is_intraday(bars.timeframe):
        return rows
    begin = sessions.opens + time_rule.offset
    if time_rule.kind == "close":
        begin = sessions.closes - time_rule.offset
    ends = bars.timestamps[rows] + bar_length(bars.timeframe)
    due = rows[ends >= begin[place[rows]]]
    _, first = np.unique(place[due], return_index=True)
    return due[first]


ScheduledFunction = Callable[[Any, Any], Any]
