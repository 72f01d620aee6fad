"""When things happen besides every bar: sessions, date rules, time rules."""

from backtrail.engine.schedule.rules import DateRule, TimeRule, date_rules, time_rules
from backtrail.engine.schedule.sessions import Sessions, SessionSource, bar_length, days_in

__all__ = [
    "DateRule",
    "SessionSource",
    "Sessions",
    "TimeRule",
    "bar_length",
    "date_rules",
    "days_in",
    "time_rules",
]
