"""How many bars make a year."""

import re
from typing import Final

from backtrail.errors import ConfigError, Problem

__all__ = ["periods_per_year"]

# Sessions per year, minutes per session, sessions per week.
_CALENDARS: Final = {"XNYS": (252, 390, 5), "24/5": (260, 1440, 5), "24/7": (365, 1440, 7)}
_UNITS: Final = {"m": 1, "h": 60}


def periods_per_year(calendar: str, timeframe: str) -> float:
    """Return the bars per year by convention.

    XNYS has 252 sessions of 390 minutes, 24/5 has 260 of 1,440, 24/7 has 365 of 1,440. Bars within
    a session are sessions times minutes over the length of a bar; `1w` divides by the sessions of
    a week.

    Args:
        calendar: `XNYS`, `24/5` or `24/7`.
        timeframe: A number and `m`, `h`, `d` or `w`: `1d`, `15m`.

    Raises:
        ConfigError: If the calendar or the timeframe is unknown.
    """
    if calendar not in _CALENDARS:
        raise ConfigError([Problem("calendar", repr(calendar), f"one of {', '.join(_CALENDARS)}")])
    match = re.fullmatch(r"([1-9][0-9]*)([mhdw])", timeframe)
    if match is None:
        raise ConfigError([Problem("timeframe", repr(timeframe), "a length such as 1d or 15m")])
    sessions, minutes, week = _CALENDARS[calendar]
    count, unit = int(match[1]), match[2]
    if unit in _UNITS:
        return sessions * minutes / (count * _UNITS[unit])
    return sessions / (count * (week if unit == "w" else 1))
