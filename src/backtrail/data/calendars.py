"""Calendars and timeframes by name: what a year and a bar mean; see `sessions` for the dates."""

import re
from fractions import Fraction
from typing import Final

from backtrail.errors import ConfigError, Problem

__all__ = [
    "CALENDARS",
    "check_calendar",
    "is_daily",
    "periods_per_year",
    "resampling_mistake",
    "timeframe_minutes",
]

CALENDARS: Final = ("XNYS", "24/5", "24/7")
"""Known calendars."""

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


def periods_per_year(calendar: str, timeframe: str) -> float:
    """Return how many bars a year has, for annualisation.

    Years have 252 sessions of 390 minutes (XNYS), 260 of 1,440 (24/5) or 365 of 1,440 (24/7);
    a year has 52 weeks. Bars of an hour count by trading minutes: XNYS 1h is 252 × 6.5.

    Raises:
        ConfigError: If the calendar or the timeframe is unknown.
    """
    check_calendar(calendar)
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


def check_calendar(calendar: str) -> None:
    """Refuse an unknown calendar.

    Raises:
        ConfigError: Naming the known ones.
    """
    if calendar not in CALENDARS:
        known = ", ".join(CALENDARS)
        raise ConfigError([Problem("calendar", repr(calendar), f"known calendars: {known}")])
