"""Calendars and timeframes by name: what a year and a bar mean; see `sessions` for the dates."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Final

from backtrail.errors import ConfigError, Problem

__all__ = [
    "SessionYear",
    "check_calendar",
    "dataset_periods",
    "is_daily",
    "periods_per_year",
    "resampling_mistake",
    "timeframe_minutes",
]

_SESSIONS_PER_YEAR: Final = {"XNYS": 252, "24/5": 260, "24/7": 365}
_MINUTES_PER_SESSION: Final = {"XNYS": 390, "24/5": 1440, "24/7": 1440}
_MINUTES: Final = {"m": 1, "h": 60, "d": 1440, "w": 7 * 1440}


def timeframe_minutes(timeframe: str) -> int | None:
    """Return the minutes of clock time in a timeframe such as `5m`, `1h`, `1d`; None if unknown."""
    match = re.fullmatch(r"([1-9]\d*)([mhdw])", timeframe)
    return int(match[1]) * _MINUTES[match[2]] if match else None


def is_daily(timeframe: str) -> bool:
    """Say whether bars of a timeframe are labelled by session date (a day or longer)."""
    return timeframe.endswith(("d", "w"))


def resampling_mistake(source: str, target: str) -> str | None:
    """Return why bars of `target` cannot be made of bars of `source`; None if they can."""
    short, long = timeframe_minutes(source), timeframe_minutes(target)
    if short is None:
        return "write a number and m, h, d or w, such as 1m"
    if target == "1w" and source == "1d":
        return None
    if long is None or short >= long:
        return f"write a timeframe shorter than {target}"
    if target.endswith("w") or (is_daily(target) and target != "1d"):
        return "1w is made of 1d; 1d and shorter ones of minutes or hours"
    if is_daily(source) or (not is_daily(target) and long % short):
        return f"{target} is no multiple of {source}"
    return None


@dataclass(frozen=True, slots=True)
class SessionYear:
    """What a year of a calendar has, for annualization.

    Attributes:
        sessions: Sessions in a usual year.
        minutes: Minutes in a usual session, breaks not counted.
    """

    sessions: int
    minutes: int


def periods_per_year(calendar: str, timeframe: str, year: SessionYear | None = None) -> float:
    """Return how many bars a year has, for annualization.

    Years have 252 sessions of 390 minutes (XNYS), 260 of 1,440 (24/5) or 365 of 1,440 (24/7);
    a year has 52 weeks. Bars of an hour count by trading minutes: XNYS 1h is 252 × 6.5.

    Args:
        calendar: Name of the trading calendar.
        timeframe: Length of a bar.
        year: What a year of the calendar has, where it is not one of these three.

    Raises:
        ConfigError: If the calendar is none of the three and no year is given, or the timeframe is
            unknown.
    """
    if year is None:
        check_calendar(calendar)
        year = SessionYear(_SESSIONS_PER_YEAR[calendar], _MINUTES_PER_SESSION[calendar])
    minutes = timeframe_minutes(timeframe)
    if minutes is None:
        remedy = "write a number and m, h, d or w, such as 1m, 5m, 1h, 1d"
        raise ConfigError([Problem("timeframe", repr(timeframe), remedy)])
    if timeframe.endswith("w"):
        return float(Fraction(52, minutes // _MINUTES["w"]))
    if timeframe.endswith("d"):
        return float(Fraction(year.sessions, minutes // _MINUTES["d"]))
    return float(Fraction(year.sessions * year.minutes, minutes))


def dataset_periods(dataset: Mapping[str, Any]) -> float:
    """Return `periods_per_year` of the `dataset` in a run's identity.

    Args:
        dataset: With `calendar` and `timeframe`, and for a calendar that is not of this package
            with `session_year`: its `sessions` and `minutes`.
    """
    year = dataset.get("session_year")
    known = None if year is None else SessionYear(**year)
    return periods_per_year(dataset["calendar"], dataset["timeframe"], known)


def check_calendar(calendar: str) -> None:
    """Refuse a calendar whose sessions do not come with this package.

    Raises:
        ConfigError: Naming those that do.
    """
    if calendar not in _SESSIONS_PER_YEAR:
        shipped = ", ".join(_SESSIONS_PER_YEAR)
        remedy = f"its sessions are in the dataset alone; those of {shipped} are known without one"
        raise ConfigError([Problem("calendar", repr(calendar), remedy)])
