"""Sessions of a run's bars: which rows belong to which trading day."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from backtrail.engine.bars import Bars
from backtrail.errors import StrategyError

__all__ = ["SessionSource", "Sessions", "bar_length", "is_intraday", "session_days", "sessions_of"]

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
    """Return the session date of every row, days since 1970; it is the UTC date.

    No known calendar has a session that goes past midnight UTC.
    """
    return bars.timestamps // _DAY


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
