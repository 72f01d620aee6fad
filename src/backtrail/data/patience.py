"""How long to wait before a request is repeated, and when to give up."""

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

__all__ = ["PASSING_STATUS", "Patience", "answered_at", "retry_after"]

PASSING_STATUS = frozenset({408, 418, 425, 429, 500, 502, 503, 504, 520, 521, 522, 524, 525, 530})
"""HTTP statuses of failures that may pass; 418 is how some exchanges go on after 429."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """When to repeat a request.

    Attributes:
        retries: How often at most.
        first_wait: Seconds before the first repetition; each further one waits twice as long.
        longest_wait: Seconds that no wait exceeds. A server that asks for a longer one is not
            asked again.
    """

    retries: int
    first_wait: float = 0.5
    longest_wait: float = 300.0

    def wait(self, attempt: int, asked: float | None, why: str) -> bool:
        """Wait before the next attempt; return False, at once, if there is to be none.

        Args:
            attempt: How often the request has failed, from 1.
            asked: Seconds the server asked to wait, which are then waited and no others; None
                where it did not.
            why: What failed, for the log.
        """
        if attempt > self.retries or (asked is not None and asked > self.longest_wait):
            return False
        seconds = asked
        if seconds is None:
            seconds = min(self.first_wait * 2.0 ** (attempt - 1), self.longest_wait)
        _log.warning("%s; asking again in %.1f s (%d of %d)", why, seconds, attempt, self.retries)
        time.sleep(seconds)
        return True


def retry_after(header: str | None, now: datetime) -> float | None:
    """Return the seconds a `Retry-After` header asks to wait; None where it cannot be read.

    Args:
        header: Number of seconds, or an HTTP date.
        now: The present, aware.
    """
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    moment = http_date(header)
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def answered_at(header: str | None, now: datetime) -> datetime:
    """Return when an answer was given: the earlier of its `Date` header and our own clock.

    A clock that is fast would take an unfinished bar for a finished one.
    """
    moment = http_date(header) if header is not None else None
    return now if moment is None else min(moment, now)


def http_date(text: str) -> datetime | None:
    """Return an HTTP date; None where it cannot be read."""
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
