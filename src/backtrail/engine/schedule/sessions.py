"""Sessions of a run's bars: which rows belong to which trading day."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from backtrail.engine.bars import Bars
from backtrail.errors import StrategyError

__all__ = [
    "SessionSource",
    "Sessions",
    "bar_length",
    "days_in",
    "is_intraday",
    "session_days",
    "sessions_of",
]

IntArray = npt.NDArray[np.int64]

_DAY: Final = 86_400_000_000
_LENGTHS: Final = {"m": 60_000_000, "h": 3_600_000_000, "d": _DAY, "w": 7 * _DAY}


@dataclass(frozen=True, slots=True, eq=False)
class Sessions:
    """Sessions of a calendar, oldest first; n of them.

    Attributes:
        days: Days since 1970 of the session dates, int64, shape (n,), strictly increasing.
        opens: First moment, microseconds since 1970 UTC, shape (n,).
        closes: Last moment, likewise.
        is_calendar: Whether they are those of a calendar; else they are what the bars show, and
            the first and last week or month may be a part of one.
    """

    days: IntArray
    opens: IntArray
    closes: IntArray
    is_calendar: bool = True


SessionSource = Callable[[], Sessions]


def bar_length(timeframe: str) -> int:
    """Return the microseconds of a timeframe such as `5m`, `1h`, `1d`, `1w`.

    Raises:
        StrategyError: If it is none.
    """
    match = re.fullmatch(r"([1-9]\d*)([mhdw])", str(timeframe))
    if match is None:
        raise StrategyError(
            f"{timeframe!r} is no timeframe; write a number and m, h, d or w, such as 5m or 1d"
        )
    return int(match[1]) * _LENGTHS[match[2]]


def is_intraday(timeframe: str) -> bool:
    """Say whether bars are shorter than a session; others are sessions themselves, or longer."""
    return timeframe.endswith(("m", "h"))


def session_days(bars: Bars) -> IntArray:
    """Return the session date of every row, days since 1970; never falling.

    It is the UTC date, unless the bars are shorter than a day and bring sessions: see `days_in`.
    """
    if bars.sessions is None or not is_intraday(bars.timeframe):
        return bars.timestamps // _DAY
    return days_in(bars.sessions, bars.timestamps)


def days_in(sessions: Sessions, moments: IntArray) -> IntArray:
    """Return the date of the session in which each bar begins, days since 1970; never falling.

    An evening bar of a future is one of the next day. A bar in no session has its UTC date, but
    none before that of the session that is over or after that of the next one.

    Args:
        sessions: At least one.
        moments: Microseconds since 1970 UTC, never falling.
    """
    days = moments // _DAY
    place = np.searchsorted(sessions.opens, moments, side="right") - 1
    last = len(sessions.days) - 1
    before = sessions.days[np.clip(place, 0, last)]
    after = sessions.days[np.clip(place + 1, 0, last)]
    inside = (place >= 0) & (moments < sessions.closes[np.clip(place, 0, last)])
    outside = np.where(place >= 0, np.maximum(days, before), days)
    outside = np.where(place < last, np.minimum(outside, after), outside)
    return np.where(inside, before, outside)


def sessions_of(bars: Bars, source: SessionSource | None) -> Sessions:
    """Return the calendar's sessions with those of the bars among them.

    Args:
        bars: Prices.
        source: Where the calendar's sessions come from; None for those of the bars alone.
    """
    days, first = np.unique(session_days(bars), return_index=True)
    last = np.append(first[1:], len(bars.timestamps)) - 1
    length = bar_length(bars.timeframe) if is_intraday(bars.timeframe) else _DAY
    shown = Sessions(days, bars.timestamps[first], bars.timestamps[last] + length, False)
    if source is None:
        return shown
    known = source()
    extra = ~np.isin(days, known.days)
    if not extra.any():
        return known
    merged = np.concatenate((known.days, days[extra]))
    order = np.argsort(merged, kind="stable")
    opens = np.concatenate((known.opens, shown.opens[extra]))[order]
    closes = np.concatenate((known.closes, shown.closes[extra]))[order]
    return Sessions(merged[order], opens, closes, known.is_calendar)
