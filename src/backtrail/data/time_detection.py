"""The form and the zone of timestamps, found from cells, and proved where it could be two."""

import re
from collections.abc import Callable, Sequence
from typing import Final

from backtrail.data.calendars import is_daily
from backtrail.data.time_forms import TimeForm
from backtrail.errors import DatasetError

__all__ = ["detect_time", "find_zone"]

_EPOCH_DIGITS: Final = ((11, "epoch_s"), (14, "epoch_ms"), (17, "epoch_us"), (20, "epoch_ns"))
_EPOCH: Final = re.compile(r"-?(\d{1,20})(\.\d+)?")
_DATES: Final = (
    (re.compile(r"\d{4}-\d{1,2}-\d{1,2}"), "%Y-%m-%d"),
    (re.compile(r"\d{4}/\d{1,2}/\d{1,2}"), "%Y/%m/%d"),
    (re.compile(r"\d{4}\.\d{1,2}\.\d{1,2}"), "%Y.%m.%d"),
    (re.compile(r"\d{8}(?!\d)"), "%Y%m%d"),
    (re.compile(r"\d{1,2}-[A-Za-z]{3}-\d{4}"), "%d-%b-%Y"),
    (re.compile(r"\d{1,2} [A-Za-z]{3} \d{4}"), "%d %b %Y"),
    (re.compile(r"\d{1,2} [A-Za-z]{4,9} \d{4}"), "%d %B %Y"),
    (re.compile(r"[A-Za-z]{3} \d{1,2}, \d{4}"), "%b %d, %Y"),
    (re.compile(r"[A-Za-z]{4,9} \d{1,2}, \d{4}"), "%B %d, %Y"),
)
_DAY_OR_MONTH_FIRST: Final = re.compile(r"\d{1,2}([/.-])\d{1,2}\1\d{4}")
_TIME: Final = re.compile(
    r"([T ])(\d{1,2}:\d{2}|\d{4}(?=\d{2}$|$))(:\d{2}|\d{2})?(\.\d{1,9})?( ?[AaPp][Mm])?"
    r"(Z| ?UTC| ?GMT| ?[+-]\d{2}:?\d{2})?"
)
_UTC_NAME: Final = re.compile(r"[\s_(](utc|gmt)\)?$|^(utc|gmt)[\s_]", re.IGNORECASE)


def detect_time(
    label: str,
    column: str,
    cells: Sequence[str],
    largest: Callable[[], tuple[int, int]],
    *,
    timeframe: str,
    date_format: str | None = None,
    timezone: str | None = None,
) -> TimeForm:
    """Return the form and the zone of timestamps.

    Args:
        label: Name of the file in messages.
        column: Header name of the column.
        cells: The first of its cells that are not empty.
        largest: Returns the largest first and second number of all cells such as `3/4/2020`.
        timeframe: Length of a bar.
        date_format: The option; None to look at the cells.
        timezone: The option.

    Raises:
        DatasetError: If the cells could mean different moments; nothing is guessed.
    """
    form, evidence = date_format, "options.date_format"
    if not form:
        form, evidence = _detect_form(label, column, cells, largest)
    first = cells[0] if cells else ""
    return find_zone(label, column, form, evidence, first, timeframe=timeframe, timezone=timezone)


def find_zone(
    label: str,
    column: str,
    form: str,
    evidence: str,
    cell: str,
    *,
    timeframe: str,
    timezone: str | None,
) -> TimeForm:
    """Return a form with the zone of its times.

    Args:
        label: Name of the file in messages.
        column: Header name of the column.
        form: As in `TimeForm`.
        evidence: How the form was found.
        cell: One of the cells, for a message.
        timeframe: Length of a bar.
        timezone: The option; None to look.

    Raises:
        DatasetError: If times of bars shorter than a day have no zone.
    """
    found = TimeForm(form, timezone, evidence)
    if found.has_zone:
        evidence += "; options.timezone" if timezone else "; zone in the cells"
        as_written = is_daily(timeframe) and not found.counts_from_utc
        return TimeForm(form, timezone or (None if as_written else "UTC"), evidence)
    if timezone:
        return TimeForm(form, timezone, f"{evidence}; options.timezone")
    if _UTC_NAME.search(column) and (found.has_time or not is_daily(timeframe)):
        return TimeForm(form, "UTC", f"{evidence}; zone from the column name {column}")
    if is_daily(timeframe):
        return found
    raise DatasetError(
        f"{label}: the times in {column} ({cell!r}) have no zone; "
        "give options.timezone, such as America/New_York or UTC"
    )


def _detect_form(
    label: str, column: str, cells: Sequence[str], largest: Callable[[], tuple[int, int]]
) -> tuple[str, str]:
    if not cells:
        raise DatasetError(f"{label}: the column {column} holds no timestamp")
    epoch = _epoch_form(cells)
    if epoch is not None:
        return epoch, "the number of digits"
    forms = {cell: _form_of(cell) for cell in cells}
    unknown = next((cell for cell, form in forms.items() if form is None), None)
    known = {form for form in forms.values() if form is not None}
    if unknown is not None and not known:
        raise DatasetError(
            f"{label}: the form of {unknown[:80]!r} in {column} is unknown; give "
            "options.date_format, such as '%Y-%m-%d %H:%M', epoch_s, epoch_ms or epoch_us"
        )
    if len(known) > 1:
        listed = " and ".join(sorted(known)).replace("{day_or_month}", "%d/%m ")
        raise DatasetError(f"{label}: {column} mixes {listed}; give options.date_format")
    form = known.pop()
    if "{day_or_month}" not in form:
        return form, "the cells' form"
    return _prove_day_month(label, column, cells[0], form, largest())


def _epoch_form(cells: Sequence[str]) -> str | None:
    matches = [_EPOCH.fullmatch(cell) for cell in cells]
    digits = [len(match[1]) for match in matches if match is not None]
    if len(digits) < len(cells) or max(digits) < 9:  # eight digits are a date
        return None
    return next(name for most, name in _EPOCH_DIGITS if max(digits) <= most)


def _form_of(cell: str) -> str | None:
    for pattern, form in _DATES:
        if match := pattern.match(cell):
            return _with_time(form, cell[match.end() :])
    if match := _DAY_OR_MONTH_FIRST.match(cell):
        return _with_time(f"{{day_or_month}}{match[1]}%Y", cell[match.end() :])
    return None


def _with_time(form: str, rest: str) -> str | None:
    if not rest:
        return form
    match = _TIME.fullmatch(rest)
    if match is None:
        return None
    separator, clock, seconds, fraction, half, zone = match.groups()
    form += f"{separator}{'%I' if half else '%H'}{':' if ':' in clock else ''}%M"
    form += f"{':' if seconds.startswith(':') else ''}%S" if seconds else ""
    form += "%.f" if fraction else ""
    form += f"{' ' if half.startswith(' ') else ''}%p" if half else ""
    if zone is None or zone in ("Z", "UTC", "GMT", " UTC", " GMT"):
        return form + (zone or "")
    return form + ("" if not zone.startswith(" ") else " ") + "%z"


def _prove_day_month(
    label: str, column: str, cell: str, form: str, largest: tuple[int, int]
) -> tuple[str, str]:
    separator = form.removeprefix("{day_or_month}")[0]
    first, second = largest
    if first > 12 >= second:
        order, proof = ("%d", "%m"), f"day first: {column} has {first} in first place"
    elif second > 12 >= first:
        order, proof = ("%m", "%d"), f"month first: {column} has {second} in second place"
    else:
        both = first > 12
        why = "has both orders" if both else "could be day first or month first in every row"
        raise DatasetError(
            f"{label}: {column} ({cell!r}) {why}; give options.date_format, such as "
            f"'%m{separator}%d{separator}%Y' or '%d{separator}%m{separator}%Y', with the time "
            "if there is one"
        )
    return form.replace("{day_or_month}", separator.join(order)), proof
